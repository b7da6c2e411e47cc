/** A file's name as it is, and nothing else: what would not be seen is written out, and nothing moves what is beside it. */

import { useMemo } from "preact/hooks";
import { parted, pieces, plainly, shortened, type Name } from "../text/names";

const MOST_SHOWN = 220;

export function NameText({ name, most }: { name: Name; most?: number }) {
  const shown = useMemo(() => short(name, most), [name.text, name.b64, most]);
  return (
    <span class="name" dir="ltr">
      {shown.map((piece, at) =>
        shown.length === 1 && !piece.escaped ? (
          piece.text
        ) : piece.escaped ? (
          <span key={at} class="escaped">
            {piece.text}
          </span>
        ) : (
          <bdi key={at} dir="ltr">
            {piece.text}
          </bdi>
        ),
      )}
    </span>
  );
}

/** A whole path on one line: its last component stays, and of the folder as much as there is room for. */
export function PathText({ path }: { path: Name }) {
  const { folder, last } = useMemo(() => parted(path), [path.text, path.b64]);
  return (
    <span class="path" title={shortened(plainly(path), 1000)}>
      <span class="path-folder">
        <NameText name={folder} most={MOST_SHOWN} />
      </span>
      <span class="path-last">
        <NameText name={last} most={MOST_SHOWN} />
      </span>
    </span>
  );
}

/** Return the pieces of *name*, without its middle where it is longer than *most*. */
function short(name: Name, most: number | undefined) {
  const found = pieces(name);
  const length = found.reduce((sum, piece) => sum + piece.text.length, 0);
  if (most === undefined || length <= most) return found;
  const head = take(found, most / 2);
  const tail = take([...found].reverse(), most / 2, true).reverse();
  return [...head, { text: "…", escaped: true }, ...tail];
}

function take(found: { text: string; escaped: boolean }[], most: number, fromEnd = false) {
  const taken: { text: string; escaped: boolean }[] = [];
  let left = Math.floor(most);
  for (const piece of found) {
    if (left <= 0) break;
    const signs = [...piece.text];
    const some = piece.escaped || signs.length <= left ? signs : fromEnd ? signs.slice(-left) : signs.slice(0, left);
    taken.push({ text: some.join(""), escaped: piece.escaped });
    left -= some.length;
  }
  return taken;
}
