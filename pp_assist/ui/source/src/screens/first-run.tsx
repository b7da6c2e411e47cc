/** The first time: a server, a folder, and files arriving before the person's eyes. */

import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { paths as askPaths, servers as askServers } from "../api/routes";
import type { Happened, Status } from "../api/shapes";
import { useAsked } from "../live/asked";
import { refresh, stats, status } from "../live/connection";
import { listen } from "../live/stream";
import { Button, Card, Shown } from "../parts/basics";
import { Coverage } from "../parts/coverage";
import { AddFolder } from "../parts/add-folder";
import { AddServer } from "../parts/add-server";
import { Icon } from "../parts/icons";
import { PathText } from "../parts/name";
import { count, size } from "../text/format";
import { nameIn } from "../text/names";

/** Stays until the person has seen the last step. */
const begun = signal(false);
/** The person went on; until the status says so, too, it does not begin again. */
let isOver = false;

export function isWelcoming(now: Status): boolean {
  const isNew = now.summary.state === "nothing_watched" || now.upload_obstacle === "no_server";
  if (!isNew) isOver = false;
  else if (!isOver && !begun.peek()) begun.value = true;
  return begun.value;
}

function goOn(): void {
  isOver = true;
  begun.value = false;
}

const STEPS = ["A server", "A folder", "Files arrive"];

export function FirstRun() {
  const servers = useAsked(askServers, []);
  const paths = useAsked(askPaths, []);
  const step = servers.data?.total === 0 ? 0 : paths.data?.total === 0 ? 1 : 2;
  return (
    <div class="welcome">
      <h1 id="screen-title" tabIndex={-1}>
        Everything in its second place
      </h1>
      <p class="lead">Three steps, and every file in your folder is on your server, with a receipt for each.</p>
      <ol class="steps">
        {STEPS.map((word, at) => (
          <li key={word} data-is={at < step ? "done" : at === step ? "now" : "next"} aria-current={at === step ? "step" : undefined}>
            <span class="step-number">{at < step ? <Icon name="check" /> : at + 1}</span>
            {word}
          </li>
        ))}
      </ol>
      <Shown
        asked={servers}
        show={() =>
          step === 0 ? (
            <Card title="Which server?">
              <p class="hint">
                A key is made on the server with <code>pp_server key create --name ME</code>. It stays on this machine, and is never shown again.
              </p>
              <AddServer
                first
                onAdded={() => {
                  refresh();
                  servers.again();
                }}
              />
            </Card>
          ) : (
            <Shown
              asked={paths}
              show={() =>
                step === 1 ? (
                  <Card title="Which folder?">
                    <AddFolder
                      onAdded={() => {
                        refresh();
                        paths.again();
                      }}
                    />
                  </Card>
                ) : (
                  <Arriving />
                )
              }
            />
          )
        }
      />
    </div>
  );
}

const MOST_SEEN = 8;

function Arriving() {
  const [seen, setSeen] = useState<Happened[]>([]);
  useEffect(
    () =>
      listen((happened) => {
        const stored = happened.filter((each) => each.event_type === "upload_complete");
        if (stored.length > 0) setSeen((before) => [...stored.reverse(), ...before].slice(0, MOST_SEEN));
      }),
    [],
  );
  const numbers = stats.value;
  return (
    <Card
      title={status.value?.summary.text ?? "Files arrive"}
      aside={
        // above all that comes and goes: what is about to be clicked must not move
        <Button kind="main" onClick={goOn}>
          To the overview
        </Button>
      }
    >
      <div class="stack">
        {numbers?.ledger.map((entry) => <Coverage key={entry.path_id} entry={entry} />)}
        {seen.length === 0 ? (
          <p class="hint">Put a file into the folder, or change one: it appears here a moment later, once the server has confirmed it.</p>
        ) : (
          <ul class="arrivals" aria-label="Stored just now">
            {seen.map((each) => (
              <li key={each.id} class="arrival">
                <Icon name="check" />
                {each.filepath !== null && <PathText path={nameIn(each, "filepath")} />}
                <span class="hint number">{each.count > 1 ? `and ${count(each.count - 1)} more` : size(Number(each.details?.file_size ?? 0))}</span>
              </li>
            ))}
          </ul>
        )}
      </div>
    </Card>
  );
}
