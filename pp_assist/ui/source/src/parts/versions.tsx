/** What the server has of a file: every version, and its deletions. */

import { versions } from "../api/routes";
import type { Version } from "../api/shapes";
import { useAsked } from "../live/asked";
import { nowMs } from "../live/connection";
import { clock, exactly, size } from "../text/format";
import type { Name } from "../text/names";
import { versionRows } from "../text/words";
import { Button, Chip, Shown } from "./basics";

const ON = ["upload_complete", "file_deleted", "file_moved"];

/** *onPick* is told the digest of the version that is wanted back. */
export function Versions({ path, onPick }: { path: Name; onPick: (sha256: string) => void }) {
  const asked = useAsked((asking) => versions(path, asking), [path], { on: ON });
  return (
    <section aria-label="Versions on the server">
      <h3>Versions on the server</h3>
      <Shown asked={asked} show={({ versions: all }) => <List all={all} onPick={onPick} />} />
    </section>
  );
}

function List({ all, onPick }: { all: Version[]; onPick: (sha256: string) => void }) {
  if (all.length === 0) return <p class="hint">The server has never had this file.</p>;
  return (
    <ol class="versions">
      {versionRows(all).map(({ version, word, tone, since, canComeBack }) => (
        <li key={version.gen}>
          <Chip tone={tone}>{word}</Chip>
          <span>
            <time dateTime={since ?? undefined} title={exactly(since)}>
              {clock(since, nowMs.value)}
            </time>
            <span class="hint number"> {size(version.file_size)}</span>
            {version.inconsistent && <span class="hint"> read while it changed</span>}
          </span>
          {canComeBack && (
            <Button kind="quiet" aria-label={`Fetch the version of ${exactly(since)}`} onClick={() => onPick(version.sha256 ?? "")}>
              Fetch this
            </Button>
          )}
        </li>
      ))}
    </ol>
  );
}
