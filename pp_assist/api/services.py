"""What the API needs of the daemon. It asks components through these small protocols and never imports them."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

from pp_assist.activity.bus import Bus
from pp_assist.activity.journal import Journal
from pp_assist.api.folders import Inside, Start
from pp_assist.api.sessions import Sessions
from pp_assist.clock import Clock
from pp_assist.core.drop_folders import DropOptions
from pp_assist.core.explain import Sight
from pp_assist.core.fetching import Fetch, Order
from pp_assist.core.identity import Identity
from pp_assist.core.ledger import Counted, Tally
from pp_assist.core.model import Root
from pp_assist.core.patterns import Problem
from pp_assist.core.series import Latencies, Series
from pp_assist.core.sftp_url import Target
from pp_assist.core.trust import Trust
from pp_assist.steering.holding import Holding
from pp_assist.steering.line import Line
from pp_assist.store.excludes import ExcludesTable
from pp_assist.store.held import HeldDeletions
from pp_assist.store.hiding import Hidden
from pp_assist.store.report import Report
from pp_assist.store.roots import RootsTable
from pp_assist.store.servers import ServersTable
from pp_server.wire.batch import VerifyResult
from pp_server.wire.restore import TreeEntry

T = TypeVar("T")


class Scan(Protocol):
    """A scan that was asked for."""

    @property
    def id(self) -> int: ...

    @property
    def finished(self) -> asyncio.Event: ...


class ScannerFacts(Protocol):
    """What the scanner tells about itself."""

    last_scan_at_ms: int | None
    next_scan_at_ms: int | None
    files_scanned: int
    scans_finished: int
    announced_changes: int
    missed_changes: int


class LedgerEntry(Protocol):
    """Where the names of one root stand."""

    @property
    def counted(self) -> Counted: ...

    @property
    def counted_at_ms(self) -> int: ...

    @property
    def tally(self) -> Tally | None: ...


class Scanner(Protocol):
    """The scanner, as far as callers may steer it."""

    @property
    def stats(self) -> ScannerFacts: ...

    @property
    def watched(self) -> set[int]: ...

    def condition(self, root_id: int) -> tuple[str, str | None]: ...

    def request_scan(
        self, root_ids: Collection[int] | None = None, start: bytes = b"", force: bool = False
    ) -> Scan: ...

    async def root_added(self, root: Root) -> Scan: ...

    async def root_removed(self, root_id: int) -> None: ...


class DropFolders(Protocol):
    """Folders on SFTP servers."""

    async def add(self, target: Target, options: DropOptions, recursive: bool, exclude: tuple[str, ...]) -> Root: ...

    async def removed(self, root: Root) -> str | None: ...

    async def facts(self, root_id: int) -> dict[str, Any] | None: ...

    def look_soon(self, root_id: int) -> None: ...

    async def why(self, root_id: int, name: bytes) -> tuple[str, str, str] | None: ...

    def problem(self, root_id: int) -> str | None: ...

    @property
    def to_do(self) -> int: ...


class Fetches(Protocol):
    """Files on their way back."""

    def begin(self, order: Order) -> Fetch: ...

    def get(self, job_id: int) -> Fetch | None: ...

    def all(self) -> list[Fetch]: ...

    def cancel(self, job_id: int) -> Fetch | None: ...

    async def versions(self, filepath: bytes) -> tuple[list[TreeEntry], int]: ...


class Folders(Protocol):
    """The folders of this machine. Blocking."""

    def starts(self) -> list[Start]: ...

    def inside(self, path: bytes) -> Inside: ...

    def unreadable(self, paths: list[bytes]) -> set[bytes]: ...


class Look(Protocol):
    """Runs what looks at a disk that may never answer; raises Refusal where it does not."""

    async def __call__(self, function: Callable[..., T], *args: object) -> T: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How a worker stage is doing."""

    active_workers: int
    total: int
    per_second: float


class Lately(NamedTuple):
    """How it went in the last quarter of an hour."""

    hashed: Series
    stored: Series
    sent_bytes: Series
    latencies: Latencies


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far the comparison of one watched folder with what the server has has come."""

    root: bytes
    read: int
    of: int


class Saved(NamedTuple):
    """What became of a change of the configuration."""

    config: dict[str, Any]
    """What the file makes now."""
    applied: set[str]
    """The settings that changed at once."""
    at_next_start: set[str]
    """Those that have another value in force until then."""


class Trial(Protocol):
    """How a question to a server went."""

    @property
    def code(self) -> str: ...

    @property
    def text(self) -> str: ...

    @property
    def took_ms(self) -> int: ...

    @property
    def server_id(self) -> str | None: ...


class Verified(Protocol):
    """What the server has read again."""

    @property
    def results(self) -> list[VerifyResult]: ...

    @property
    def offered_again(self) -> int: ...

    @property
    def retry_after_s(self) -> float | None: ...


class Warned(NamedTuple):
    """Something a person should know."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Services:
    """Everything the routes use."""

    clock: Clock
    started_mono_ms: int
    version: str
    hostname: str
    report: Report
    roots: RootsTable
    servers: ServersTable
    held: HeldDeletions
    excludes: ExcludesTable
    excludes_changed: Callable[[], Awaitable[None]]
    """Lets them count, and has everything looked at anew."""
    hidden_by: Callable[[str, int | None], Awaitable[Hidden]]
    """What a pattern would leave out, in one root or in all."""
    scanner: Scanner
    ledger: Callable[[], Mapping[int, LedgerEntry]]
    """What is known of each root, by its id, of where its names stand."""
    line: Line
    drop_folders: DropFolders
    holding: Holding
    journal: Journal
    bus: Bus
    sessions: Sessions
    stop: Callable[[], None]
    """Lets the daemon end, as a signal would."""
    busy_after_ms: int
    """A file that has gone on changing for so long is shown as busy."""
    hashing: Callable[[], Pace]
    silent_changes: Callable[[], int]
    """Files whose content had changed although nothing said so."""
    uploading: Callable[[], Pace]
    bytes_sent: Callable[[], int]
    lately: Callable[[], Lately]
    upload_obstacle: Callable[[], str | None]
    """Why nothing can be sent at this moment."""
    comparison: Callable[[], Comparison | None]
    warnings: Callable[[], list[Warned]]
    running: Callable[[], Mapping[str, bool]]
    """Component → whether it works (False: it crashed, and is about to be restarted)."""
    resolve: Callable[[bytes], Awaitable[tuple[bytes, Identity]]]
    """A folder's path with links resolved, and what it is known by; raises OSError."""
    examine: Callable[[Root, bytes], Awaitable[Sight]]
    """What the disk and the rules say about a path relative to a root."""
    rule_problems: Callable[[int], list[Problem]]
    """Lines of the `.ppignore` files of a root that mean nothing."""
    own_paths: tuple[bytes, ...]
    look: Look
    folders: Folders
    fetches: Fetches
    """Raises OverflowError where too many wait."""
    fetch_target: Callable[[bytes, bytes], tuple[bytes, bytes]]
    """Where to, and the file's own name → a folder that is there, and the name in it; raises OSError. Blocking."""
    check_server: Callable[[str, Trust], str]
    """Returns the URL as we keep it; raises ValueError where it, or whom to trust there, cannot be meant."""
    try_server: Callable[[str, str, Trust], Awaitable[Trial]]
    """URL, key, whom to trust → whether uploads to it would work now."""
    verify: Callable[[list[str], str | None], Awaitable[Verified]]
    """Has the server read contents again; raises AssistError."""
    config: Callable[[], dict[str, Any]]
    config_fields: Callable[[], Awaitable[list[dict[str, Any]]]]
    """Every setting, with all that a form needs."""
    config_file: str
    save_config: Callable[[dict[str, Any]], Awaitable[Saved]]
    """Validates, merges and writes, and lets hold what can. Raises ValueError with the key's name."""
