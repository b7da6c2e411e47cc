/** What is being read and sent at this moment, and what waits, and why. */

import { useMemo, useRef, useState } from "preact/hooks";
import { queue as askQueue, steer } from "../api/routes";
import type { LineState, QueueItem, Steer } from "../api/shapes";
import { useAsked, useDoing } from "../live/asked";
import { nowMs, nowRoughlyMs, refresh, stats, status } from "../live/connection";
import { Speeds } from "../live/speeds";
import { Button, Card, Chip, Empty, Meter, Problem, Screen } from "../parts/basics";
import { FilePanel } from "../parts/file-panel";
import { SelectField } from "../parts/fields";
import { Grid, type Column } from "../parts/grid";
import { PathText } from "../parts/name";
import { say } from "../parts/said";
import { change, route, said } from "../route";
import { age, ago, count, counted, duration, exactly, listed, size, speed } from "../text/format";
import { fromQuery, inQuery, nameIn, plainly } from "../text/names";
import { LINE_STATE, obstacle, spaced, STAGE } from "../text/words";

const EVERY_MS = 1_000;
const MOST_SHOWN = 12;
const EVENTS = ["file_discovered", "file_changed", "sha256_complete", "sha256_failed", "upload_complete", "upload_failed", "file_deleted", "steered"];

const STAGES: [string, string][] = [
  ["", "Any stage"],
  ["checksum", "To be read"],
  ["upload", "To be sent"],
  ["vanished", "Missing, looked for again"],
  ["deletion", "Deletions to be told"],
];
const STATES: [string, string][] = [["", "Any state"], ...Object.entries(LINE_STATE).map(([state, { word }]): [string, string] => [state, word])];

const ACTIONS: { action: Steer; word: string; done: string; title: string }[] = [
  { action: "bump", word: "To the front", done: "to the front", title: "Their turn is next" },
  { action: "hold", word: "Hold", done: "held", title: "Neither read nor sent until you release them" },
  { action: "release", word: "Release", done: "released", title: "They go on" },
  { action: "retry", word: "Retry", done: "tried now", title: "Tried at once, what failed or was cancelled" },
  { action: "cancel", word: "Cancel", done: "cancelled", title: "Left alone, as pending, until they change" },
];

export function Transfers() {
  const waits = status.value?.upload_obstacle;
  return (
    <Screen title="Transfers" says={waits ? `Nothing is sent now: ${obstacle(waits)}.` : undefined}>
      <div class="stack">
        <UnderWay />
        <InLine />
      </div>
    </Screen>
  );
}

function UnderWay() {
  const speeds = useRef(new Speeds());
  const asked = useAsked(
    async (asking) => {
      const page = await askQueue({ active: true }, 200, 0, asking);
      const active = page.items.filter((item) => item.active);
      const single = active.filter((item) => item.lane !== "small");
      speeds.current.note(single.filter((item) => item.chunks_total !== null).map((item) => ({ id: item.id, done: doneOf(item) })), Date.now());
      const { small, more } = { small: active.length - single.length, more: page.total - page.items.length };
      return { single: single.sort((one, other) => Number(other.chunks_total !== null) - Number(one.chunks_total !== null)), small: small === 0 ? 0 : small + more };
    },
    [],
    { everyMs: EVERY_MS },
  );
  const { single: items, small } = asked.data ?? { single: [], small: 0 };
  const { checksum_calculator, uploader } = stats.value?.components ?? {};
  return (
    <Card title="Under way" aside={checksum_calculator && uploader ? `${counted(checksum_calculator.active_workers, "worker")} read, ${count(uploader.active_workers)} send` : undefined}>
      {asked.error && <Problem error={asked.error} again={asked.again} />}
      {items.length === 0 && small === 0 ? (
        <p class="hint">{asked.data === undefined ? "…" : "Nothing is being read or sent at this moment."}</p>
      ) : (
        <ul class="under-way">
          {items.slice(0, MOST_SHOWN).map((item) => (
            <Moving key={item.id} item={item} perSecond={speeds.current.of(item.id)} left={speeds.current.secondsFor(item.id, (item.bytes_total ?? 0) - doneOf(item))} />
          ))}
          {small > 0 && (
            <li class="moving-head">
              <span>{counted(small, "small file")}, many in one go</span>
              <Chip tone="busy">being read or sent</Chip>
            </li>
          )}
          {items.length > MOST_SHOWN && <li class="hint">and {count(items.length - MOST_SHOWN)} more</li>}
        </ul>
      )}
    </Card>
  );
}

function doneOf(item: QueueItem): number {
  return item.chunks_total ? Math.floor(((item.bytes_total ?? 0) * (item.chunks_done ?? 0)) / item.chunks_total) : 0;
}

function Moving({ item, perSecond, left }: { item: QueueItem; perSecond: number | null; left: number | null }) {
  const path = nameIn(item, "filepath");
  const { chunks_done: done, chunks_total: total } = item;
  return (
    <li class="moving">
      <div class="moving-head">
        <button type="button" class="link-plain" onClick={() => change({ open: inQuery(path) }, true)}>
          <PathText path={path} />
        </button>
        <Chip tone="busy">{item.stage === "checksum" ? "being read" : item.stage === "upload" ? "being sent" : STAGE[item.stage]}</Chip>
      </div>
      {total !== null && done !== null ? (
        <>
          <Meter label={`${plainly(path)}: sent`} done={done} total={total} text={`chunk ${done} of ${total}`} />
          <div class="moving-facts number">
            <span>
              chunk {count(done)} of {count(total)}
            </span>
            <span>
              {size(doneOf(item))} of {size(item.bytes_total)}
            </span>
            <span>{perSecond === null ? "…" : speed(perSecond)}</span>
            <span>{left === null ? "time left not known" : `${duration(left)} left`}</span>
          </div>
        </>
      ) : (
        <div class="moving-facts number">
          <span>{size(item.bytes_total)}</span>
        </div>
      )}
    </li>
  );
}

function columns(marks: { has: (row: QueueItem) => boolean; toggle: (row: QueueItem) => void }): Column<QueueItem>[] {
  return [
    {
      head: "Marked",
      class: "cell-mark",
      cell: (item) => (
        <span
          class="mark-box"
          data-on={marks.has(item)}
          title="Mark (space)"
          onClick={(event) => {
            event.stopPropagation();
            marks.toggle(item);
          }}
        />
      ),
    },
    { head: "Path", class: "cell-path", cell: (item) => <PathText path={nameIn(item, "filepath")} /> },
    { head: "Next", class: "cell-stage", cell: (item) => STAGE[item.stage] },
    { head: "Why it waits", class: "cell-status", cell: (item) => <Why item={item} /> },
    { head: "Size", class: "cell-number", cell: (item) => size(item.bytes_total) },
    { head: "In line for", class: "cell-time", cell: (item) => <time title={exactly(item.queued_at)}>{age(item.queued_at, nowRoughlyMs.value)}</time> },
  ];
}

function Why({ item }: { item: QueueItem }) {
  if (item.active) return <Chip tone="busy">at work</Chip>;
  const { word, tone } = LINE_STATE[item.state as LineState];
  const until = item.eligible_at !== null && Date.parse(item.eligible_at) > nowMs.value ? ago(item.eligible_at, nowMs.value) : null;
  const why = item.reason && item.reason !== item.state ? spaced(item.reason) : null;
  return (
    <span title={item.last_error ?? undefined}>
      <Chip tone={tone}>
        {word}
        {until && ` ${until}`}
        {why && <span class="chip-more">{why}</span>}
      </Chip>
    </span>
  );
}

function InLine() {
  const { query } = route.value;
  const [marked, setMarked] = useState<ReadonlySet<number>>(new Set());
  const [total, setTotal] = useState<number | null>(null);
  const [again, setAgain] = useState(0);
  const doing = useDoing();
  const [stage, state] = [said("stage"), said("state")];
  const opened = query.open === undefined ? null : fromQuery(query.open);
  const marks = {
    has: (item: QueueItem) => marked.has(item.id),
    toggle: (item: QueueItem) => {
      const next = new Set(marked);
      if (!next.delete(item.id)) next.add(item.id);
      setMarked(next);
    },
  };
  const shown = useMemo(() => columns(marks), [marked]);
  const act = (action: Steer, done: string) =>
    void doing.run(async () => {
      const { matched } = await steer(action, { ids: [...marked] });
      say(`${counted(matched, "file")} ${done}${matched < marked.size ? `; with ${count(marked.size - matched)} that cannot be done` : ""}.`);
      setMarked(new Set());
      setAgain((n) => n + 1);
      refresh();
    });
  return (
    <Card title="In line" aside={total === null ? undefined : listed(total, "name", stage !== "" || state !== "")}>
      <div class="filters">
        <SelectField label="Stage" hideLabel value={stage} choices={STAGES} onInput={(next) => change({ stage: next })} />
        <SelectField label="State" hideLabel value={state} choices={STATES} onInput={(next) => change({ state: next })} />
        <div class="marks" role="group" aria-label="With the marked files">
          <span class="hint number" role="status">
            {marked.size === 0 ? "Mark files to act on them" : `${count(marked.size)} marked`}
          </span>
          {marked.size > 0 && (
            <>
              {ACTIONS.map(({ action, word, done, title }) => (
                <Button key={action} title={title} busy={doing.busy} onClick={() => act(action, done)}>
                  {word}
                </Button>
              ))}
              <Button kind="quiet" icon="close" aria-label="Unmark all" onClick={() => setMarked(new Set())} />
            </>
          )}
        </div>
      </div>
      {doing.error && <Problem error={doing.error} />}
      <div class="with-panel" data-open={opened !== null}>
        <Grid
          label="In line"
          layout="layout-line"
          of={JSON.stringify([stage, state])}
          load={async (limit, offset, asking) => {
            const page = await askQueue({ stage, state }, limit, offset, asking);
            return { rows: page.items, total: page.total };
          }}
          columns={shown}
          marks={marks}
          onOpen={(item) => change({ open: inQuery(nameIn(item, "filepath")) }, true)}
          onTotal={setTotal}
          events={EVENTS}
          again={again}
          empty={<Empty icon="check" title={stage || state ? "Nothing like that is in line" : "Nothing waits"} />}
        />
        {opened && <FilePanel key={query.open} path={opened} onClose={() => change({ open: "" })} />}
      </div>
    </Card>
  );
}
