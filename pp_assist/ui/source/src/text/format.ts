/** Numbers, sizes, rates and times as people read them. Pure: what time it is, is an argument. */

const COUNT = new Intl.NumberFormat("en-US");
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export function count(number: number): string {
  return COUNT.format(number);
}

/** Return "1 file" or "1,203 files". */
export function counted(number: number, one: string, many = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** Return how long a list is; never beside a number that was counted otherwise. null: that is not known yet. */
export function listed(total: number | null, one: string, isFiltered: boolean): string {
  return total === null ? "Counting…" : `${counted(total, one)}${isFiltered ? " found" : ""}`;
}

export function size(bytes: number | null | undefined): string {
  if (bytes === null || bytes === undefined) return "—";
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? COUNT.format(value) : digits(value)} ${UNITS[unit]}`;
}

/** Return three significant digits, and no more places than that takes. */
export function digits(value: number): string {
  if (!Number.isFinite(value)) return "—";
  const places = Math.abs(value) >= 99.95 ? 0 : Math.abs(value) >= 9.995 ? 1 : 2;
  return value.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });
}

export function rate(perSecond: number): string {
  if (perSecond === 0) return "0";
  return perSecond >= 100 ? COUNT.format(Math.round(perSecond)) : perSecond.toLocaleString("en-US", { maximumFractionDigits: 1 });
}

export function speed(bytesPerSecond: number): string {
  return `${size(Math.round(bytesPerSecond))}/s`;
}

export function percent(part: number, whole: number): string {
  if (whole === 0) return "—";
  const share = (100 * part) / whole;
  if (part === whole) return "100 %";
  return `${Math.min(share, 99.9).toFixed(share >= 10 && share < 99 ? 0 : 1)} %`;  // never 100 before it is
}

/** Return a length of time in its two largest units. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const [minutes, hours, days] = [Math.floor(whole / 60), Math.floor(whole / 3600), Math.floor(whole / 86400)];
  if (minutes < 60) return joined(minutes, "min", whole % 60, "s");
  if (hours < 24) return joined(hours, "h", minutes % 60, "min");
  return joined(days, "d", hours % 24, "h");
}

function joined(large: number, unit: string, small: number, lesser: string): string {
  return small === 0 ? `${large} ${unit}` : `${large} ${unit} ${small} ${lesser}`;
}

/** Return a length of time below a minute with more of it. */
export function latency(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 60_000 ? `${digits(ms / 1000)} s` : duration(ms / 1000);
}

/** Return how long ago, or in how long: "now", "12 s ago", "in 3 min". */
export function ago(iso: string | null | undefined, nowMs: number): string {
  if (!iso) return "never";
  const seconds = (nowMs - Date.parse(iso)) / 1000;
  if (Math.abs(seconds) < 1.5) return "now";
  const text = coarse(Math.abs(seconds));
  return seconds > 0 ? `${text} ago` : `in ${text}`;
}

/** The same of what is over: a clock that is a little behind makes nothing of the past the future. */
export function past(iso: string | null | undefined, nowMs: number): string {
  return ago(iso, iso ? Math.max(nowMs, Date.parse(iso)) : nowMs);
}

function coarse(seconds: number): string {
  if (seconds < 59.5) return `${Math.round(seconds)} s`;
  if (seconds < 3570) return `${Math.round(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** Return how old something is, in a word: what waits since *iso*. */
export function age(iso: string | null | undefined, nowMs: number): string {
  return iso ? duration((nowMs - Date.parse(iso)) / 1000) : "0 s";
}

/** Return the local time, with the day where it is another one. */
export function clock(iso: string | null | undefined, nowMs: number): string {
  if (!iso) return "—";
  const at = new Date(iso);
  const time = at.toLocaleTimeString("en-GB");
  return at.toDateString() === new Date(nowMs).toDateString() ? time : `${day(at)} ${time}`;
}

/** Return the whole local time, with its offset. */
export function exactly(iso: string | null | undefined): string {
  if (!iso) return "—";
  const at = new Date(iso);
  const minutes = -at.getTimezoneOffset();
  const offset = `${minutes < 0 ? "−" : "+"}${pad(Math.abs(minutes) / 60)}:${pad(Math.abs(minutes) % 60)}`;
  return `${day(at)} ${at.toLocaleTimeString("en-GB")} ${offset}`;
}

function day(at: Date): string {
  return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
}

function pad(number: number): string {
  return String(Math.floor(number)).padStart(2, "0");
}
