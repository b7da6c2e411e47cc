/** The watched folders: how each stands, what is told of deletions, and what is left out in it. */

import { useState } from "preact/hooks";
import { paths as askPaths, removePath, scan } from "../api/routes";
import type { LedgerEntry, WatchedPath } from "../api/shapes";
import { useAsked, useDoing } from "../live/asked";
import { nowMs, refresh, stats } from "../live/connection";
import { AddFolder, FolderName } from "../parts/add-folder";
import { Button, Card, Chip, Empty, Facts, Notice, Problem, Screen, sentence, Shown } from "../parts/basics";
import { Coverage } from "../parts/coverage";
import { Dialog, useConfirm } from "../parts/dialog";
import { NameText } from "../parts/name";
import { say } from "../parts/said";
import { ago, count, counted, exactly } from "../text/format";
import { nameIn } from "../text/names";
import { PATH_STATUS, spaced } from "../text/words";

const EVENTS = ["scan_complete", "error", "server", "steered", "upload_complete"];

export function Roots() {
  const asked = useAsked(askPaths, [], { on: EVENTS, everyMs: 10_000 });
  const [adding, setAdding] = useState(false);
  const [confirm, ask] = useConfirm();
  const again = () => {
    asked.again();
    refresh();
  };
  return (
    <Screen
      title="Roots"
      says="The folders that are watched, with everything in them."
      actions={
        <Button kind="main" icon="plus" onClick={() => setAdding(true)}>
          Add a folder
        </Button>
      }
    >
      <Shown
        asked={asked}
        show={({ paths }) =>
          paths.length === 0 ? (
            <Empty icon="roots" title="No folder is watched yet">
              Add one, and everything in it is stored from then on.
            </Empty>
          ) : (
            <div class="stack">
              {paths.map((path) => (
                <Root
                  key={path.id}
                  path={path}
                  entry={stats.value?.ledger.find((each) => each.path_id === path.id)}
                  again={again}
                  onRemove={() =>
                    ask({
                      title: "Stop watching this folder?",
                      says: (
                        <p>
                          <FolderName of={nameIn(path, "path")} /> and its {counted(path.file_count, "file")} are forgotten here. The server keeps everything that it has of them, and nothing on this machine is deleted.
                        </p>
                      ),
                      word: "Stop watching",
                      danger: true,
                      work: async () => {
                        await removePath(path.id);
                        say("It is not watched any more.");
                        again();
                      },
                    })
                  }
                />
              ))}
            </div>
          )
        }
      />
      {adding && (
        <Dialog title="Add a folder" wide onClose={() => setAdding(false)}>
          <AddFolder
            onCancel={() => setAdding(false)}
            onAdded={() => {
              setAdding(false);
              say("It is watched from now on, and being looked through.");
              again();
            }}
          />
        </Dialog>
      )}
      {confirm}
    </Screen>
  );
}

function Root({ path, entry, again, onRemove }: { path: WatchedPath; entry: LedgerEntry | undefined; again: () => void; onRemove: () => void }) {
  const doing = useDoing();
  const name = nameIn(path, "path");
  const { word, tone } = PATH_STATUS[path.status] ?? { word: path.status, tone: "off" as const };
  return (
    <Card class="root">
      <div class="card-head">
        <h2 class="mono">
          <NameText name={name} most={300} />
        </h2>
        <Chip tone={tone}>{word}</Chip>
      </div>
      {path.reason && (
        <p class={path.status === "unhealthy" ? "root-reason tone-text-bad" : "root-reason hint"}>
          {path.status === "unhealthy" && "Nothing is concluded about its files meanwhile: "}
          {sentence(path.reason)}
        </p>
      )}
      {entry && <Coverage entry={entry} isStale={path.status === "unhealthy"} />}
      <Facts
        of={[
          ["Deletions", path.policy === "mirror" ? "told to the server, which keeps older versions (mirror)" : "never told to the server (archive)"],
          ["Folders in it", path.recursive ? "watched, too" : "not watched"],
          ["Files known", count(path.file_count)],
          ["Last scan", <time title={exactly(path.last_scanned_at)}>{ago(path.last_scanned_at, nowMs.value)}</time>],
          ...(path.exclude.length > 0 ? ([["Left out", path.exclude.map((each) => <code key={each} class="pattern"><NameText name={{ text: each }} most={120} /></code>)]] as [string, preact.ComponentChildren][]) : []),
          ...(path.sftp ? ([["SFTP", <DropFolder sftp={path.sftp} />]] as [string, preact.ComponentChildren][]) : []),
        ]}
      />
      {path.rule_problems.length > 0 && (
        <Notice tone="warn" icon="held">
          <p>Lines that mean nothing, and count for nothing:</p>
          <ul class="plain-list">
            {path.rule_problems.map((each, at) => (
              <li key={at}>
                <code class="wrap"><NameText name={{ text: each.source }} most={200} />{each.line !== null && `:${each.line}`}</code> {each.pattern && <code class="pattern"><NameText name={{ text: each.pattern }} most={120} /></code>} {each.text}
              </li>
            ))}
          </ul>
        </Notice>
      )}
      {doing.error && <Problem error={doing.error} />}
      <div class="actions">
        <Button
          icon="scan"
          busy={doing.busy}
          onClick={() =>
            void doing.run(async () => {
              await scan(name);
              say("A scan of it has started.");
              again();
            })
          }
        >
          Scan it now
        </Button>
        <Button kind="quiet" icon="trash" onClick={onRemove}>
          Stop watching
        </Button>
      </div>
    </Card>
  );
}

function DropFolder({ sftp }: { sftp: NonNullable<WatchedPath["sftp"]> }) {
  const counts = Object.entries(sftp).filter(([, value]) => typeof value === "number" && value > 0);
  return (
    <span>
      {sftp.state === "ok" ? "reachable" : String(sftp.problem ?? sftp.state)}, last look {ago(sftp.last_look_at as string | null, nowMs.value)}
      {counts.map(([key, value]) => `, ${count(value as number)} ${spaced(key)}`)}
    </span>
  );
}
