/** What happens, as it happens: the daemon's stream, taken up again where it broke off. */

import { batch, effect, signal } from "@preact/signals";
import type { Happened } from "../api/shapes";
import { connection, refresh, session } from "./connection";
import { Frames } from "./frames";

const SILENCE_MS = 75_000; // the daemon says "still here" every 30 s
const RETRY_MS = 2_000;
const TOO_MANY = 503;
/** These come several times a second, and change no count. */
const PASSING = new Set(["upload_started", "upload_progress", "fetch_progress"]);

export type StreamState = "off" | "on" | "refused";
export const streaming = signal<StreamState>("off");
/** Grows where it begins anew instead of being taken up: what happened shortly before is in no answer, and told to nobody. */
export const begun = signal(0);

type Listener = (happened: Happened[]) => void;
const listeners = new Set<Listener>();
let lastId: string | null = null;

/** Have *listener* told what happens from now on; return how to stop that. */
export function listen(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Keep the stream open whenever the daemon is there. */
export async function keepListening(): Promise<never> {
  for (;;) {
    await until(() => session.value === "in" && connection.value.state === "live");
    const giveUp = new AbortController();
    try {
      await read(giveUp);
    } catch {
      refresh(); // is the daemon gone, or only the stream?
    }
    giveUp.abort();
    if (streaming.peek() === "on") streaming.value = "off";
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

async function read(giveUp: AbortController): Promise<void> {
  const headers: Record<string, string> = lastId === null ? {} : { "Last-Event-ID": lastId };
  const answer = await fetch("/activity/stream", { headers, signal: giveUp.signal, cache: "no-store" });
  if (!answer.ok || answer.body === null) {
    if (answer.status === TOO_MANY) streaming.value = "refused";
    else streaming.value = "off"; // whether we are let in, and the daemon is there, is found out elsewhere
    refresh();
    return;
  }
  batch(() => {
    streaming.value = "on";
    if (lastId === null) begun.value += 1;
  });
  const frames = new Frames();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const silence = setTimeout(() => giveUp.abort(), SILENCE_MS);
    const { done, value } = await reader.read().finally(() => clearTimeout(silence));
    if (done) return;
    hand(frames.take(value).flatMap(({ id, event, data }) => {
      const said = JSON.parse(data) as Happened & { last_event_id: number };
      lastId = id ?? String(said.last_event_id);
      return event === "connected" ? [] : [said];
    }));
  }
}

function hand(happened: Happened[]): void {
  if (happened.length === 0) return;
  if (happened.some((each) => !PASSING.has(each.event_type))) refresh();
  for (const listener of listeners) listener(happened);
}

async function until(holds: () => boolean): Promise<void> {
  await new Promise<void>((resolve) => {
    const stop = effect(() => {
      if (holds()) queueMicrotask(() => { stop(); resolve(); });
    });
  });
}
