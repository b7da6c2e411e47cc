"""Files: where they stand, why, in which line, and on their way back."""

from typing import Any, NotRequired

from typing_extensions import TypedDict

from pp_assist.api.answers.common import CodeAndText, Time, exact
from pp_assist.core.explain import Blame, Verdict
from pp_assist.core.fetching import FetchOutcome, FetchState
from pp_assist.core.model import FileState, Kind, Lane, NoticedBy, Stage


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
class Version(TypedDict):
    """What the server has, or had, at a path."""

    gen: int
    status: str | None
    """active, superseded, or deleted: a deletion has the facts of what it buries."""
    kind: str
    sha256: str | None
    file_size: int
    mtime: Time | None
    stored_at: Time | None
    deleted_at: Time | None
    inconsistent: bool


@exact
class Versions(TypedDict):
    """GET /versions"""

    filepath: str
    filepath_b64: NotRequired[str]
    versions: list[Version]
    total: int


@exact
class Fetches(TypedDict):
    """GET /fetch"""

    fetches: list[Fetch]
    total: int
