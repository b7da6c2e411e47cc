"""What the server needs from a place that keeps facts."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pp_server.core.extents import Blob, Extent, Location
from pp_server.core.model import (
    DeletionOrder,
    DeletionOutcome,
    Expired,
    FileVersion,
    Host,
    KeyRecord,
    ListedPath,
    ListingQuery,
    NewKey,
    Page,
    RecordedChunk,
    UploadRequest,
    UploadSession,
)
from pp_server.core.recorded import Recorded, Whose
from pp_server.core.trees import MoveTree
from pp_server.core.versions import Operation, Outcome
from pp_server.wire.digest import Digest
from pp_server.wire.receipts import Receipt


@dataclass(frozen=True, slots=True)
class Opened:
    """An upload session and the numbers recorded for it; *resumed* where it existed before."""

    session: UploadSession
    resumed: bool


@dataclass(frozen=True, slots=True)
class Committed:
    """A version that is recorded. *new*: what the receipts log does not have yet."""

    receipt: Receipt
    new: tuple[Recorded, ...] = ()


@dataclass(frozen=True, slots=True)
class ContentGone:
    """Nothing is recorded: the content the upload counted on is not held any more."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Operations on one host's paths.

    *stored*: blobs that are durable now; *arrived*: digests of all bytes that came along; *arriving*: paths of which a
    version is under way in another request that is not recorded yet.
    """

    owner_id: int
    host_id: str
    hostname: str
    operations: Sequence[Operation | MoveTree]
    stored: Sequence[Blob]
    arrived: Collection[Digest]
    arriving: Collection[bytes] = ()


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of each operation of a batch, and the versions the receipts log does not have yet.

    *new* is without those of directories that moved: they are many, and read back page by page.
    """

    outcomes: list[Outcome]
    new: list[Recorded]
    whose: Whose


@dataclass(frozen=True, slots=True)
class Outdated:
    """The content is stored, but the path is already at generation *gen*."""

    gen: int


class MetadataStore(Protocol):
    """Facts, each call one transaction: it happened wholly and durably when it returns, or not at all.

    A caller that is cancelled while waiting does not undo its call. Every question about files and uploads carries the
    owner; what belongs to another owner is not there. Raises StorageFull or StorageFailed when the engine fails.
    """

    server_id: str
    epoch: int
    """Number of this start."""
    verify_below: int
    """Chunks recorded in an earlier epoch than this were followed by an unclean stop: look at their bytes again."""

    # keys

    async def create_key(self, key: NewKey, now_ms: int) -> KeyRecord:
        """Keep a new key; a name of an owner not seen before creates the owner."""

    async def list_keys(self) -> list[KeyRecord]:
        """Return all keys, oldest first, revoked ones too."""

    async def find_key(self, key_id: str) -> KeyRecord | None:
        """Return one key, also a revoked one."""

    async def revoke_key(self, key_id: str, now_ms: int) -> KeyRecord | None:
        """End a key; the first revocation's time stays. None where there is no such key."""

    async def touch_keys(self, used_ms: Mapping[str, int]) -> None:
        """Record when keys were last used."""

    # uploads

    async def open_session(
        self, request: UploadRequest, upload_id: str, now_ms: int, expires_ms: int, max_open: int | None = None
    ) -> Opened:
        """Return the open session of the same upload, else a new one called *upload_id*.

        Raises:
            RateLimited: the owner has *max_open* others already.
            StaleGeneration: the path is at this generation or a newer one already, and this is no repeat of it.
        """

    async def find_session(self, owner_id: int, upload_id: str) -> UploadSession | None:
        """Return one of the owner's sessions."""

    async def chunks(self, session_id: int) -> list[RecordedChunk]:
        """Return what arrived, by number."""

    async def chunk(self, session_id: int, number: int) -> RecordedChunk | None:
        """Return one chunk."""

    async def record_chunk(self, session_id: int, chunk: RecordedChunk, expires_ms: int | None) -> None:
        """Record a chunk that arrived, and the session's new expiry where given. A recorded one stays as it is."""

    async def forget_chunks(self, session_id: int, numbers: Sequence[int] | None) -> None:
        """These chunks (None: all) are missing again."""

    async def vouch_chunks(self, session_id: int) -> None:
        """The session's chunks were looked at in this epoch and are intact."""

    async def forget_known_content(self, session_id: int) -> None:
        """This session needs its chunks after all."""

    async def complete_session(
        self, session_id: int, sha256: Digest, location: Location | None, now_ms: int
    ) -> Committed | Outdated | ContentGone:
        """Record blob and version and close the session; asked again it answers the same receipt.

        Without *location* the content must be one that the owner has. Outdated: the blob is recorded, the version is
        not, the session is aborted.

        Raises:
            UploadExpired, UploadAborted: the session was closed meanwhile.
        """

    async def abort_session(self, session_id: int, now_ms: int) -> int:
        """Close an open session; return how many chunks it had."""

    async def expire_sessions(self, now_ms: int, busy: Iterable[str]) -> Expired:
        """Close the sessions whose time is over, except *busy* ones, and drop rows that nobody can ask for any more."""

    async def expire_session(self, upload_id: str, now_ms: int) -> bool:
        """Close one open session as expired, whoever's it is."""

    async def open_upload_ids(self) -> set[str]:
        """Return the ids of all open sessions."""

    # blobs

    async def find_blobs(self, digests: Collection[Digest]) -> dict[Digest, Blob]:
        """Return those that are recorded as good, whoever's they are."""

    async def distrust_content(self, sha256: Digest, location: Location) -> bool:
        """What lies at *location* is not this content: nothing may build on it. False: it lies elsewhere by now."""

    async def held(self, owner_id: int, digests: Collection[Digest]) -> set[Digest]:
        """Return those that some version of the owner has, kept in a good blob."""

    async def record_blobs(self, blobs: Sequence[Blob], now_ms: int) -> None:
        """These are durable in the content store; one that was recorded as good stays where it was."""

    async def page_of_blobs(self, after: Digest | None, limit: int) -> list[Blob]:
        """Return good blobs in order of their digests, those beyond *after*."""

    async def live_in_packs(self) -> dict[str, tuple[int, int]]:
        """Return, per pack, how many extents of good blobs lie in it, and their stored bytes."""

    async def blobs_in_pack(self, name: str, after: Digest | None, limit: int) -> list[Blob]:
        """Return good blobs of which a part lies in this pack, in order of their digests, those beyond *after*."""

    async def move_extents(self, moves: Sequence[tuple[Extent, Extent]]) -> None:
        """Extents lie elsewhere now, for whichever blobs they are part of: (from, to), all in one transaction."""

    async def retire_pack(self, name: str, now_ms: int) -> bool:
        """Record that nothing is read from this pack any more; False where good blobs still lie in it."""

    async def retired_packs(self) -> dict[str, int]:
        """Return the packs that are on their way out, and since when."""

    async def forget_pack(self, name: str) -> None:
        """The pack is removed."""

    # files

    async def apply_batch(self, batch: Batch, now_ms: int) -> Applied:
        """Apply a batch, in order and in one transaction."""

    async def find_recorded(self, owner_id: int, sequence: int) -> Recorded | None:
        """Return one version of the owner, as it was recorded."""

    async def recorded_after(self, sequence: int, limit: int) -> list[Recorded]:
        """Return versions beyond *sequence*, in order, whoever's they are."""

    async def last_sequence(self) -> int:
        """Return the sequence of the newest version."""

    async def receipts_logged(self) -> int:
        """Return the sequence through which all versions certainly are in the receipts log."""

    async def note_logged(self, sequence: int) -> None:
        """All versions up to *sequence* are in the receipts log; durable with the next transaction at the latest."""

    async def list_files(self, query: ListingQuery) -> Page:
        """Return live files in order of (host, path bytes)."""

    async def hosts_of(self, query: ListingQuery) -> list[int]:
        """Return the keys of the hosts that a query means, in order."""

    async def page_of_tree(
        self, query: ListingQuery, host_key: int, after: tuple[bytes, int] | None
    ) -> tuple[list[ListedPath], tuple[bytes, int] | None]:
        """Return up to `query.limit` paths of a host in order of (path bytes, gen), those beyond *after*.

        And where the next page begins: None at the end. A page may be empty before that.
        """

    async def apply_deletions(
        self,
        owner_id: int,
        orders: Sequence[DeletionOrder],
        now_ms: int,
    ) -> tuple[list[DeletionOutcome], list[Recorded]]:
        """Apply deletions, those of one host in order, all in one transaction; return also what is new for the log."""

    async def find_content(self, owner_id: int, sha256: Digest) -> FileVersion | None:
        """Return some version of the owner with this content, kept in a good blob."""

    async def find_host(self, owner_id: int, host_id: str) -> Host | None:
        """Return one of the owner's hosts."""

    # the whole

    async def add_counts(self, counts: Mapping[str, int]) -> None:
        """Add to counters; durable with the next transaction at the latest."""

    async def stats(self) -> dict[str, int]:
        """Return files, bytes and counters."""

    async def is_connected(self) -> bool:
        """Say whether the store answers."""
