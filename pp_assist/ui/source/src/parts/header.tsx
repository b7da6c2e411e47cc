/** What can be done everywhere: look at everything now, pause and go on. And how it stands, in a word. */

import { pause, resume, scan } from "../api/routes";
import { wordsOf } from "../api/client";
import type { SummaryState } from "../api/shapes";
import { useDoing } from "../live/asked";
import { connection, nowMs, refresh, status } from "../live/connection";
import { ago, clock } from "../text/format";
import { SUMMARY_TONE } from "../text/words";
import { Button, Chip } from "./basics";
import { Menu } from "./menu";
import { say } from "./said";

const WORD: Record<SummaryState, string> = {
  up_to_date: "Everything stored",
  working: "Working",
  paused: "Paused",
  blocked: "Waiting for the server",
  needs_you: "Needs you",
  nothing_watched: "Nothing watched yet",
};

const MINUTE = 60;

export function Header() {
  const now = status.value;
  const isLive = connection.value.state === "live";
  const scanning = useDoing();
  const pausing = useDoing();
  const doSay = (doing: typeof scanning, work: () => Promise<string>) =>
    void doing.run(async () => {
      try {
        say(await work());
        refresh();
      } catch (error) {
        say(wordsOf(error));
        throw error;
      }
    });
  const hold = (seconds: number | null, word: string) =>
    doSay(pausing, async () => {
      await pause(seconds);
      return `Paused ${word}.`;
    });
  return (
    <header class="header">
      <div class="header-state">
        <span role="status" class="chips">
          {now === null ? null : isLive ? (
            <Chip tone={SUMMARY_TONE[now.summary.state]}>{WORD[now.summary.state]}</Chip>
          ) : (
            <Chip tone="off">{`As of ${clock(new Date(connection.value.answeredAtMs ?? nowMs.value).toISOString(), nowMs.value)}`}</Chip>
          )}
        </span>
        {now?.paused?.until && isLive && <span class="hint header-until">goes on {ago(now.paused.until, nowMs.value)}</span>}
      </div>
      <div class="header-actions">
        <Button
          icon="scan"
          busy={scanning.busy}
          disabled={!isLive || now?.paths_watched === 0}
          onClick={() =>
            doSay(scanning, async () => {
              const { paths } = await scan();
              return paths.length === 1 ? "A scan of the folder has started." : `A scan of ${paths.length} folders has started.`;
            })
          }
        >
          Scan now
        </Button>
        {now?.paused ? (
          <Button
            icon="play"
            kind="main"
            busy={pausing.busy}
            disabled={!isLive}
            onClick={() =>
              doSay(pausing, async () => {
                await resume();
                return "It goes on.";
              })
            }
          >
            Resume
          </Button>
        ) : (
          <Menu
            icon="pause"
            label="Pause"
            busy={pausing.busy || !isLive}
            choices={[
              { word: "For 15 minutes", choose: () => hold(15 * MINUTE, "for 15 minutes") },
              { word: "For an hour", choose: () => hold(60 * MINUTE, "for an hour") },
              { word: "Until tomorrow, 8:00", choose: () => hold(untilMorning(new Date()), "until tomorrow, 8:00") },
              { word: "Until I resume", choose: () => hold(null, "until you resume") },
            ]}
          >
            Pause
          </Menu>
        )}
      </div>
    </header>
  );
}

function untilMorning(now: Date): number {
  const morning = new Date(now);
  morning.setDate(now.getDate() + 1);
  morning.setHours(8, 0, 0, 0);
  return Math.round((morning.getTime() - now.getTime()) / 1000);
}
