"""What the server knows, as values. Times are milliseconds since 1970, sizes are bytes, paths are bytes."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from pp_server.wire.digest import Digest
from pp_server.wire.messages import Kind
from pp_server.wire.receipts import Receipt


class Scope(StrEnum):
    """What a key may do."""

    UPLOAD = "upload"
    READ = "read"
    DELETE = "delete"
    ADMIN = "admin"


DEFAULT_SCOPES = (Scope.UPLOAD, Scope.READ, Scope.DELETE)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """One API key as it is kept: never the secret, only its SHA-256."""

    id: str
    owner_id: int
    owner: str
    name: str
    scopes: frozenset[Scope]
    host_id: str | None
    """Where set, the key speaks for this host only."""
    secret_sha256: bytes
    created_ms: int
    last_used_ms: int | None = None
    revoked_ms: int | None = None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key about to be kept."""

    id: str
    owner: str
    name: str
    scopes: frozenset[Scope]
    host_id: str | None
    secret_sha256: bytes


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever a request is made for."""

    key_id: str
    owner_id: int
    owner: str
    scopes: frozenset[Scope]
    host_id: str | None


class SessionStatus(StrEnum):
    """Where an upload stands. `open` shows on the wire as initiated or uploading."""

    OPEN = "open"
    COMPLETED = "completed"
    ABORTED = "aborted"
    EXPIRED = "expired"


class VersionStatus(StrEnum):
    """What a version is to its path."""

    ACTIVE = "active"
    DELETED = "deleted"
    SUPERSEDED = "superseded"


class Facts(NamedTuple):
    """What a restore needs besides the bytes."""

    kind: Kind = "file"
    mtime_ns: int | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    user_name: str | None = None
    group_name: str | None = None
    link_target: bytes | None = None
    inconsistent: bool = False
    """The bytes may mix several moments: the file never came to rest while they were read."""


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """An initiate with its geometry settled."""

    owner_id: int
    key_id: str
    host_id: str
    hostname: str
    ip_address: str | None
    path: bytes
    gen: int | None
    sha256: Digest | None
    size_bytes: int
    chunk_bytes: int
    total_chunks: int
    facts: Facts
    is_exact: bool = True
    """Whether the client stated the geometry, so that it must get exactly that."""


@dataclass(frozen=True, slots=True)
class UploadSession:
    """One upload as it is recorded."""

    id: int
    upload_id: str
    owner_id: int
    host_id: str
    path: bytes
    gen: int | None
    sha256: Digest | None
    size_bytes: int
    chunk_bytes: int
    total_chunks: int
    status: SessionStatus
    content_known: bool
    """The owner has this content already: complete needs no chunk."""
    created_ms: int
    expires_ms: int
    completed_ms: int | None
    receipt: Receipt | None


@dataclass(frozen=True, slots=True)
class RecordedChunk:
    """One chunk that arrived whole. *epoch* is the server start in which it was written."""

    number: int
    size_bytes: int
    sha256: Digest
    epoch: int
    uploaded_ms: int


@dataclass(frozen=True, slots=True)
class FileVersion:
    """One version of one path, as listings show it."""

    sequence: int
    host_key: int
    host_id: str
    hostname: str
    path: bytes
    gen: int
    kind: str
    sha256: Digest | None
    size_bytes: int
    mtime_ns: int | None
    mode: int | None
    link_target: bytes | None
    inconsistent: bool
    stored_ms: int


class ListedPath(NamedTuple):
    """A version of a path with all that is needed to make it again."""

    host_key: int
    host_id: str
    hostname: str
    path: bytes
    kind: str
    gen: int
    sha256: Digest | None
    size_bytes: int
    link_target: bytes | None
    mtime_ns: int | None
    mode: int | None
    uid: int | None
    gid: int | None
    user_name: str | None
    group_name: str | None
    inconsistent: bool
    status: VersionStatus
    stored_ms: int
    deleted_ms: int | None


class Shown(StrEnum):
    """Which versions of a path are listed."""

    LIVE = "live"
    DELETED = "deleted"  # the last one of each path that is deleted
    ALL = "all"  # every one, deletions included


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a listing, and the total counted where the listing began."""

    host_key: int
    path: bytes
    total: int


@dataclass(frozen=True, slots=True)
class ListingQuery:
    """Which files to list. None means any."""

    owner_id: int
    hostname: str | None = None
    host_id: str | None = None
    path_prefix: bytes | None = None
    kind: str | None = "file"
    limit: int = 100
    offset: int = 0
    after: Position | None = None
    shown: Shown = Shown.LIVE
    at_ms: int | None = None
    """What was live at that moment; None: now."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing; *following* is where the next begins."""

    versions: tuple[FileVersion, ...]
    total: int
    following: Position | None


@dataclass(frozen=True, slots=True)
class DeletionOrder:
    """One path that is gone. Without *path*, the one path of the owner with this content."""

    sha256: Digest
    path: bytes | None
    host_id: str | None
    gen: int | None


class DeletionStatus(StrEnum):
    """What became of a deletion."""

    DELETED = "deleted"
    NOT_FOUND = "not_found"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class DeletionOutcome:
    """A deletion's result; *gen* is the server's generation where it is known, *sequence* the tombstone's."""

    status: DeletionStatus
    path: bytes | None = None
    host_id: str | None = None
    hostname: str | None = None
    deleted_ms: int | None = None
    gen: int | None = None
    sequence: int | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """One machine of an owner."""

    host_id: str
    hostname: str
    highest_gen: int


@dataclass(frozen=True, slots=True)
class Expired:
    """What one round of cleaning found."""

    upload_ids: tuple[str, ...]
    dropped: int
