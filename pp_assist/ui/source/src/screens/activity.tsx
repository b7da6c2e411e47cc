/** What happened, newest first, and what happens while one looks. */

import { useEffect, useRef, useState } from "preact/hooks";
import { activity as askActivity } from "../api/routes";
import type { Happened } from "../api/shapes";
import { useAsked, useDoing } from "../live/asked";
import { nowRoughlyMs } from "../live/connection";
import { isLike, unlisted } from "../live/events";
import { begun, listen, streaming } from "../live/stream";
import { Bones, Button, Chip, Empty, Problem, Screen } from "../parts/basics";
import { SelectField } from "../parts/fields";
import { NameText, PathText } from "../parts/name";
import { Search } from "../parts/search";
import { change, said } from "../route";
import { clock, count, counted, exactly, listed, size } from "../text/format";
import { inQuery, nameIn, parted } from "../text/names";
import { EVENTS, SERVER_STATE, spaced } from "../text/words";

const PAGE = 100;
const MOST_LIVE = 300;
const TOGETHER_MS = 400;
const PASSING = new Set(["upload_progress", "fetch_progress"]);
const KINDS: [string, string][] = [
  ["", "Everything"],
  ...Object.entries(EVENTS)
    .filter(([event]) => !PASSING.has(event) && event !== "upload_started" && event !== "fetch_started")
    .map(([event, { word }]): [string, string] => [event, word === "Server" ? "The server" : word === "You" ? "What you did" : word]),
];

export function Activity() {
  const [event_type, text] = [said("event"), said("text")];
  const asked = useAsked((asking) => askActivity({ event_type, text }, PAGE, asking), [event_type, text, begun.value]);
  const [live, setLive] = useState<Happened[]>([]);
  const [older, setOlder] = useState<{ events: Happened[]; more: boolean } | null>(null);
  const [stopped, setStopped] = useState(false);
  const waiting = useRef<Happened[]>([]);
  const shown = useRef(0);
  shown.current = live.length;
  const doing = useDoing();

  const kept = asked.data?.events ?? [];

  useEffect(() => {
    setLive((before) => unlisted(before, kept));
    setOlder(null);
    waiting.current = unlisted(waiting.current, kept);
  }, [asked.data]);
  useEffect(
    () =>
      listen((happened) => {
        const fits = happened.filter((each) => !PASSING.has(each.event_type) && isLike(each, event_type, text)).reverse();
        if (fits.length === 0) return;
        waiting.current = [...fits, ...waiting.current].slice(0, MOST_LIVE);
      }),
    [event_type, text],
  );
  useEffect(() => {
    if (stopped) return undefined;
    const timer = setInterval(() => {
      const all = waiting.current;
      waiting.current = [];
      if (all.length + shown.current >= MOST_LIVE) asked.again(); // the newest page instead: nothing is left out in between
      else if (all.length > 0) setLive((before) => [...all, ...before]);
    }, TOGETHER_MS);
    return () => clearInterval(timer);
  }, [stopped]);

  const events = [...unlisted(live, kept).filter((each) => isLike(each, event_type, text)), ...kept, ...(older?.events ?? [])];
  const hasMore = older === null ? (asked.data?.has_more ?? false) : older.more;
  return (
    <Screen
      title="Activity"
      says={listed(asked.loading ? null : (asked.data?.total ?? null), "event", event_type !== "" || text !== "")}
      actions={
        <Button
          icon={stopped ? "play" : "pause"}
          aria-pressed={stopped}
          onClick={() => setStopped(!stopped)}
        >
          {stopped ? "Follow again" : "Stop following"}
        </Button>
      }
    >
      <Search of="Activity" label="Part of the path or message">
        <SelectField label="Kind of event" hideLabel value={event_type} choices={KINDS} onInput={(event) => change({ event })} />
      </Search>
      {streaming.value !== "on" && <p class="hint">New events do not come by themselves just now.</p>}
      {asked.error && <Problem error={asked.error} again={asked.again} />}
      {asked.data === undefined ? (
        <Bones lines={8} />
      ) : events.length === 0 ? (
        <Empty icon="activity" title={event_type || text ? "Nothing like that has happened" : "Nothing has happened yet"} />
      ) : (
        <>
          <ol class="events">
            {events.map((each) => (
              <Line key={each.id} happened={each} />
            ))}
          </ol>
          {doing.error && <Problem error={doing.error} />}
          {hasMore && (
            <Button
              busy={doing.busy}
              onClick={() =>
                void doing.run(async () => {
                  const page = await askActivity({ event_type, text, before_id: events.at(-1)?.id }, PAGE);
                  setOlder({ events: [...(older?.events ?? []), ...page.events], more: page.has_more });
                })
              }
            >
              Show older ones
            </Button>
          )}
        </>
      )}
    </Screen>
  );
}

function Line({ happened }: { happened: Happened }) {
  const { word, tone } = EVENTS[happened.event_type] ?? { word: spaced(happened.event_type), tone: "calm" as const };
  const path = happened.filepath === null ? null : nameIn(happened, "filepath");
  const says = messageOf(happened);
  const isFile = path !== null && parted(path).last.text !== "" && !["scan_started", "scan_complete", "deletions_held"].includes(happened.event_type);
  return (
    <li class="event">
      <time class="number" title={exactly(happened.created_at)}>
        {clock(happened.created_at, nowRoughlyMs.value)}
      </time>
      <Chip tone={tone}>{word}</Chip>
      <span class="event-what">
        {path !== null &&
          (isFile ? (
            <a href={`#/files?open=${inQuery(path)}`}>
              <PathText path={path} />
            </a>
          ) : (
            <PathText path={path} />
          ))}
        {says && (
          <span class={path === null ? "" : "event-message"}>
            <NameText name={{ text: says }} most={400} />
          </span>
        )}
      </span>
      <span class="event-facts number">{facts(happened)}</span>
    </li>
  );
}

function messageOf({ event_type, message, details }: Happened): string {
  if (event_type !== "server") return message ?? "";
  const state = String(details?.state ?? "");
  return `${String(details?.name ?? "")}: ${SERVER_STATE[state]?.word ?? spaced(state)}${message ? ` (${message})` : ""}`;
}

function facts({ count: many, event_type, details }: Happened): string {
  const parts: string[] = [];
  if (event_type === "scan_complete") parts.push(counted(many, "name"));
  else if (many > 1) parts.push(`and ${count(many - 1)} more`);
  if (typeof details?.file_size === "number") parts.push(size(details.file_size));
  else if (typeof details?.bytes_sent === "number" && details.bytes_sent > 0) parts.push(`${size(details.bytes_sent)} sent`);
  return parts.join(", ");
}
