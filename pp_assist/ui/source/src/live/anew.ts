/** Asking anew because something may have changed: soon, never over an answer that is awaited, and once when somebody looks again. */

import { effect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { begun, listen } from "./stream";

interface Around {
  /** How long others of the same kind are waited for. */
  soonMs: number;
  /** Whether an answer is awaited: asking over it again and again would mean that none ever comes. */
  isPending: () => boolean;
  isSeen: () => boolean;
}

export interface Wishes {
  /** Something has happened: ask soon. */
  wish: () => void;
  /** It is time: ask now, or not this time where an answer is awaited. */
  tick: () => void;
  /** Somebody looks, or does so no more. */
  looked: () => void;
  stop: () => void;
}

/** Return when *ask* is asked. Knows timers, and no page. */
export function wishes(ask: () => void, { soonMs, isPending, isSeen }: Around): Wishes {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let owed = false;
  const askOrWait = () => {
    timer = undefined;
    if (!isSeen()) owed = true;
    else if (isPending()) timer = setTimeout(askOrWait, soonMs);
    else ask();
  };
  return {
    wish: () => {
      timer ??= setTimeout(askOrWait, soonMs);
    },
    tick: () => {
      if (!isSeen()) owed = true;
      else if (!isPending()) ask();
    },
    looked: () => {
      if (!owed || !isSeen()) return;
      owed = false;
      clearTimeout(timer);
      askOrWait();
    },
    stop: () => clearTimeout(timer),
  };
}

interface Anew {
  /** Soon after one of these has happened. */
  on: readonly string[];
  soonMs: number;
  everyMs?: number | undefined;
  off?: boolean | undefined;
  isPending: () => boolean;
}

/** Have *ask* called whenever what it asks may be another. */
export function useAnew(ask: () => void, { on, soonMs, everyMs, off = false, isPending }: Anew): void {
  const latest = useRef({ ask, isPending });
  latest.current = { ask, isPending };
  const events = on.join(" ");
  useEffect(() => {
    if (off || (events === "" && everyMs === undefined)) return undefined;
    const wanted = new Set(events.split(" "));
    const asking = wishes(() => latest.current.ask(), { soonMs, isPending: () => latest.current.isPending(), isSeen: () => !document.hidden });
    const stop = listen((happened) => {
      if (happened.some((each) => wanted.has(each.event_type))) asking.wish();
    });
    const before = begun.peek();
    const stopMissing = effect(() => {
      if (begun.value !== before) asking.wish(); // it may have happened before anybody listened
    });
    const timer = everyMs === undefined ? undefined : setInterval(asking.tick, everyMs);
    document.addEventListener("visibilitychange", asking.looked);
    return () => {
      stop();
      stopMissing();
      asking.stop();
      clearInterval(timer);
      document.removeEventListener("visibilitychange", asking.looked);
    };
  }, [events, soonMs, everyMs, off]);
}
