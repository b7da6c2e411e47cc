/** What the routes take and answer, by the names that the page uses. The types are made of openapi.json (`npm run api`). */

import type { components } from "./openapi";

type Schemas = components["schemas"];

export type Status = Schemas["Status"];
export type SummaryState = Schemas["State"];
export type Stats = Schemas["Stats"];
export type Queue = Schemas["QueueCounts"];
export type LedgerEntry = Schemas["Ledger"];
export type Pace = Schemas["Pace"];
export type Reason = Schemas["CodeAndText"];

export type FileItem = Schemas["File"];
export type FileStatus = Schemas["FileState"];
export type Files = Schemas["Files"];
export type Explained = Schemas["Explanation"];
export type FetchJob = Schemas["Fetch"];
export type Version = Schemas["Version"];
export type Versions = Schemas["Versions"];

export type Stage = Schemas["Stage"];
export type Steer = Schemas["Steer"];
export type QueueItem = Schemas["QueueItem"];
export type QueuePage = Schemas["Queue"];

export type WatchedPath = Schemas["Path"];
export type Folder = Schemas["Folder"];
export type Folders = Schemas["Folders"];
export type Exclude = Schemas["Exclude"];
export type Preview = Schemas["Preview"];

export type Server = Schemas["Server"];
export type Trial = Schemas["Trial"];
export type SavedConfig = Schemas["Saved"];

export type HeldSet = Schemas["Held"];
export type HeldTree = Schemas["HeldTree"];
export type Happened = Schemas["Happened"];
export type ActivityPage = Schemas["Activity"];

/** Of what is in line; eligible: its turn may be now. */
export type LineState = "waiting" | "eligible" | "backoff" | "parked" | "held";

/** The value of a setting. */
export type Value = string | number | boolean | string[];
/** `value` is in force, `saved` what the next start will find. */
export type ConfigField = Omit<Schemas["Field"], "default" | "value" | "saved"> & Record<"default" | "value" | "saved", Value | null>;

/** Of a receipt, what is shown; the whole of it is in docs/protocol.md. */
export interface Receipt {
  server_id: string;
  sha256: string | null;
  size: number;
  stored_at: string;
  sequence: number;
}
