/** A few paths as the tree that they are. Pure. */

export interface Branch {
  /** One name, or several where nothing branches off between them. */
  name: string;
  below: Branch[];
}

export function treeOf(paths: string[]): Branch[] {
  const root: Branch = { name: "", below: [] };
  for (const path of paths) {
    let at = root;
    for (const part of partsOf(path)) {
      let next = at.below.find((each) => each.name === part);
      if (next === undefined) {
        next = { name: part, below: [] };
        at.below.push(next);
      }
      at = next;
    }
  }
  return root.below.map(joined);
}

/** Return the names in *path*; the first of an absolute one says so. */
function partsOf(path: string): string[] {
  const [first = "", ...rest] = path.split("/").filter((each) => each !== "");
  return [path.startsWith("/") ? `/${first}` : first, ...rest];
}

function joined(branch: Branch): Branch {
  let { name, below } = branch;
  while (below.length === 1 && below[0] !== undefined && below[0].below.length > 0) {
    name = `${name}/${below[0].name}`;
    below = below[0].below;
  }
  return { name, below: below.map(joined) };
}
