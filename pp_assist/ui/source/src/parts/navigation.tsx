/** The way to every screen, with what is to be done there. */

import { useEffect, useState } from "preact/hooks";
import { leave } from "../api/routes";
import { session, stats, status } from "../live/connection";
import { count } from "../text/format";
import { Icon, Mark, type IconName } from "./icons";
import { nextWish, wish } from "./theme";

const ITEMS: { screen: string; word: string; icon: IconName }[][] = [
  [
    { screen: "overview", word: "Overview", icon: "overview" },
    { screen: "transfers", word: "Transfers", icon: "transfers" },
    { screen: "files", word: "Files", icon: "files" },
    { screen: "held-deletions", word: "Held deletions", icon: "held" },
    { screen: "activity", word: "Activity", icon: "activity" },
  ],
  [
    { screen: "roots", word: "Roots", icon: "roots" },
    { screen: "rules", word: "Rules", icon: "rules" },
    { screen: "servers", word: "Servers", icon: "servers" },
    { screen: "settings", word: "Settings", icon: "settings" },
  ],
];

/** What a screen is called in the window's title. */
export function titleOf(screen: string): string {
  return ITEMS.flat().find((item) => item.screen === screen)?.word ?? "Overview";
}

const WISH: Record<string, { icon: IconName; word: string }> = {
  system: { icon: "auto", word: "As the system" },
  light: { icon: "sun", word: "Light" },
  dark: { icon: "moon", word: "Dark" },
};

export function Navigation({ screen }: { screen: string }) {
  const [open, setOpen] = useState(false);
  useEffect(() => setOpen(false), [screen]);
  useEffect(() => {
    if (!open) return undefined;
    const escape = (event: KeyboardEvent) => event.key === "Escape" && setOpen(false);
    document.addEventListener("keydown", escape);
    return () => document.removeEventListener("keydown", escape);
  }, [open]);
  const queues = stats.value?.queues;
  const badges: Record<string, { many: number; says: string; calls?: boolean } | undefined> = queues && {
    transfers: { many: queues.pending_checksum.count + queues.pending_upload.count + queues.pending_deletion.count, says: "in line" },
    "held-deletions": { many: status.value?.held_deletions ?? 0, says: "to decide", calls: true },
  } || {};
  const look = WISH[wish.value];
  return (
    <nav class="side" aria-label="Screens" data-open={open}>
      <div class="side-top">
        <a class="brand" href="#/" aria-label="PutPlace Assist, overview">
          <Mark />
          <span>
            PutPlace <span class="brand-second">Assist</span>
          </span>
        </a>
        <button type="button" class="button button-quiet side-toggle" aria-expanded={open} aria-controls="navigation" onClick={() => setOpen(!open)}>
          <Icon name={open ? "close" : "menu"} />
          <span class="unseen">Menu</span>
        </button>
      </div>
      <div class="side-rest" id="navigation">
        <div class="side-screens">
          {ITEMS.map((group, at) => (
            <ul key={at}>
              {group.map((item) => {
                const badge = badges[item.screen];
                return (
                  <li key={item.screen}>
                    <a href={`#/${item.screen}`} aria-current={item.screen === screen ? "page" : undefined} onClick={() => setOpen(false)}>
                      <Icon name={item.icon} />
                      <span>{item.word}</span>
                      {badge && badge.many > 0 && (
                        <span class={badge.calls ? "badge badge-calls" : "badge"}>
                          {count(badge.many)}
                          <span class="unseen"> {badge.says}</span>
                        </span>
                      )}
                    </a>
                  </li>
                );
              })}
            </ul>
          ))}
        </div>
        <div class="side-foot">
          <button type="button" class="button button-quiet" onClick={nextWish}>
            <Icon name={look?.icon ?? "auto"} />
            <span>
              <span class="unseen">Colours: </span>
              {look?.word}
            </span>
          </button>
          {status.value && (
            <p class="hint side-host">
              {status.value.hostname}
              <br />
              version {status.value.version}
            </p>
          )}
          <button type="button" class="button button-quiet" onClick={() => void leave().catch(() => undefined).finally(() => (session.value = "out"))}>
            <Icon name="close" />
            <span>Sign out</span>
          </button>
        </div>
      </div>
    </nav>
  );
}
