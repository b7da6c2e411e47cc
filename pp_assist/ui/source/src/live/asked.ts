/** What a screen shows of an answer: asked when it is needed, and again when it may have changed. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { isAbort, type Asking } from "../api/client";
import { useAnew } from "./anew";
import { connection, reconnected } from "./connection";

export interface Asked<T> {
  data: T | undefined;
  error: Error | undefined;
  /** The answer to what is asked now has not come yet. */
  loading: boolean;
  again: () => void;
}

export interface When {
  /** Every so often, while the page is seen; an answer that takes longer is waited for. */
  everyMs?: number;
  /** Soon after one of these has happened. */
  on?: readonly string[];
  /** Not at all for now. */
  off?: boolean;
}

const SOON_MS = 500;

/** Ask *ask*, anew whenever one of *inputs* is another; the last answer stays until the next one is there. */
export function useAsked<T>(ask: (asking: Asking) => Promise<T>, inputs: unknown[], when: When = {}): Asked<T> {
  const [turn, setTurn] = useState(0);
  const [answer, setAnswer] = useState<{ data?: T; error?: Error; of: string }>({ of: "" });
  const key = `${JSON.stringify(inputs)} ${reconnected.value}`;
  const latest = useRef(ask);
  latest.current = ask;
  const again = useCallback(() => setTurn((before) => before + 1), []);

  const pending = useRef(false);
  useEffect(() => {
    if (when.off) return undefined;
    const giveUp = new AbortController();
    pending.current = true;
    latest
      .current({ signal: giveUp.signal })
      .then((data) => {
        if (!giveUp.signal.aborted) setAnswer({ data, of: key });
      })
      .catch((error: unknown) => {
        if (!isAbort(error) && !giveUp.signal.aborted)
          setAnswer((before) => ({ ...(before.data !== undefined && { data: before.data }), error: error as Error, of: key }));
      })
      .finally(() => {
        if (!giveUp.signal.aborted) pending.current = false;
      });
    return () => {
      giveUp.abort();
      pending.current = false;
    };
  }, [key, turn, when.off]);

  const askIfThere = () => {
    if (connection.peek().state === "live") again(); // else it is asked anew once the daemon is there
  };
  useAnew(askIfThere, { on: when.on ?? [], soonMs: SOON_MS, everyMs: when.everyMs, off: when.off, isPending: () => pending.current });

  return { data: answer.data, error: answer.of === key ? answer.error : undefined, loading: answer.of !== key, again };
}

export interface Doing {
  busy: boolean;
  error: Error | null;
  /** Do it, one at a time; true: it went well. */
  run: (work: () => Promise<unknown>) => Promise<boolean>;
  clear: () => void;
}

/** Something a person asks for: whether it is under way, and what was wrong with it. */
export function useDoing(): Doing {
  const [state, setState] = useState<{ busy: boolean; error: Error | null }>({ busy: false, error: null });
  const busy = useRef(false);
  const run = useCallback(async (work: () => Promise<unknown>) => {
    if (busy.current) return false;
    busy.current = true;
    setState({ busy: true, error: null });
    try {
      await work();
      setState({ busy: false, error: null });
      return true;
    } catch (error) {
      setState({ busy: false, error: error as Error });
      return false;
    } finally {
      busy.current = false;
    }
  }, []);
  const clear = useCallback(() => setState({ busy: busy.current, error: null }), []);
  return { ...state, run, clear };
}
