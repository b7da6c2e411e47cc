/** A list that is too long to be had at once: its pages, got as they come into sight. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { isAbort, type Asking } from "../api/client";
import { useAnew } from "../live/anew";
import { connection, reconnected } from "../live/connection";
import { pagesOf } from "./window";

export const PAGE = 200;
const MOST_KEPT = 40;
const SETTLE_MS = 60;
const ANEW_MS = 2_000;

export interface Page<T> {
  rows: T[];
  total: number;
}

export type Load<T> = (limit: number, offset: number, asking: Asking) => Promise<Page<T>>;

export interface Pages<T> {
  total: number | null;
  error: Error | undefined;
  row: (at: number) => T | undefined;
  /** Say which rows are in sight: they are got if they are not there. */
  see: (first: number, end: number) => void;
  again: () => void;
}

interface Kept<T> {
  of: string;
  pages: Map<number, T[]>;
  total: number | null;
  error: Error | undefined;
}

export function usePages<T>(load: Load<T>, key: string, events: readonly string[]): Pages<T> {
  const kept = useRef<Kept<T>>({ of: key, pages: new Map(), total: null, error: undefined });
  const asked = useRef(new Map<number, AbortController>());
  const seen = useRef({ first: 0, end: 1 });
  const latest = useRef(load);
  const [, draw] = useState(0);
  latest.current = load;

  if (kept.current.of !== key) kept.current = { of: key, pages: new Map(), total: null, error: undefined };

  const get = useCallback((page: number) => {
    const of = kept.current.of;
    const giveUp = new AbortController();
    asked.current.set(page, giveUp);
    latest
      .current(PAGE, page * PAGE, { signal: giveUp.signal })
      .then(({ rows, total }) => {
        if (kept.current.of !== of) return;
        kept.current.pages.set(page, rows);
        kept.current.total = total;
        kept.current.error = undefined;
        forgetFar(kept.current.pages, seen.current.first / PAGE);
      })
      .catch((error: unknown) => {
        if (!isAbort(error) && kept.current.of === of) kept.current.error = error as Error;
      })
      .finally(() => {
        if (asked.current.get(page) === giveUp) asked.current.delete(page);
        draw((n) => n + 1);
      });
  }, []);

  /** Get what is in sight: all of it *anew*, or what is not there. */
  const getSeen = useCallback((anew: boolean) => {
    const wanted = new Set(pagesOf(seen.current.first, Math.max(seen.current.end, seen.current.first + 1), PAGE));
    for (const [page, giveUp] of asked.current) {
      if (anew || !wanted.has(page)) {
        giveUp.abort();
        asked.current.delete(page);
      }
    }
    if (anew) for (const page of kept.current.pages.keys()) if (!wanted.has(page)) kept.current.pages.delete(page);
    for (const page of wanted) if (anew || (!kept.current.pages.has(page) && !asked.current.has(page))) get(page);
  }, []);

  const settle = useRef<ReturnType<typeof setTimeout>>(undefined);
  const see = useCallback((first: number, end: number) => {
    seen.current = { first, end };
    clearTimeout(settle.current);
    settle.current = setTimeout(() => getSeen(false), SETTLE_MS);
  }, []);

  const again = useCallback(() => getSeen(true), []);
  useEffect(() => {
    again();
    return () => {
      clearTimeout(settle.current);
      for (const giveUp of asked.current.values()) giveUp.abort();
      asked.current.clear();
    };
  }, [key, reconnected.value]);

  const askIfThere = () => {
    if (connection.peek().state === "live") again();
  };
  useAnew(askIfThere, { on: events, soonMs: ANEW_MS, isPending: () => asked.current.size > 0 });

  const { pages, total, error } = kept.current;
  return { total, error, row: (at) => pages.get(Math.floor(at / PAGE))?.[at % PAGE], see, again };
}

function forgetFar(pages: Map<number, unknown>, near: number): void {
  while (pages.size > MOST_KEPT) {
    const farthest = [...pages.keys()].reduce((one, other) => (Math.abs(other - near) > Math.abs(one - near) ? other : one));
    pages.delete(farthest);
  }
}
