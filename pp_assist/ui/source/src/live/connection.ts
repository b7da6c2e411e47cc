/** Whether what the page shows is how it is now. One loop asks how it stands, and its word alone decides. */

import { batch, computed, effect, signal } from "@preact/signals";
import { NotReached, onAnswer, Refused } from "../api/client";
import * as routes from "../api/routes";
import type { Stats, Status } from "../api/shapes";

export type Session = "unknown" | "in" | "out";

export interface Connection {
  state: "connecting" | "live" | "lost";
  /** When the last answer came; null: none ever did. */
  answeredAtMs: number | null;
  /** When it is tried again. */
  retryAtMs: number | null;
  why: string | null;
}

/** Numbers that are older are not how it is now. */
const SOON = { timeoutMs: 6_000 };
const IDLE_MS = 4_000;
const BUSY_MS = 1_500;
const SOONEST_MS = 700;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 10_000;

export const session = signal<Session>("unknown");
export const connection = signal<Connection>({ state: "connecting", answeredAtMs: null, retryAtMs: null, why: null });
/** Grows each time the daemon is there again: whoever shows something asks anew. */
export const reconnected = signal(0);
export const status = signal<Status | null>(null);
export const stats = signal<Stats | null>(null);
/** The time, as far as what is shown depends on it. */
export const nowMs = signal(Date.now());
/** The same where ten seconds more or less do not count: long lists are not drawn anew for each. */
export const nowRoughlyMs = computed(() => Math.floor(nowMs.value / 10_000) * 10_000);

let wake: () => void = () => undefined;
let wanted = false;

/** Have it asked soon how it stands, because something has happened. */
export function refresh(): void {
  wanted = true;
  wake();
}

/** Ask, for as long as the page is there. */
export async function keepAsking(): Promise<never> {
  onAnswer((problem) => {
    if (problem instanceof Refused && problem.status === 401) session.value = "out";
    if (problem instanceof NotReached) refresh();
  });
  setInterval(() => {
    if (!document.hidden) nowMs.value = Date.now();
  }, 1000);
  document.addEventListener("visibilitychange", refresh);
  window.addEventListener("online", refresh);
  effect(() => {
    if (session.value === "in") refresh();
  });
  for (let failures = 0; ; ) {
    if (session.peek() !== "in" || document.hidden) {
      await pause(60_000);
      continue;
    }
    const problem = await askOnce();
    failures = problem === null ? 0 : failures + 1;
    if (problem === null) {
      await pause(SOONEST_MS, false);
      await pause(isBusy() ? BUSY_MS : IDLE_MS);
    } else {
      const waitMs = Math.min(FIRST_RETRY_MS * 2 ** (failures - 1), LAST_RETRY_MS);
      lost(problem, Date.now() + waitMs);
      await pause(waitMs, failures > 1);
    }
  }
}

async function askOnce(): Promise<Error | null> {
  wanted = false;
  try {
    const [newStatus, newStats] = await Promise.all([routes.status(SOON), routes.stats(SOON)]);
    const before = connection.peek().state;
    batch(() => {
      status.value = newStatus;
      stats.value = newStats;
      nowMs.value = Date.now();
      connection.value = { state: "live", answeredAtMs: Date.now(), retryAtMs: null, why: null };
      if (before === "lost") reconnected.value += 1;
    });
    return null;
  } catch (error) {
    return session.peek() === "out" ? null : (error as Error);
  }
}

function lost(problem: Error, retryAtMs: number): void {
  connection.value = { ...connection.peek(), state: "lost", retryAtMs, why: problem.message };
}

function isBusy(): boolean {
  return status.peek()?.summary.state !== "up_to_date";
}

/** Return after *ms*, or as soon as somebody wants to know, where that *counts*. */
async function pause(ms: number, counts = true): Promise<void> {
  if (!counts || !wanted) await sleep(ms, counts);
  if (counts) wanted = false;
}

async function sleep(ms: number, counts: boolean): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    wake = () => {
      if (!counts) return;
      clearTimeout(timer);
      resolve();
    };
  });
  wake = () => undefined;
}
