/** What the routes answer, as far as the page reads it. Names are the API's; `*_b64` fields are read by `nameIn`. */

export type SummaryState = "up_to_date" | "nothing_watched" | "working" | "paused" | "blocked" | "needs_you";

export interface Reason {
  code: string;
  text: string;
}

export interface Status {
  summary: { state: SummaryState; text: string; reasons: Reason[] };
  uptime_seconds: number;
  version: string;
  hostname: string;
  watcher_active: boolean;
  upload_obstacle: string | null;
  paused: { since: string; until: string | null } | null;
  token_required: boolean;
  paths_watched: number;
  files_tracked: number;
  files_excluded: number;
  files_unsupported: number;
  paths_to_compare: number;
  comparison: { path: string; read: number; total: number } | null;
  warnings: Reason[];
}

export interface Queue {
  count: number;
  oldest_queued_at?: string | null;
  oldest_deleted_at?: string | null;
  backoff: number;
  parked: number;
  held: number;
}

export interface LedgerEntry {
  path_id: number;
  path: string;
  stored: number;
  pending: number;
  excluded: number;
  unsupported: number;
  missing: number;
  reasons: Record<string, number>;
  counted_at: string;
  last_scan: { ended_at: string; on_disk: number; unread_directories: number; difference: number | null } | null;
}

export interface Stats {
  ledger: LedgerEntry[];
  files: { total: number; discovered: number; ready_for_upload: number; completed: number; unchanged: number };
  queues: { pending_checksum: Queue; pending_upload: Queue; pending_deletion: Queue };
  components: {
    scanner: {
      status: string;
      last_scan_at: string | null;
      next_scan_at: string | null;
      filesystem_events_active: boolean;
      registered_paths: number;
      files_scanned: number;
      scans_finished: number;
      announced_changes: number;
      missed_changes: number;
    };
    checksum_calculator: {
      status: string;
      active_workers: number;
      total_processed: number;
      processing_rate: number;
      silent_changes: number;
    };
    uploader: { status: string; active_workers: number; total_uploaded: number; upload_rate: number; bytes_sent: number };
  };
}

export interface Pace {
  step_seconds: number;
  ends_at: string;
  hashed: number[];
  stored: number[];
  bytes: number[];
  latency_ms: { count: number; p50: number; p90: number; p99: number; max: number } | null;
}

export interface Rule {
  pattern: string;
  source: string;
  line: number | null;
}

export type FileStatus =
  | "discovered"
  | "ready_for_upload"
  | "completed"
  | "unchanged"
  | "vanished"
  | "excluded"
  | "unsupported";

export interface FileItem {
  id?: number;
  filepath: string;
  kind: string;
  sha256: string | null;
  file_size: number | null;
  mtime: string | null;
  uploaded_at: string | null;
  status: FileStatus;
  snapshot: boolean;
  reason: string | null;
  last_error: string | null;
  retry_at: string | null;
}

export interface Files {
  files: FileItem[];
  total: number;
}

export type Stage = "checksum" | "upload" | "vanished" | "deletion";
export type LineState = "waiting" | "eligible" | "backoff" | "parked" | "held";
export type Steer = "bump" | "hold" | "release" | "retry" | "cancel";

export interface QueueItem {
  id: number;
  stage: Stage;
  filepath: string;
  kind: string;
  lane: "small" | "large" | "huge";
  state: LineState;
  active: boolean;
  reason: string | null;
  last_error: string | null;
  attempts: number;
  queued_at: string;
  eligible_at: string | null;
  bytes_total: number | null;
  bytes_sent: number;
  chunks_done: number | null;
  chunks_total: number | null;
}

export interface QueuePage {
  items: QueueItem[];
  total: number;
}

export interface Explained {
  filepath: string;
  path_id: number | null;
  verdict: "stored" | "pending" | "excluded" | "unsupported" | "not_watched" | "unknown";
  reason: { code: string; class: "waiting" | "file" | "server" | "person" | "rule"; text: string };
  rule: Rule | null;
  next_try_at: string | null;
  advice: string | null;
  gen: number | null;
  sha256: string | null;
  receipt: Receipt | null;
  history: { at: string; event: string; text: string }[];
  ahead: number | null;
  active: boolean;
  progress: { bytes_total: number; chunks_done: number; chunks_total: number } | null;
}

export interface Receipt {
  server_id?: string;
  sha256?: string;
  file_size?: number;
  size?: number;
  stored_at?: string;
  sequence?: number;
}

export interface WatchedPath {
  id: number;
  path: string;
  recursive: boolean;
  enabled: boolean;
  created_at: string;
  last_scanned_at: string | null;
  file_count: number;
  policy: "mirror" | "archive";
  exclude: string[];
  status: "healthy" | "behind" | "polling" | "unhealthy";
  reason: string | null;
  rule_problems: { source: string; line: number | null; pattern: string | null; text: string }[];
  sftp?: { state: string; problem: string | null; last_look_at: string | null } & Record<string, unknown>;
}

export interface Folder {
  name: string;
  path: string;
  kind: "home" | "mount" | "folder";
  can_add: boolean;
  why_not: Reason | null;
}

export interface Folders {
  path: string | null;
  parent: { path: string } | null;
  can_add?: boolean;
  why_not?: Reason | null;
  folders: Folder[];
  next: string | null;
  total: number;
  truncated: boolean;
}

export interface FetchJob {
  id: number | string;
  state: "waiting" | "running" | "done" | "failed" | "cancelled";
  filepath: string;
  to: string;
  sha256: string | null;
  size_bytes: number | null;
  bytes_done: number;
  outcome: null | "restored" | "right" | "beside";
  verified: null | "receipt" | "digest";
  problem: Reason | null;
  created_at: string;
  ended_at: string | null;
}

export interface HeldSet {
  id: number;
  path_id: number;
  path: string;
  reason: "mass" | "all";
  count: number;
  known: number;
  sample: string[];
  created_at: string;
}

export interface HeldTree {
  path: string;
  count: number;
  folders: { name: string; path: string; count: number }[];
  files: { name: string; path: string; size_bytes: number | null }[];
  truncated: boolean;
}

export interface Happened {
  id: number;
  event_type: string;
  filepath: string | null;
  path_id: number | null;
  count: number;
  message: string | null;
  details: Record<string, unknown> | null;
  created_at: string;
}

export interface ActivityPage {
  events: Happened[];
  total: number;
  has_more: boolean;
}

export interface Exclude {
  id: number;
  pattern: string;
  created_at: string;
}

export interface Preview {
  pattern: string;
  files: number;
  size_bytes: number;
  sample: string[];
}

export interface Server {
  id: number;
  name: string;
  url: string;
  username: string | null;
  is_default: boolean;
  created_at: string;
  state: "ok" | "unreachable" | "needs_login";
  reason: string | null;
  last_contact_at: string | null;
  fingerprint: string | null;
  ca_file: string | null;
}

export interface Trial {
  ok: boolean;
  code: string;
  text: string;
  took_ms: number;
}

export type Value = string | number | boolean | string[];

export interface ConfigField {
  name: string;
  type: "integer" | "number" | "boolean" | "string" | "list";
  description: string;
  unit: string | null;
  default: Value | null;
  value: Value | null;
  minimum: number | null;
  maximum: number | null;
  choices: string[] | null;
  at_once: boolean;
  from_environment: boolean;
}

export interface SavedConfig {
  message: string;
  applied: string[];
  at_next_start: string[];
}
