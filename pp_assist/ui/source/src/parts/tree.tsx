/** A few paths as a tree, and how many more there are. */

import { count } from "../text/format";
import { treeOf, type Branch } from "../text/tree";
import { NameText } from "./name";

export function Tree({ paths, more }: { paths: string[]; more: number }) {
  return (
    <div class="tree mono">
      <Branches of={treeOf(paths)} />
      {more > 0 && <p class="hint">and {count(more)} more</p>}
    </div>
  );
}

function Branches({ of }: { of: Branch[] }) {
  return (
    <ul>
      {of.map((branch) => (
        <li key={branch.name} class={branch.below.length > 0 ? "tree-folder" : "tree-leaf"}>
          <NameText name={{ text: branch.below.length > 0 ? `${branch.name}/` : branch.name }} most={160} />
          {branch.below.length > 0 && <Branches of={branch.below} />}
        </li>
      ))}
    </ul>
  );
}
