/** How it stands, in one sentence, and everything the sentence is made of. */

import { pace as askPace, paths as askPaths } from "../api/routes";
import type { LedgerEntry, Queue, Stats, Status, WatchedPath } from "../api/shapes";
import { useAsked } from "../live/asked";
import { connection, nowMs, stats, status } from "../live/connection";
import { Card, Chip, Facts, Meter, sentence, Shown } from "../parts/basics";
import { Coverage } from "../parts/coverage";
import { Icon, type IconName } from "../parts/icons";
import { NameText } from "../parts/name";
import { Throughput } from "../parts/throughput";
import { age, ago, count, counted, exactly, rate, size } from "../text/format";
import { nameIn } from "../text/names";
import { inWords, obstacle, PATH_STATUS, screenFor, SUMMARY_TONE, type Tone } from "../text/words";
import { FirstRun, isWelcoming } from "./first-run";

const SIGN: Record<Tone, IconName> = { good: "check", busy: "transfers", calm: "pause", warn: "unplugged", bad: "held", off: "overview" };

export function Overview() {
  const [now, numbers] = [status.value, stats.value];
  if (now === null || numbers === null) return null;
  if (isWelcoming(now)) return <FirstRun />;
  return (
    <>
      <Sentence now={now} />
      <div class="stack">
        <Roots numbers={numbers} />
        <Flow now={now} numbers={numbers} />
        <Pace numbers={numbers} />
      </div>
    </>
  );
}

function Sentence({ now }: { now: Status }) {
  const isLive = connection.value.state === "live";
  const { state, reasons } = now.summary;
  const text = inWords(now.summary.text);
  const tone = isLive ? SUMMARY_TONE[state] : "off";
  const cut = text.indexOf("; ");
  const [first, rest] = cut < 0 ? [text, ""] : [`${text.slice(0, cut)}.`, text.slice(cut + 2)];
  return (
    <div class={`sentence tone-${tone}`}>
      <span class="sentence-sign" aria-hidden="true">
        <Icon name={isLive ? SIGN[tone] : "unplugged"} />
      </span>
      <div>
        <h1 id="screen-title" tabIndex={-1}>
          {first}
          {rest !== "" && (
            <span class="sentence-rest">
              {" "}
              <NameText name={{ text: sentence(rest) }} most={400} />
            </span>
          )}
        </h1>
        {reasons.length > 1 && (
          <ul class="reasons">
            {reasons.slice(1).map((reason, at) => (
              <li key={`${reason.code}-${at}`}>
                <ReasonText {...reason} />
              </li>
            ))}
          </ul>
        )}
        <FirstReason now={now} />
      </div>
    </div>
  );
}

function ReasonText({ code, text }: { code: string; text: string }) {
  const to = screenFor(code);
  const shown = <NameText name={{ text: inWords(text) }} most={300} />;
  return to === null ? shown : <a href={to}>{shown}</a>;
}

/** Where what the sentence names first can be looked at, or decided. */
function FirstReason({ now }: { now: Status }) {
  const first = now.summary.reasons[0];
  const to = first && screenFor(first.code);
  const word = { "#/held-deletions": "Decide", "#/servers": "See the server", "#/roots": "See the folders", "#/settings": "See the settings" };
  return to ? (
    <a class="sentence-way" href={to}>
      {word[to as keyof typeof word] ?? "See which"}
      <Icon name="next" />
    </a>
  ) : null;
}

/** The three components in the order a file passes them, each with what stands in line before it. */
function Flow({ now, numbers }: { now: Status; numbers: Stats }) {
  const { scanner, checksum_calculator, uploader } = numbers.components;
  const { pending_checksum, pending_upload } = numbers.queues;
  const pending_deletion = decided(numbers.queues.pending_deletion, now.held_deletions);
  const events = scanner.filesystem_events_active;
  const waits = now.upload_obstacle;
  return (
    <section class="flow" aria-label="Components and queues">
      <Component name="Scanner" status={scanner.status}>
        <p class="component-rate">
          <span class="number">{count(scanner.registered_paths)}</span> {scanner.registered_paths === 1 ? "folder" : "folders"} watched
        </p>
        <Facts
          of={[
            ["File-system events", <Chip tone={events ? "good" : "calm"}>{events ? "active" : "not active"}</Chip>],
            ["Last scan", <time title={exactly(scanner.last_scan_at)}>{ago(scanner.last_scan_at, nowMs.value)}</time>],
            ["Looked at by scans", counted(scanner.files_scanned, "name")],
            ["Found by events, by scans", `${count(scanner.announced_changes)}, ${count(scanner.missed_changes)}`],
            ["Next scan", <time title={exactly(scanner.next_scan_at)}>{scanner.next_scan_at === null ? "—" : ago(scanner.next_scan_at, nowMs.value)}</time>],
          ]}
        />
      </Component>
      <Component name="Checksum calculator" status={checksum_calculator.status}>
        <p class="component-rate">
          <span class="number">{rate(checksum_calculator.processing_rate)}</span> files/s
        </p>
        <Facts
          of={[
            ["Workers at work", count(checksum_calculator.active_workers)],
            ["Read since the start", count(checksum_calculator.total_processed)],
          ]}
        />
        <Line name="To be read" stage="checksum" queue={pending_checksum} oldest={pending_checksum.oldest_queued_at} />
      </Component>
      <Component name="Uploader" status={uploader.status} waits={waits}>
        <p class="component-rate">
          <span class="number">{rate(uploader.upload_rate)}</span> files/s
        </p>
        <Facts
          of={[
            ["Workers at work", count(uploader.active_workers)],
            ["Stored since the start", `${count(uploader.total_uploaded)} (${size(uploader.bytes_sent)} sent)`],
          ]}
        />
        <Line name="To be sent" stage="upload" queue={pending_upload} oldest={pending_upload.oldest_queued_at} />
        <Line name="Deletions" stage="deletion" queue={pending_deletion} oldest={pending_deletion.oldest_deleted_at} />
      </Component>
    </section>
  );
}

/** Return what waits of deletions, as it is decided about: *held* files, with whose folders nobody has to do. */
function decided(deletions: Queue, held: number): Queue {
  return { ...deletions, held, count: deletions.count - (deletions.held - held) };
}

function Component({ name, status: is, waits, children }: { name: string; status: string; waits?: string | null; children: preact.ComponentChildren }) {
  const works = is === "running";
  return (
    <section class="card component" aria-label={name}>
      <div class="card-head">
        <h2>{name}</h2>
        <Chip tone={!works ? "bad" : waits ? "warn" : "good"}>{!works ? is : waits ? "waits" : "running"}</Chip>
      </div>
      {works && waits && <p class="hint">Nothing is sent: {obstacle(waits)}.</p>}
      {children}
    </section>
  );
}

function Line({ name, stage, queue, oldest }: { name: string; stage: string; queue: Queue; oldest: string | null | undefined }) {
  const aside = (["backoff", "parked", "held"] as const).filter((each) => queue[each] > 0);
  return (
    <a class="line" href={stage === "deletion" && queue.held > 0 ? "#/held-deletions" : `#/transfers?stage=${stage}`} data-none={queue.count === 0}>
      <span class="line-name">{name}</span>
      <span class="number">{count(queue.count)}</span>
      <span class="line-age">
        {queue.count === 0 ? "nothing waits" : `oldest ${age(oldest, nowMs.value)}`}
        {aside.map((each) => (
          <span key={each} class="line-aside">
            {count(queue[each])} {each === "backoff" ? "to try again" : each}
          </span>
        ))}
      </span>
    </a>
  );
}

function Pace({ numbers }: { numbers: Stats }) {
  const asked = useAsked((asking) => askPace(300, asking), [], { everyMs: 1_500 });
  return <Shown asked={asked} lines={4} show={(pace) => <Throughput pace={pace} uploader={numbers.components.uploader} />} />;
}

function RootLine({ entry, path }: { entry: LedgerEntry; path: WatchedPath | undefined }) {
  const stands = path && path.status !== "healthy" ? PATH_STATUS[path.status] : undefined;
  return (
    <article class="root-line">
      <div class="root-line-head">
        <h3 class="mono">
          <NameText name={nameIn(entry, "path")} most={300} />
        </h3>
        {stands && (
          <span title={path?.reason ?? undefined}>
            <Chip tone={stands.tone}>{stands.word}</Chip>
          </span>
        )}
      </div>
      <Coverage entry={entry} isStale={path?.status === "unhealthy"} />
    </article>
  );
}

function Roots({ numbers }: { numbers: Stats }) {
  const { comparison } = status.value ?? {};
  const paths = useAsked(askPaths, [], { on: ["scan_complete", "error"], everyMs: 10_000 });
  return (
    <Card title="Coverage" aside={<a href="#/roots">{counted(status.value?.paths_watched ?? 0, "folder")}</a>}>
      <div class="stack">
        {numbers.ledger.map((entry) => (
          <RootLine key={entry.path_id} entry={entry} path={paths.data?.paths.find((each) => each.id === entry.path_id)} />
        ))}
        {numbers.ledger.length === 0 && <p class="hint">The names in the watched folders are being counted.</p>}
        {comparison && (
          <div>
            <p class="hint">
              Comparing <NameText name={nameIn(comparison, "path")} most={120} /> with what the server has: {count(comparison.read)} of {count(comparison.total)}
            </p>
            <Meter label="Comparison" done={comparison.read} total={comparison.total} />
          </div>
        )}
      </div>
    </Card>
  );
}
