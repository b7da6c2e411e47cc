/** Asks the daemon, and says in one way what went wrong. */

/** What came back instead of an answer. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly fields: { field: string; message: string }[] = [],
  ) {
    super(detail);
  }
}

/** Nothing came back: the daemon does not run, or does not answer. */
export class NotReached extends Error {}

type Told = (problem: Refused | NotReached | null) => void;

const TIMEOUT_MS = 20_000;
let tell: Told = () => undefined;

/** Let *told* hear of every answer (null), and of every one that did not come or that we may not have. */
export function onAnswer(told: Told): void {
  tell = told;
}

export interface Asking {
  signal?: AbortSignal | undefined;
  /** How long to wait; a scan, say, may take its time. */
  timeoutMs?: number;
}

export async function get<T>(path: string, asking: Asking = {}): Promise<T> {
  return ask<T>("GET", path, undefined, asking);
}

export async function post<T>(path: string, body: object = {}, asking: Asking = {}): Promise<T> {
  return ask<T>("POST", path, body, asking);
}

export async function remove<T>(path: string, asking: Asking = {}): Promise<T> {
  return ask<T>("DELETE", path, {}, asking);
}

async function ask<T>(method: string, path: string, body: object | undefined, asking: Asking): Promise<T> {
  const limit = AbortSignal.timeout(asking.timeoutMs ?? TIMEOUT_MS);
  const signal = asking.signal === undefined ? limit : AbortSignal.any([asking.signal, limit]);
  const options: RequestInit = { method, signal, cache: "no-store", credentials: "same-origin" };
  if (body !== undefined) {
    options.headers = { "Content-Type": "application/json", "X-PutPlace-CSRF": "1" };
    options.body = JSON.stringify(body);
  }
  let answer: Response;
  let said: unknown;
  try {
    answer = await fetch(path, options);
    said = await answer.json().catch((error: unknown) => {
      if (error instanceof SyntaxError) return null; // no JSON: not an answer of ours
      throw error;
    });
  } catch (error) {
    if (asking.signal?.aborted) throw error; // nobody wants it any more
    const problem = new NotReached(limit.aborted ? "the daemon did not answer in time" : "the daemon does not answer");
    tell(problem);
    throw problem;
  }
  if (!answer.ok || said === null) {
    const problem = refusal(answer.status, said);
    tell(problem);
    throw problem;
  }
  tell(null);
  return said as T;
}

export function refusal(status: number, said: unknown): Refused {
  const body = (typeof said === "object" && said !== null ? said : {}) as Record<string, unknown>;
  const detail = typeof body.detail === "string" ? body.detail : `the daemon answered ${status}`;
  const code = typeof body.code === "string" ? body.code : "unknown";
  return new Refused(status, code, detail, fieldsOf(body.errors, detail));
}

/** Return which fields are wrong: listed, or named in front of what is said about them. */
function fieldsOf(errors: unknown, detail: string): { field: string; message: string }[] {
  if (Array.isArray(errors)) return errors as { field: string; message: string }[];
  return detail.split("; ").flatMap((each) => {
    const found = /^([a-z_]+(?:\.[a-z_0-9]+)*): (.+)$/s.exec(each);
    return found?.[1] && found[2] ? [{ field: found[1], message: found[2] }] : [];
  });
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
