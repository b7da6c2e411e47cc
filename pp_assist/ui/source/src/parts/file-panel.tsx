/** One file: where it stands and why, what can be done about it, its life so far, and how to get it back. */

import { useEffect, useRef } from "preact/hooks";
import { explain, resume, scan, steer } from "../api/routes";
import type { Explained, Receipt, Steer } from "../api/shapes";
import { useAsked, useDoing, type Doing } from "../live/asked";
import { nowMs, refresh } from "../live/connection";
import { ago, clock, count, exactly, size } from "../text/format";
import { bytesOf, parted, plainly, type Name } from "../text/names";
import { EVENTS, VERDICT } from "../text/words";
import { Button, Chip, Facts, Meter, Problem, Shown, sentence } from "./basics";
import { FetchBack } from "./fetch-back";
import { NameText } from "./name";
import { say } from "./said";

const ON = [
  "file_discovered", "file_changed", "file_missing", "file_moved", "file_deleted", "deletions_held", "sha256_complete", "sha256_failed", "upload_started",
  "upload_progress", "upload_complete", "upload_failed", "fetch_complete", "server", "steered", "scan_complete",
];
const EVERY_MS = 5_000; // not all that it may be for is an event: a pause, a time that has come

export function FilePanel({ path, onClose }: { path: Name; onClose: () => void }) {
  const asked = useAsked((asking) => explain(path, asking), [path], { on: ON, everyMs: EVERY_MS });
  const panel = useRef<HTMLElement>(null);
  const latest = useRef(onClose);
  latest.current = onClose;
  const doing = useDoing();
  const { folder, last } = parted(path);
  useEffect(() => {
    const before = document.activeElement;
    const escape = (event: KeyboardEvent) => {
      if (event.key === "Escape" && !(event.target as HTMLElement).closest("dialog, input, select, textarea")) latest.current();
    };
    document.addEventListener("keydown", escape); // wherever in the page one is
    panel.current?.querySelector<HTMLElement>("h2")?.focus();
    return () => {
      document.removeEventListener("keydown", escape);
      requestAnimationFrame(() => before instanceof HTMLElement && before.isConnected && before.focus()); // it may be hidden until then
    };
  }, []);
  return (
    <aside
      ref={panel}
      class="panel"
      aria-label={`File ${plainly(last)}`}
    >
      <div class="panel-head">
        <div>
          <h2 tabIndex={-1}>
            <NameText name={last} />
          </h2>
          <p class="panel-folder mono">
            <NameText name={folder} />
          </p>
        </div>
        <div class="actions">
          <Button kind="quiet" icon="copy" aria-label="Copy the path" title="Copy the path" onClick={() => void copy(path)} />
          <Button kind="quiet" icon="close" aria-label="Close" onClick={onClose} />
        </div>
      </div>
      <Shown asked={asked} lines={6} show={(found) => <Life path={path} found={found} doing={doing} again={asked.again} />} />
    </aside>
  );
}

function Life({ path, found, doing, again }: { path: Name; found: Explained; doing: Doing; again: () => void }) {
  const verdict = VERDICT[found.verdict] ?? { word: found.verdict, tone: "off" as const };
  const comesBack = useRef(false); // once it could be fetched, how that went stays to be seen
  comesBack.current ||= found.receipt !== null || found.verdict === "stored" || found.reason.code === "not_there";
  const isHard = found.verdict === "pending" && (found.reason.class === "person" || found.next_try_at !== null);
  return (
    <div class="stack">
      <div class="verdict">
        <Chip tone={isHard ? "warn" : verdict.tone}>{verdict.word}</Chip>
        <p>{sentence(found.reason.text)}</p>
        {found.rule && (
          <p class="hint">
            The line <code><NameText name={{ text: found.rule.pattern }} most={200} /></code>
            {found.rule.source.startsWith("/") ? (
              <>
                {" in "}
                <code><NameText name={{ text: found.rule.source }} most={200} /></code>
              </>
            ) : (
              ` of the ${{ setting: "setting rules.exclude", exclude: "rules for every folder", root: "rules of this folder" }[found.rule.source] ?? found.rule.source}`
            )}
            {found.rule.line !== null && `, line ${found.rule.line}`}
          </p>
        )}
        {found.next_try_at && <p class="hint">Tried again {ago(found.next_try_at, nowMs.value)}.</p>}
        {found.ahead !== null && <p class="hint">{found.ahead === 0 ? "Next in line." : `${count(found.ahead)} are before it.`}</p>}
        {found.progress && (
          <>
            <Meter label="Sent" done={found.progress.chunks_done} total={found.progress.chunks_total} />
            <p class="hint number">
              chunk {count(found.progress.chunks_done)} of {count(found.progress.chunks_total)}, {size(found.progress.bytes_total)} in all
            </p>
          </>
        )}
        {found.advice && <Advice text={found.advice} />}
      </div>
      <Ways path={path} found={found} doing={doing} again={again} />
      {doing.error && <Problem error={doing.error} />}
      {comesBack.current && <FetchBack path={path} sha256={found.sha256} />}
      <Story found={found} />
      <Proof found={found} />
    </div>
  );
}

/** What a person can do, in the daemon's words: mostly a command. */
function Advice({ text }: { text: string }) {
  const command = /^pp_assist [^:,;]+/.exec(text)?.[0];
  if (command === undefined) return <p class="hint">{sentence(text)}</p>;
  return (
    <p class="hint">
      In a terminal: <code>{command}</code>
      {text.slice(command.length)}
    </p>
  );
}

/** What can be done about it here and now. */
function Ways({ path, found, doing, again }: { path: Name; found: Explained; doing: Doing; again: () => void }) {
  const steered = (action: Steer, word: string) => () =>
    void doing.run(async () => {
      const { matched } = await steer(action, { path });
      say(matched === 0 ? "There was nothing to do that with any more." : word);
      again();
      refresh();
    });
  const code = found.reason.code;
  const ways: [string, () => void][] = [];
  if (code === "paused") ways.push(["Resume everything", () => void doing.run(async () => { await resume(); refresh(); again(); })]);
  if (code === "held_by_person") ways.push(["Release", steered("release", "Released.")]);
  else if (code === "cancelled" || found.next_try_at !== null) ways.push(["Try now", steered("retry", "It is tried now.")]);
  if (found.verdict === "pending" && found.path_id !== null && !["held", "held_by_person", "missing", "not_seen_yet"].includes(code)) {
    if (code === "in_line") ways.push(["To the front", steered("bump", "It is next.")]);
    ways.push(["Hold", steered("hold", "Held.")]);
    if (code !== "cancelled") ways.push(["Cancel", steered("cancel", "Cancelled: it is left alone until it changes.")]);
  }
  if (["not_seen_yet", "unreadable", "parked"].includes(code) || (found.verdict === "pending" && found.reason.class === "file"))
    ways.push(["Look now", () => void doing.run(async () => { await scan(path, true); say("It is looked at."); again(); })]);
  const to = { no_server: "#/servers", needs_login: "#/servers", not_allowed: "#/servers", server_untrusted: "#/servers", held: "#/held-deletions", root_unhealthy: "#/roots", not_watched: "#/roots" }[code];
  if (ways.length === 0 && to === undefined) return null;
  return (
    <div class="actions">
      {to && (
        <a class="button button-main" href={to}>
          {to === "#/servers" ? "To the servers" : to === "#/roots" ? "To the roots" : "Decide"}
        </a>
      )}
      {ways.map(([word, act]) => (
        <Button key={word} busy={doing.busy} onClick={act}>
          {word}
        </Button>
      ))}
    </div>
  );
}

function Story({ found }: { found: Explained }) {
  if (found.history.length === 0) return null;
  return (
    <section aria-label="Life line">
      <h3>Life line</h3>
      <ol class="life">
        {found.history.map((moment, at) => (
          <li key={`${moment.at}-${at}`} class={`tone-${toneOf(moment.event)}`}>
            <time title={exactly(moment.at)}>{clock(moment.at, nowMs.value)}</time>
            <span>{sentence(moment.text)}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}

const ROW_EVENTS: Record<string, string> = { stored: "good", hashed: "busy", discovered: "busy", queued: "busy", checked: "calm" };

function toneOf(event: string): string {
  return ROW_EVENTS[event] ?? EVENTS[event]?.tone ?? "calm";
}

function Proof({ found }: { found: Explained }) {
  const { sha256, gen } = found;
  const receipt = found.receipt as Receipt | null;
  if (receipt === null && sha256 === null) return null;
  return (
    <section aria-label="Proof">
      <h3>{receipt === null ? "Content" : "Receipt"}</h3>
      <Facts
        of={[
          ...(sha256 ? ([["SHA-256", <code class="digest">{sha256}</code>]] as [string, preact.ComponentChildren][]) : []),
          ...(gen !== null ? ([["Generation", count(gen)]] as [string, preact.ComponentChildren][]) : []),
          ...(receipt
            ? ([
                ["Receipt number", count(receipt.sequence)],
                ["Size", size(receipt.size)],
                ["Confirmed", exactly(receipt.stored_at)],
                ["Server", <code class="digest">{receipt.server_id}</code>],
              ] as [string, preact.ComponentChildren][])
            : []),
        ]}
      />
      {receipt?.sha256 && receipt.sha256 !== sha256 && <p class="hint">The receipt is for an earlier version.</p>}
    </section>
  );
}

async function copy(path: Name): Promise<void> {
  try {
    await navigator.clipboard.writeText(new TextDecoder().decode(bytesOf(path)));
    say(path.b64 === undefined ? "Copied." : "Copied; bytes that are no text are shown as �.");
  } catch {
    say("The browser did not let it be copied.");
  }
}
