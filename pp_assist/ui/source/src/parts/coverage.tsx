/** Where the files of one watched folder stand: a bar, and the numbers it is made of. */

import type { LedgerEntry } from "../api/shapes";
import { count, counted, percent } from "../text/format";
import { inQuery, nameIn } from "../text/names";
import { ledgerReason } from "../text/words";

const KINDS = ["stored", "pending", "excluded", "unsupported"] as const;

/** *isStale*: the folder is not there, so this is how it was. */
export function Coverage({ entry, isStale = false }: { entry: LedgerEntry; isStale?: boolean }) {
  const { files } = entry; // folders and links are in no list of files, nor in the sentence above
  const wanted = files.stored + files.pending;
  const all = wanted + files.excluded + files.unsupported;
  const below = inQuery(nameIn(entry, "path"));
  const reasons = Object.entries(files.reasons)
    .filter(([, many]) => many > 0)
    .map(([code, many]) => `${count(many)} ${ledgerReason(code)}`);
  const label = KINDS.map((kind) => `${count(files[kind])} ${kind}`).join(", ");
  return (
    <div class="coverage" data-stale={isStale}>
      <div class="coverage-bar" role="img" aria-label={label}>
        {all === 0 && <span class="coverage-none" />}
        {KINDS.map((kind) => files[kind] > 0 && <span key={kind} class={`coverage-part is-${kind}`} style={{ flexGrow: files[kind] }} />)}
      </div>
      <ul class="coverage-legend">
        {KINDS.map((kind) => (
          <li key={kind} data-none={files[kind] === 0}>
            <a href={`#/files?status=${kind}&below=${below}`}>
              <span class={`swatch is-${kind}`} aria-hidden="true" />
              <span class="number">{count(files[kind])}</span> {kind}
            </a>
          </li>
        ))}
        <li class="coverage-share">
          {isStale ? (
            "as last seen"
          ) : (
            <>
              <span class="number">{wanted === 0 ? "—" : percent(files.stored, wanted)}</span> in place
            </>
          )}
        </li>
      </ul>
      {reasons.length > 0 && <p class="hint">Pending: {reasons.join(", ")}.</p>}
      {files.missing > 0 && <p class="hint">{counted(files.missing, "file")} missing on the disk; the server keeps them until that is certain.</p>}
      {entry.last_scan?.difference ? <p class="hint tone-text-bad">{counted(Math.abs(entry.last_scan.difference), "name")} on the disk and in our list do not match.</p> : null}
    </div>
  );
}
