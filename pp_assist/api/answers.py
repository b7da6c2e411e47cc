"""What the local API answers, for `openapi.json`: and for nothing else. Tests hold real answers against it.

The routes build plain dictionaries: to check each answer against a model would cost more than to make it.
"""

from typing import Any, NotRequired

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from pp_assist.core.events import Event
from pp_assist.core.explain import Blame, Verdict
from pp_assist.core.fetching import FetchOutcome, FetchState
from pp_assist.core.model import FileState, Kind, Lane, NoticedBy, Stage
from pp_assist.core.summary import State

exact = with_config(ConfigDict(extra="forbid"))
Time = str
"""UTC, ISO 8601, with milliseconds."""


@exact
class Problem(TypedDict):
    """An error."""

    detail: str
    code: str
    request_id: str
    errors: NotRequired[list["FieldProblem"]]


@exact
class FieldProblem(TypedDict):
    """What is wrong with one field of a request."""

    field: str
    message: str


@exact
class CodeAndText(TypedDict):
    """A stable word, and what it means for people."""

    code: str
    text: str


@exact
class Done(TypedDict):
    """What was done."""

    status: str


@exact
class Counted(TypedDict):
    """What was done, and with how many."""

    status: str
    count: int


@exact
class Who(TypedDict):
    """Who answers."""

    name: str
    version: NotRequired[str]


@exact
class Health(TypedDict):
    """Whether all components work."""

    status: str
    version: NotRequired[str]
    database_ok: NotRequired[bool]


# -- /status and /stats


@exact
class Summary(TypedDict):
    """How it stands, in a sentence."""

    state: State
    text: str
    reasons: list[CodeAndText]


@exact
class Pause(TypedDict):
    """A pause that is on."""

    since: Time
    until: Time | None


@exact
class Comparison(TypedDict):
    """A comparison with what the server has."""

    path: str
    path_b64: NotRequired[str]
    read: int
    total: int


@exact
class Status(TypedDict):
    """GET /status"""

    running: bool
    summary: Summary
    uptime_seconds: float
    version: str
    hostname: str
    watcher_active: bool
    sha256_processor_active: bool
    uploader_active: bool
    upload_obstacle: str | None
    paused: Pause | None
    token_required: bool
    paths_watched: int
    files_tracked: int
    files_excluded: int
    files_unsupported: int
    pending_sha256: int
    pending_uploads: int
    pending_deletions: int
    paths_to_compare: int
    comparison: Comparison | None
    warnings: list[CodeAndText]


@exact
class FileCounts(TypedDict):
    """Files by where they stand."""

    total: int
    discovered: int
    ready_for_upload: int
    completed: int
    unchanged: int


@exact
class QueueCounts(TypedDict):
    """Of one queue."""

    count: int
    oldest_queued_at: NotRequired[Time | None]
    oldest_deleted_at: NotRequired[Time | None]
    backoff: int
    parked: int
    held: int


@exact
class Queues(TypedDict):
    """The three queues."""

    pending_checksum: QueueCounts
    pending_upload: QueueCounts
    pending_deletion: QueueCounts


@exact
class ScannerStats(TypedDict):
    """Of the scanner."""

    status: str
    last_scan_at: Time | None
    next_scan_at: Time | None
    filesystem_events_active: bool
    registered_paths: int
    files_scanned: int
    scans_finished: int
    announced_changes: int
    missed_changes: int


@exact
class ChecksumStats(TypedDict):
    """Of the hasher."""

    status: str
    active_workers: int
    total_processed: int
    processing_rate: float
    silent_changes: int


@exact
class UploaderStats(TypedDict):
    """Of the uploader."""

    status: str
    active_workers: int
    total_uploaded: int
    upload_rate: float
    bytes_sent: int


@exact
class Components(TypedDict):
    """The three components."""

    scanner: ScannerStats
    checksum_calculator: ChecksumStats
    uploader: UploaderStats


@exact
class LastScan(TypedDict):
    """What the last scan of a path saw."""

    ended_at: Time
    on_disk: int
    unread_directories: int
    difference: int | None


@exact
class Ledger(TypedDict):
    """Where the names of one path stand."""

    path_id: int
    path: str
    path_b64: NotRequired[str]
    stored: int
    pending: int
    excluded: int
    unsupported: int
    missing: int
    reasons: dict[str, int]
    counted_at: Time
    last_scan: LastScan | None


@exact
class Stats(TypedDict):
    """GET /stats"""

    ledger: list[Ledger]
    files: FileCounts
    queues: Queues
    components: Components


@exact
class Latency(TypedDict):
    """From a change to its receipt, in ms."""

    count: int
    p50: int
    p90: int
    p99: int
    max: int


@exact
class Pace(TypedDict):
    """GET /pace"""

    step_seconds: int
    ends_at: Time
    hashed: list[int]
    stored: list[int]
    bytes: list[int]
    latency_ms: Latency | None


# -- files


@exact
class Rule(TypedDict):
    """The line that leaves a file out."""

    pattern: str
    source: str
    line: int | None


@exact
class File(TypedDict):
    """A file, folder or link, as far as it is known."""

    id: int
    filepath: str
    filepath_b64: NotRequired[str]
    hostname: str
    kind: str
    sha256: str | None
    file_size: int | None
    link_target: NotRequired[str]
    link_target_b64: NotRequired[str]
    mtime: Time | None
    discovered_at: Time
    last_checked_at: Time
    status: FileState
    uploaded_at: Time | None
    snapshot: bool
    gen: int
    reason: str | None
    rule: Rule | None
    last_error: str | None
    retry_at: Time | None


@exact
class Files(TypedDict):
    """GET /files"""

    files: list[File]
    total: int
    limit: int
    offset: int


Reason = TypedDict("Reason", {"code": str, "class": Blame, "text": str})
"""Why a path is where it is, and what it lies with."""


@exact
class Moment(TypedDict):
    """Something that happened to a file."""

    at: Time
    event: str
    text: str


@exact
class ChunkProgress(TypedDict):
    """How far an upload by chunks has come."""

    bytes_total: int
    chunks_done: int
    chunks_total: int


@exact
class Explanation(TypedDict):
    """GET /explain"""

    filepath: str
    filepath_b64: NotRequired[str]
    path_id: int | None
    verdict: Verdict
    reason: Reason
    rule: Rule | None
    next_try_at: Time | None
    advice: str | None
    gen: int | None
    sha256: str | None
    noticed_by: NoticedBy | None
    receipt: dict[str, Any] | None
    history: list[Moment]
    ahead: int | None
    active: bool
    progress: ChunkProgress | None


@exact
class QueueItem(TypedDict):
    """One file in line."""

    id: int
    stage: Stage
    filepath: str
    filepath_b64: NotRequired[str]
    kind: Kind
    lane: Lane
    state: str
    active: bool
    reason: str | None
    last_error: str | None
    attempts: int
    queued_at: Time
    eligible_at: Time | None
    bytes_total: int | None
    bytes_sent: int
    chunks_done: int | None
    chunks_total: int | None


@exact
class Queue(TypedDict):
    """GET /queue"""

    items: list[QueueItem]
    total: int
    limit: int
    offset: int


@exact
class Matched(TypedDict):
    """With how many files it was done."""

    matched: int


@exact
class Fetch(TypedDict):
    """A file on its way back."""

    id: int
    state: FetchState
    filepath: str
    filepath_b64: NotRequired[str]
    to: str
    to_b64: NotRequired[str]
    sha256: str | None
    size_bytes: int | None
    bytes_done: int
    outcome: FetchOutcome | None
    verified: str | None
    inconsistent: bool
    problem: CodeAndText | None
    created_at: Time
    ended_at: Time | None


@exact
class Fetches(TypedDict):
    """GET /fetch"""

    fetches: list[Fetch]
    total: int


# -- paths, folders, rules


@exact
class RuleProblem(TypedDict):
    """A line of a `.ppignore` that means nothing."""

    source: str
    line: int | None
    pattern: str | None
    text: str


@exact
class Path(TypedDict):
    """A watched folder."""

    id: int
    path: str
    path_b64: NotRequired[str]
    recursive: bool
    enabled: bool
    created_at: Time
    last_scanned_at: Time | None
    file_count: int
    policy: str
    exclude: list[str]
    status: str
    reason: str | None
    sftp: NotRequired[dict[str, Any]]
    rule_problems: list[RuleProblem]


@exact
class Paths(TypedDict):
    """GET /paths"""

    paths: list[Path]
    total: int


@exact
class Place(TypedDict):
    """A path."""

    path: str
    path_b64: NotRequired[str]


@exact
class Folder(TypedDict):
    """A folder that may be chosen."""

    name: str
    name_b64: NotRequired[str]
    path: str
    path_b64: NotRequired[str]
    kind: str
    can_add: bool
    why_not: CodeAndText | None


@exact
class Folders(TypedDict):
    """GET /folders"""

    path: str | None
    path_b64: NotRequired[str]
    parent: Place | None
    can_add: bool
    why_not: CodeAndText | None
    folders: list[Folder]
    next: str | None
    total: int
    truncated: bool


@exact
class Scan(TypedDict):
    """POST /scan/trigger"""

    status: str
    scan_id: int
    paths: list[str]
    force: bool


@exact
class Exclude(TypedDict):
    """A pattern that is left out everywhere."""

    id: int
    pattern: str
    created_at: Time


@exact
class Excludes(TypedDict):
    """GET /excludes"""

    patterns: list[Exclude]
    total: int


@exact
class Preview(TypedDict):
    """What a pattern would leave out."""

    pattern: str
    files: int
    size_bytes: int
    sample: list[str]


@exact
class Held(TypedDict):
    """Deletions that wait for a person."""

    id: int
    path_id: int
    path: str
    path_b64: NotRequired[str]
    reason: str
    count: int
    known: int
    sample: list[str]
    created_at: Time


@exact
class HeldDeletions(TypedDict):
    """GET /deletions"""

    held: list[Held]
    total: int


@exact
class HeldFolder(TypedDict):
    """A folder in which files are held."""

    name: str
    name_b64: NotRequired[str]
    path: str
    path_b64: NotRequired[str]
    count: int


@exact
class HeldFile(TypedDict):
    """A file that is held."""

    name: str
    name_b64: NotRequired[str]
    path: str
    path_b64: NotRequired[str]
    size_bytes: int | None
    mtime: Time | None


@exact
class HeldTree(TypedDict):
    """GET /deletions/{held_id}/tree"""

    path: str
    path_b64: NotRequired[str]
    count: int
    folders: list[HeldFolder]
    files: list[HeldFile]
    truncated: bool


# -- what happens


@exact
class Happened(TypedDict):
    """Something that happened."""

    id: int
    event_type: Event
    filepath: str | None
    filepath_b64: NotRequired[str]
    path_id: int | None
    count: int
    message: str | None
    details: dict[str, Any]
    created_at: Time


@exact
class Activity(TypedDict):
    """GET /activity"""

    events: list[Happened]
    total: int
    has_more: bool


@exact
class Paused(TypedDict):
    """POST /pause"""

    status: str
    since: Time
    until: Time | None


# -- servers, settings, sessions


@exact
class Server(TypedDict):
    """A server."""

    id: int
    name: str
    url: str
    username: str | None
    is_default: bool
    created_at: Time
    state: str
    reason: str | None
    last_contact_at: Time | None
    fingerprint: str | None
    ca_file: str | None


@exact
class Servers(TypedDict):
    """GET /servers"""

    servers: list[Server]
    total: int


@exact
class Trial(TypedDict):
    """Whether uploads to a server would work."""

    ok: bool
    code: str
    text: str
    took_ms: int
    server_id: str | None


@exact
class Field(TypedDict):
    """A setting."""

    name: str
    type: str
    description: str
    unit: str | None
    default: Any
    value: Any
    saved: Any
    minimum: float | None
    maximum: float | None
    choices: list[str] | None
    at_once: bool
    from_environment: bool


@exact
class Fields(TypedDict):
    """GET /config/fields"""

    fields: list[Field]
    total: int


class Config(TypedDict):
    """GET /config; the settings stand beside these, too."""

    config_file: str
    config: dict[str, Any]


@exact
class Saved(TypedDict):
    """POST /config"""

    status: str
    config_file: str
    message: str
    config: dict[str, Any]
    applied: list[str]
    at_next_start: list[str]


@exact
class Ticket(TypedDict):
    """POST /session/ticket"""

    ticket: str
    expires_in_seconds: float


@exact
class Verified(TypedDict):
    """POST /verify"""

    results: list[dict[str, Any]]
    offered_again: int
    retry_after_seconds: float | None


ANSWERS: dict[str, Any] = {
    "GET /": Who,
    "GET /health": Health,
    "GET /status": Status,
    "GET /stats": Stats,
    "GET /pace": Pace,
    "GET /files": Files,
    "GET /explain": Explanation,
    "GET /paths": Paths,
    "GET /paths/{path_id}": Path,
    "POST /paths": Path,
    "DELETE /paths/{path_id}": Done,
    "GET /folders": Folders,
    "POST /scan/trigger": Scan,
    "GET /queue": Queue,
    "POST /queue/{action}": Matched,
    "POST /fetch": Fetch,
    "GET /fetch": Fetches,
    "GET /fetch/{fetch_id}": Fetch,
    "POST /fetch/{fetch_id}/cancel": Fetch,
    "GET /excludes": Excludes,
    "POST /excludes": Exclude,
    "POST /excludes/preview": Preview,
    "DELETE /excludes/{exclude_id}": Done,
    "GET /deletions": HeldDeletions,
    "GET /deletions/{held_id}/tree": HeldTree,
    "POST /deletions/{held_id}/approve": Counted,
    "POST /deletions/{held_id}/reject": Counted,
    "GET /activity": Activity,
    "POST /pause": Paused,
    "POST /resume": Done,
    "POST /stop": Done,
    "GET /servers": Servers,
    "POST /servers": Server,
    "POST /servers/test": Trial,
    "POST /servers/{server_id}/test": Trial,
    "POST /servers/{server_id}/default": Done,
    "DELETE /servers/{server_id}": Done,
    "GET /config": Config,
    "GET /config/fields": Fields,
    "POST /config": Saved,
    "POST /session": Done,
    "POST /session/ticket": Ticket,
    "POST /session/leave": Done,
    "POST /verify": Verified,
}
"""By method and path; what is not here answers no JSON, or another program's."""
