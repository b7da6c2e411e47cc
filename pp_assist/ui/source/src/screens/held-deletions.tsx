/** Deletions that wait for a person's word: so many files are missing at once that it may be a mistake. */

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Refused } from "../api/client";
import { approve, deletions as askDeletions, heldTree, reject } from "../api/routes";
import type { HeldSet } from "../api/shapes";
import { useAsked } from "../live/asked";
import { nowMs, refresh } from "../live/connection";
import { Bones, Button, Card, Chip, Empty, Meter, Problem, Screen, Shown } from "../parts/basics";
import { useConfirm } from "../parts/dialog";
import { Icon } from "../parts/icons";
import { NameText } from "../parts/name";
import { say } from "../parts/said";
import { Tree } from "../parts/tree";
import { ago, count, counted, exactly, percent, size } from "../text/format";
import { nameIn, type Name } from "../text/names";

export function HeldDeletions() {
  const asked = useAsked(askDeletions, [], { on: ["deletions_held", "file_deleted", "file_missing", "file_discovered", "steered"], everyMs: 5_000 });
  return (
    <Screen title="Held deletions" says="Where very many files are missing at once, the server is told nothing before you have said so. It keeps content and older versions in any case.">
      <Shown
        asked={asked}
        show={({ held }) =>
          held.length === 0 ? (
            <Empty icon="check" title="Nothing to decide">
              No folder has lost very many files at once.
            </Empty>
          ) : (
            <div class="stack">
              {held.map((set) => (
                <Held key={set.id} set={set} again={asked.again} />
              ))}
            </div>
          )
        }
      />
    </Screen>
  );
}

function Held({ set, again }: { set: HeldSet; again: () => void }) {
  const [confirm, ask] = useConfirm();
  const done = (text: string) => {
    say(text);
    again();
    refresh();
  };
  const files = counted(set.count, "file");
  return (
    <Card>
      <div class="card-head">
        <h2 class="mono">
          <NameText name={nameIn(set, "path")} most={300} />
        </h2>
        <Chip tone="bad">{set.reason === "all" ? "every file is missing" : `${percent(set.count, set.known)} are missing`}</Chip>
      </div>
      <div class="held-count">
        <p>
          <strong class="held-number number">{count(set.count)}</strong> of {counted(set.known, "file")} missing, found{" "}
          <time title={exactly(set.created_at)}>{ago(set.created_at, nowMs.value)}</time>
        </p>
        <Meter label="Missing" done={set.count} total={set.known} />
      </div>
      {set.reason === "all" && <p class="hint">An empty folder is often a disk that is not mounted. Bring the files back, and nothing is to be decided any more.</p>}
      <Missing set={set} />
      <div class="actions">
        <Button
          onClick={() =>
            ask({
              title: `Keep ${files} on the server?`,
              says: <p>The server is told nothing, and keeps them as present files. They are forgotten here until they return.</p>,
              word: "Keep them there",
              work: async () => {
                await reject(set.id);
                done(`${files} stay on the server.`);
              },
            })
          }
        >
          Reject: keep them on the server
        </Button>
        <Button
          kind="danger"
          onClick={() =>
            ask({
              title: `Tell the server that ${files} are deleted?`,
              says: <p>It keeps their content and older versions; they are no longer among your present files there.</p>,
              word: "Yes, they are deleted",
              danger: true,
              work: async () => {
                await approve(set.id, set.count).catch((error: unknown) => {
                  if (error instanceof Refused) again();
                  throw error;
                });
                done(`The server is told of ${files}.`);
              },
            })
          }
        >
          {`Approve ${files}`}
        </Button>
      </div>
      {confirm}
    </Card>
  );
}

/** What is missing, folder by folder; a sample of it where the daemon cannot tell more. */
function Missing({ set }: { set: HeldSet }) {
  const below = (path: string) => path.slice(set.path.replace(/\/$/, "").length + 1);
  return (
    <div class="held-box" role="group" aria-label="What is missing" tabIndex={0}>
      <Level set={set.id} path={{ text: "" }} label="Missing files" many={set.count} otherwise={<Tree paths={set.sample.map(below)} more={set.count - set.sample.length} />} />
    </div>
  );
}

function Level({ set, path, label, many, otherwise }: { set: number; path: Name; label: string; many: number; otherwise?: ComponentChildren }) {
  const asked = useAsked((asking) => heldTree(set, path, asking), [set, path, many]);
  if (asked.error && otherwise) return <>{otherwise}</>;
  if (asked.error) return <Problem error={asked.error} again={asked.again} />;
  if (asked.data === undefined) return <Bones lines={1} />;
  const { folders, files, truncated } = asked.data;
  return (
    <ul class="held-tree" aria-label={label}>
      {folders.map((folder) => (
        <HeldFolder key={folder.path} set={set} name={nameIn(folder, "name")} path={nameIn(folder, "path")} many={folder.count} />
      ))}
      {files.map((file) => (
        <li key={file.path} class="held-file">
          <span class="mono">
            <NameText name={nameIn(file, "name")} most={200} />
          </span>
          <span class="hint number">{size(file.size_bytes)}</span>
        </li>
      ))}
      {truncated && <li class="hint">and more</li>}
    </ul>
  );
}

function HeldFolder({ set, name, path, many }: { set: number; name: Name; path: Name; many: number }) {
  const [open, setOpen] = useState(false);
  return (
    <li>
      <button type="button" class="held-folder" aria-expanded={open} onClick={() => setOpen(!open)}>
        <Icon name={open ? "down" : "next"} />
        <span class="mono">
          <NameText name={name} most={200} />/
        </span>
        <span class="hint number">{counted(many, "file")}</span>
      </button>
      {open && <Level set={set} path={path} label={name.text} many={many} />}
    </li>
  );
}
