/** The API's words as people read them. The words themselves stay what they are everywhere else. */

import type { FileStatus, LineState, Stage, SummaryState } from "../api/shapes";

/** How something stands, in one of six ways: what colour and which sign it gets. */
export type Tone = "good" | "busy" | "calm" | "warn" | "bad" | "off";

export const SUMMARY_TONE: Record<SummaryState, Tone> = {
  up_to_date: "good",
  working: "busy",
  paused: "calm",
  blocked: "warn",
  needs_you: "bad",
  nothing_watched: "off",
};

export const FILE_STATUS: Record<FileStatus, { word: string; tone: Tone; says: string }> = {
  discovered: { word: "to be read", tone: "busy", says: "seen, and not read as it looks now" },
  ready_for_upload: { word: "to be sent", tone: "busy", says: "read; the server has not confirmed it yet" },
  completed: { word: "stored", tone: "good", says: "the server has confirmed it; its bytes were sent" },
  unchanged: { word: "stored", tone: "good", says: "the server has confirmed it; it had the bytes already" },
  vanished: { word: "missing", tone: "warn", says: "not there at the last look" },
  excluded: { word: "excluded", tone: "off", says: "left out by a rule" },
  unsupported: { word: "unsupported", tone: "off", says: "of a type that is not stored" },
};

export const STAGE: Record<Stage, string> = {
  checksum: "read",
  upload: "send",
  vanished: "look again",
  deletion: "tell deletion",
};

export const LINE_STATE: Record<LineState, { word: string; tone: Tone }> = {
  eligible: { word: "next in line", tone: "busy" },
  waiting: { word: "waits", tone: "calm" },
  backoff: { word: "tries again", tone: "warn" },
  parked: { word: "parked", tone: "bad" },
  held: { word: "held", tone: "warn" },
};

export const VERDICT: Record<string, { word: string; tone: Tone }> = {
  stored: { word: "Stored", tone: "good" },
  pending: { word: "Pending", tone: "busy" },
  excluded: { word: "Excluded", tone: "off" },
  unsupported: { word: "Unsupported", tone: "off" },
  not_watched: { word: "Not watched", tone: "off" },
  unknown: { word: "Unknown", tone: "warn" },
};

export const PATH_STATUS: Record<string, { word: string; tone: Tone }> = {
  healthy: { word: "healthy", tone: "good" },
  behind: { word: "catching up", tone: "busy" },
  polling: { word: "found by scans", tone: "calm" },
  unhealthy: { word: "not there", tone: "bad" },
};

export const SERVER_STATE: Record<string, { word: string; tone: Tone }> = {
  ok: { word: "reachable", tone: "good" },
  unreachable: { word: "unreachable", tone: "bad" },
  needs_login: { word: "refuses our key", tone: "bad" },
};

export const EVENTS: Record<string, { word: string; tone: Tone }> = {
  scan_started: { word: "Scan started", tone: "calm" },
  scan_complete: { word: "Scanned", tone: "calm" },
  file_discovered: { word: "Found", tone: "busy" },
  file_changed: { word: "Changed", tone: "busy" },
  file_missing: { word: "Missing", tone: "warn" },
  file_deleted: { word: "Deletion told", tone: "off" },
  file_moved: { word: "Moved", tone: "calm" },
  sha256_complete: { word: "Read", tone: "busy" },
  sha256_failed: { word: "Not readable", tone: "bad" },
  upload_started: { word: "Upload began", tone: "busy" },
  upload_progress: { word: "Uploading", tone: "busy" },
  upload_complete: { word: "Stored", tone: "good" },
  upload_failed: { word: "Upload failed", tone: "bad" },
  deletions_held: { word: "Deletions held", tone: "bad" },
  fetch_started: { word: "Fetch began", tone: "busy" },
  fetch_complete: { word: "Fetched", tone: "good" },
  fetch_failed: { word: "Fetch failed", tone: "bad" },
  server: { word: "Server", tone: "calm" },
  steered: { word: "You", tone: "calm" },
  error: { word: "Error", tone: "bad" },
};

const OBSTACLES: Record<string, string> = {
  paused: "you paused it",
  on_battery: "the battery is low",
  metered: "the line is paid by the byte",
  no_server: "no server is known yet",
  server_unreachable: "the server does not answer",
  server_untrusted: "the server’s certificate is not believed",
  server_unavailable: "the server can serve nobody now",
  server_trouble: "the server cannot work now",
  server_nonsense: "what answers is not our server",
  receipt_key_changed: "the server signs with another key than before",
  host_shared: "another daemon uses our identity",
  needs_login: "the server refuses our key",
  not_allowed: "our key may not do this",
};

export function obstacle(code: string): string {
  return OBSTACLES[code] ?? spaced(code);
}

/** Return a word of the API without its underscores. */
export function spaced(word: string): string {
  return word.replaceAll("_", " ");
}

const LEDGER: Record<string, string> = { to_hash: "to be read", to_send: "to be sent" };

/** Return what is said behind a number of pending names. */
export function ledgerReason(code: string): string {
  return LEDGER[code] ?? `(${spaced(code)})`;
}

/** Return a sentence of the API with what is in the way in words. */
export function inWords(text: string): string {
  return text.replace(/: ([a-z]+(?:_[a-z]+)+)(?=[.;]|$)/g, (whole, code: string) => (code in OBSTACLES ? `: ${obstacle(code)}` : whole));
}

/** Which screen is about a reason. */
export function screenFor(code: string): string | null {
  switch (code) {
    case "deletions_held":
      return "#/held-deletions";
    case "parked":
    case "held":
      return `#/transfers?state=${code}`;
    case "pending":
      return "#/transfers";
    case "unhealthy":
    case "unread":
    case "behind":
    case "not_scanned":
    case "does_not_add_up":
    case "to_compare":
      return "#/roots";
    case "paused":
    case "stopped":
      return null;
    case "on_battery":
    case "metered":
      return "#/settings";
    default:
      return code.startsWith("server_") || code in OBSTACLES ? "#/servers" : null;
  }
}

const FETCHED: Record<string, [now: string, earlier: string]> = {
  restored: ["Fetched to", "An earlier version was fetched to"],
  right: ["It was there already, byte for byte:", "An earlier version was there already, byte for byte:"],
  beside: ["Something else had its name; fetched beside it, to", "Something else had its name; an earlier version was fetched beside it, to"],
};

/** Say how fetching a file ended, which is known to have the content *sha256* now: another one than that is not this file as it is. */
export function fetched(job: { outcome: string | null; sha256: string | null }, sha256: string | null): { words: string; isEarlier: boolean } {
  const isEarlier = job.sha256 !== null && sha256 !== null && job.sha256 !== sha256;
  const [now, earlier] = FETCHED[job.outcome ?? "restored"] ?? ["Fetched to", "An earlier version was fetched to"];
  return { words: isEarlier ? earlier : now, isEarlier };
}

const VERSION: Record<string, [word: string, tone: Tone]> = {
  active: ["now", "good"],
  superseded: ["earlier", "calm"],
  deleted: ["deleted", "warn"],
};

interface Listed {
  status: string | null;
  kind: string;
  sha256: string | null;
  stored_at: string | null;
  deleted_at: string | null;
}

/** Say of each version what it is and since when; what a deletion buries comes back with the version it buries, if that is listed. */
export function versionRows<V extends Listed>(all: V[]): { version: V; word: string; tone: Tone; since: string | null; canComeBack: boolean }[] {
  return all.map((version) => {
    const [word, tone] = VERSION[version.status ?? ""] ?? [version.status ?? "", "calm"];
    const since = version.deleted_at ?? version.stored_at;
    return { version, word, tone, since, canComeBack: version.kind === "file" && version.sha256 !== null && version.status !== "deleted" };
  });
}
