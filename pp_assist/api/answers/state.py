"""How it stands, and how fast it goes."""

from typing import NotRequired

from typing_extensions import TypedDict

from pp_assist.api.answers.common import CodeAndText, Time, exact
from pp_assist.core.summary import State


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
    held_deletions: int
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
class FileLedger(TypedDict):
    """Where the files alone stand, of the names of one path."""

    stored: int
    pending: int
    excluded: int
    unsupported: int
    missing: int
    reasons: dict[str, int]


@exact
class Ledger(FileLedger):
    """Where the names of one path stand."""

    path_id: int
    path: str
    path_b64: NotRequired[str]
    files: FileLedger
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
