"""The daemon's nouns: what was seen on disk, what is known about it, and what is still to do."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from pp_assist.core.identity import Identity
from pp_assist.core.patterns import Level, Problem, Rule
from pp_assist.core.trust import Trust


class Kind(StrEnum):
    """What a name in a directory stands for."""

    FILE = "file"
    DIR = "dir"
    SYMLINK = "symlink"
    FIFO = "fifo"
    SOCKET = "socket"
    CHARACTER_DEVICE = "character_device"
    BLOCK_DEVICE = "block_device"
    OTHER = "other"


STORABLE = (Kind.FILE, Kind.DIR, Kind.SYMLINK)
"""What a server can be given: for a directory and a link, what a restore needs to make it again."""

NOT_TAKEN = "not_taken_by_server"
"""Why a directory or a link is unsupported: the server takes files only. A later version of it may take it."""


class FileState(StrEnum):
    """Where a path stands. The first four are the seed's words and, together, every file we must store."""

    DISCOVERED = "discovered"  # seen; not read as it looks now
    READY_FOR_UPLOAD = "ready_for_upload"  # read (of a file: digest known), no receipt for it
    COMPLETED = "completed"  # receipt for its present content, whose bytes we sent
    UNCHANGED = "unchanged"  # receipt for its present content, no bytes were needed
    VANISHED = "vanished"  # missing at the last look; the server will be told once that is certain
    EXCLUDED = "excluded"  # left out by a named rule
    UNSUPPORTED = "unsupported"  # of a type we do not store (yet)


TRACKED = (FileState.DISCOVERED, FileState.READY_FOR_UPLOAD, FileState.COMPLETED, FileState.UNCHANGED)


class NoticedBy(StrEnum):
    """What made us see the last change of a file."""

    EVENT = "event"  # the system told of it
    SCAN = "scan"
    START = "start"  # the first scan of its folder since the daemon started, or since the folder is watched
    SECOND_LOOK = "second_look"  # where it had not been when others looked


class Stage(StrEnum):
    """What is to be done next with a file. A file is in at most one stage at a time."""

    CHECKSUM = "checksum"  # hash it
    UPLOAD = "upload"  # give it to the server
    VANISHED = "vanished"  # look a second time whether it is really gone
    DELETION = "deletion"  # tell the server that it is gone


class Lane(StrEnum):
    """Who hashes a file and sends it to the server: none waits for the others."""

    SMALL = "small"  # many files in one request
    LARGE = "large"  # one file at a time, by chunks
    HUGE = "huge"  # the same, and hardly any at a time: each takes minutes or hours


HUGE_BYTES = 256 << 20
"""Files from this size on go in the lane of the huge ones."""


class WorkState(StrEnum):
    """Why a row of work is not being done at this moment."""

    WAITING = "waiting"  # for its turn or its time
    BACKOFF = "backoff"  # it failed, and will be tried again
    PARKED = "parked"  # cannot succeed as it is: until the file changes or a person asks
    HELD = "held"  # a person must decide


class Stat(NamedTuple):
    """What must be equal, in every field, for a file to count as untouched."""

    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int


class Snapshot(NamedTuple):
    """One name as it looked in one moment. `stat` and the rest come from lstat: links are never followed."""

    name: bytes
    kind: Kind
    stat: Stat
    mode: int
    """Permission bits, without the file type."""
    uid: int
    gid: int
    mounted: bool = False
    """A folder over which something is mounted that is not part of the mount its parent is in."""


@dataclass(frozen=True, slots=True)
class Root:
    """A watched folder (the API calls it a path)."""

    id: int
    path: bytes
    """Absolute, links resolved once."""
    shown: bytes
    """Absolute, as the person typed it."""
    recursive: bool
    enabled: bool
    device: int
    inode: int
    created_at_ms: int
    last_scanned_at_ms: int | None
    status: str
    """healthy | unhealthy"""
    reason: str | None
    policy: str = "mirror"
    """mirror: the server is told what is deleted; archive: it is not."""
    exclude: tuple[str, ...] = ()
    """Patterns of what is left out in this root."""
    file_system: int | None = None

    @property
    def identity(self) -> Identity:
        """What the folder in its place must be."""
        return Identity(self.device, self.inode, self.file_system)


class Part(NamedTuple):
    """A range of names, by their bytes: those from `first` on that come before `end`."""

    first: bytes
    end: bytes

    def holds(self, name: bytes) -> bool:
        """Say whether *name* is in the range."""
        return self.first <= name < self.end

    @property
    def is_last(self) -> bool:
        """Whether no name can come behind it."""
        return self.end == AFTER_ALL_NAMES


AFTER_ALL_NAMES = b"\xff" * 256
"""No name is that long."""

ALL_NAMES = Part(b"", AFTER_ALL_NAMES)


@dataclass(frozen=True, slots=True)
class Listing:
    """What one look at one directory found.

    Only a `complete` listing says anything about names that are not in it: with `asked` None every name of its `part`
    of the directory, else just those names. A large directory is several listings, whose parts are all names together.
    """

    directory: bytes
    """Relative to the root; empty for the root itself."""
    entries: tuple[Snapshot, ...]
    complete: bool
    asked: frozenset[bytes] | None = None
    closed: frozenset[bytes] = frozenset()
    """Names whose writer has just closed them."""
    problem: str | None = None
    levels: tuple[Level, ...] = ()
    """The patterns that count in the directory, outermost first."""
    rule_problems: tuple[Problem, ...] = ()
    """Lines of its `.ppignore` that count for nothing."""
    part: Part = ALL_NAMES
    """Which names the listing is about, where it is not about some that were asked for."""
    is_server_data: bool = False
    """The directory is marked as a server's own, by a name that may be in another part."""

    @property
    def is_whole(self) -> bool:
        """Whether it ends a look at everything in the directory that met with no error."""
        return self.asked is None and self.complete and self.part.is_last


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A row of `files` with its row of `work`, as far as comparing needs them."""

    id: int
    name: bytes
    state: FileState
    gen: int
    stat: Stat | None
    """As hashed; None before the first hash."""
    racy: bool
    hashed_at_ms: int | None
    may_be_on_server: bool
    reason: str | None
    stage: Stage | None
    seen: Stat | None
    """As the scanner last saw it, while it waits to be hashed."""
    eligible_at_ms: int | None
    rule: Rule | None = None
    """What a person wrote that leaves it out."""
    kind: Kind = Kind.FILE
    """As last seen."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A directory: its root, with the identity it must have, and its path below that. What lies in it shares it."""

    root_id: int
    root_path: bytes
    root_device: int
    root_inode: int
    directory: bytes
    """Relative to the root; empty for the root itself."""
    shown_root: bytes
    recursive: bool = True
    """Whether directories of the root are watched."""
    root_file_system: int | None = None

    @property
    def root_identity(self) -> Identity:
        """What the folder in the root's place must be."""
        return Identity(self.root_device, self.root_inode, self.root_file_system)

    @property
    def shown(self) -> bytes:
        """The absolute path as people and the server know it, below the root as it was typed; a slash behind it."""
        root = self.shown_root.rstrip(b"/")
        return b"%b/%b/" % (root, self.directory) if self.directory else root + b"/"


class Location(NamedTuple):
    """Where a file lies."""

    folder: Folder
    name: bytes

    @property
    def parts(self) -> list[bytes]:
        """Components below the root."""
        directory = self.folder.directory
        return [*directory.split(b"/"), self.name] if directory else [self.name]

    @property
    def filepath(self) -> bytes:
        """The absolute path as people and the server know it: below the root as it was typed."""
        return self.folder.shown + self.name


def is_gone(seen: object, location: Location) -> bool:
    """Say whether *seen*, what a look at *location* has found, means that what was there is gone for certain."""
    if isinstance(seen, Snapshot):
        return seen.kind is Kind.DIR and not location.folder.recursive
    return seen is None


class Hashed(NamedTuple):
    """One version of a file, directory or link as it was read: everything that is announced about it."""

    stat: Stat
    mode: int
    uid: int
    gid: int
    sha256: str
    """Empty for what has no content: directories and links."""
    blocks: bytes | None = None
    """Digests of its blocks (`core.blocks`), of a large file, until it is stored."""
    kind: Kind = Kind.FILE
    target: bytes | None = None
    """What a symbolic link points to."""

    @property
    def content_bytes(self) -> int:
        """How much content there is to be sent."""
        return self.stat.size_bytes if self.kind is Kind.FILE else 0


class Stored(NamedTuple):
    """What the server's last receipt for a file says."""

    gen: int
    sha256: str
    mtime_ns: int
    mode: int
    uid: int
    gid: int
    sent: bool
    """Whether we sent bytes for it (or the server had them already)."""
    snapshot: bool = False
    """It is marked as possibly inconsistent: the file changed while it was read."""
    kind: Kind = Kind.FILE
    target: bytes | None = None


class Claim(NamedTuple):
    """One row of work in somebody's hands, with what is known about its file."""

    file_id: int
    gen: int
    stage: Stage
    attempts: int
    queued_at_ms: int
    location: Location
    offered_gen: int | None
    seen: Stat | None
    hashed: Hashed | None
    stored: Stored | None
    racy: bool = False
    """It was touched so shortly before `hashed` was read that a later write could look the same."""
    last_sha256: str | None = None
    """Digest of the last content that we, or else the server, know of."""
    kind: Kind = Kind.FILE
    """As last seen; `hashed` may be older, and of another kind."""
    content: bytes | None = None
    """What `hashed` is of, where a small file is sent right after it was read."""

    @property
    def content_bytes(self) -> int:
        """How much content there is to be sent."""
        return self.hashed.content_bytes if self.hashed else 0


@dataclass(frozen=True, slots=True)
class Server:
    """A pp_server we upload to. The API key never leaves the daemon."""

    id: int
    name: str
    url: str
    username: str | None
    api_key: str
    is_default: bool
    created_at_ms: int
    state: str
    """ok | unreachable | needs_login"""
    last_contact_at_ms: int | None
    reason: str | None
    trust: Trust

    def __repr__(self) -> str:
        return f"Server(id={self.id}, name={self.name!r}, url={self.url!r})"
