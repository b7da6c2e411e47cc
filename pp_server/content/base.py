"""What the server needs from a place that keeps blobs."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from pp_server.core.extents import Blob, Location
from pp_server.wire.batch import MAX_INLINE_BYTES
from pp_server.wire.digest import Digest

Data = bytes | memoryview

NO_FRAMES: Mapping[Digest, Data] = MappingProxyType({})

SMALL_BYTES = MAX_INLINE_BYTES
"""Blobs up to this size share packs; larger ones are a file each."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a blob lies now. *existed*: it was there already, and its bytes were not looked at."""

    location: Location
    existed: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """One stored thing, as it is found without any records: *intact* where its bytes are what its name says."""

    blob: Blob
    intact: bool


class BlobReader(Protocol):
    """An open blob. Closing is the caller's duty."""

    size_bytes: int

    async def read(self, offset: int, length: int) -> bytes:
        """Return the bytes at *offset*; fewer than *length* only where there are no more."""

    def read_now(self, offset: int, length: int) -> bytes:
        """As `read`, blocking."""

    async def close(self) -> None:
        """Let go of it."""


class ContentStore(Protocol):
    """Immutable blobs. Which blob lies where is kept in the records (`Location`), not here.

    What is placed is durable and never written to again. Nothing here decides who may see a blob.
    """

    name: str
    """Such as ``local``; shown as `storage_backend`."""

    async def put_file(self, digest: Digest, size_bytes: int, path: str) -> Placed:
        """Store the finished local file at *path*; the file itself stays where it is.

        The caller has checked the digest and writes to the file no more.

        Raises:
            SyncFailed: the file's bytes on disk are unknown now.
            StorageFull, StorageFailed: nothing was stored.
        """

    async def put_many(
        self, contents: Sequence[tuple[Digest, Data]], frames: Mapping[Digest, Data] = NO_FRAMES
    ) -> list[Location]:
        """Store contents of up to `SMALL_BYTES` each, together with whatever others store at this moment.

        *frames* are some of them as frames of zstd, which the caller has decoded: kept instead, where that is smaller.

        Raises:
            SyncFailed, StorageFull, StorageFailed: nothing of it counts as stored.
        """

    async def holds(self, location: Location) -> bool:
        """Say whether there is something as long as it should be; its bytes are not looked at."""

    async def open(self, location: Location) -> BlobReader | None:
        """Return the blob for reading, or None where it is not there.

        Raises:
            StorageFailed: nobody can say at this moment; the same holds for `verify`.
        """

    def read_together(self, blobs: Sequence[Blob]) -> AsyncIterator[list[tuple[Blob, bytes | None]]]:
        """Yield small blobs with their bytes, in the order that costs least, some at a time.

        None instead of the bytes: they are not what they should be, or not to be had like this.

        Raises:
            StorageFailed: nobody can say at this moment.
        """

    async def verify(self, digest: Digest, location: Location) -> bool:
        """Read and hash the whole blob and say whether it is what its name says; False also where it is not there."""

    async def put_aside(self, digest: Digest, location: Location) -> None:
        """Keep a copy of a bad blob for a person to look at, and have its place not used again. None there is fine."""

    def scan(self) -> AsyncIterator[Found]:
        """Read and hash everything that is stored, records or not; what is found is durable."""

    async def pack_sizes(self, settled_for_ms: int = 0) -> Mapping[str, int]:
        """Return the packs that take nothing more and have not changed for so long, and the bytes of each."""

    async def drop_pack(self, name: str) -> None:
        """Remove a pack in which no blob lies any more. None there is fine."""


class DigestLocks:
    """One at a time per content: publishing it and putting it aside must not cross."""

    def __init__(self) -> None:
        self._locks: dict[Digest, asyncio.Lock] = {}
        self._waiting: dict[Digest, int] = {}

    @asynccontextmanager
    async def alone_with(self, digest: Digest) -> AsyncIterator[None]:
        """Nobody else is in such a block for this content."""
        lock = self._locks.setdefault(digest, asyncio.Lock())
        self._waiting[digest] = self._waiting.get(digest, 0) + 1
        try:
            async with lock:
                yield
        finally:
            self._waiting[digest] -= 1
            if not self._waiting[digest]:
                del self._waiting[digest], self._locks[digest]
