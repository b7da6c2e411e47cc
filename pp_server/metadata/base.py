"""What the server needs from a place that keeps facts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pp_server.core.model import (
    DeletionOrder,
    DeletionOutcome,
    Expired,
    FileVersion,
    Host,
    KeyRecord,
    ListingQuery,
    NewKey,
    Page,
    RecordedChunk,
    UploadRequest,
    UploadSession,
)
from pp_server.wire.digest import Digest
from pp_server.wire.receipts import Receipt


@dataclass(frozen=True, slots=True)
class Opened:
    """An upload session and the numbers recorded for it; *resumed* where it existed before."""

    session: UploadSession
    resumed: bool


@dataclass(frozen=True, slots=True)
class Committed:
    """A version that is recorded."""

    receipt: Receipt


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

    async def open_session(self, request: UploadRequest, upload_id: str, now_ms: int, expires_ms: int) -> Opened:
        """Return the open session of the same upload, else a new one called *upload_id*.

        Raises:
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

    async def distrust_content(self, sha256: Digest, session_id: int | None = None) -> None:
        """The blob is gone or bad: no upload may skip its chunks because of it, this session least of all."""

    async def has_blob(self, sha256: Digest) -> bool:
        """Say whether a good blob is recorded, whoever's it is."""

    async def complete_session(self, session_id: int, sha256: Digest, now_ms: int) -> Committed | Outdated:
        """Record blob and version and close the session; asked again it answers the same receipt.

        Outdated: the blob is recorded, the version is not, the session is aborted.

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

    # files

    async def list_files(self, query: ListingQuery) -> Page:
        """Return live files in order of (host, path bytes)."""

    async def apply_deletions(
        self, owner_id: int, orders: Sequence[DeletionOrder], now_ms: int
    ) -> list[DeletionOutcome]:
        """Apply deletions in order, all in one transaction."""

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
