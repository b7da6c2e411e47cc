"""What the server needs from a place that keeps blobs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from typing import Protocol

from pp_server.wire.digest import Digest


class Placed(Enum):
    """What `put_file` found."""

    NEW = "new"
    EXISTED = "existed"


class BlobReader(Protocol):
    """An open blob. Closing is the caller's duty."""

    size_bytes: int

    async def read(self, offset: int, length: int) -> bytes:
        """Return the bytes at *offset*; fewer than *length* only at the end."""

    async def close(self) -> None:
        """Let go of it."""


class ContentStore(Protocol):
    """Immutable blobs addressed by the SHA-256 of their bytes.

    A blob is wholly there or not there. An existing blob is never written to: storing the same digest twice is a
    successful no-op. Nothing here decides who may see a blob.
    """

    name: str
    """Such as ``local``; shown as `storage_backend`."""

    async def put_file(self, digest: Digest, size_bytes: int, path: str) -> Placed:
        """Store the finished local file at *path*, durable when this returns; the file itself stays where it is.

        The caller has checked the digest and writes to the file no more. EXISTED means: a blob of that name and size
        was there; its bytes were not looked at. One of another size is put aside and replaced (NEW).

        Raises:
            SyncFailed: the file's bytes on disk are unknown now.
            StorageFull, StorageFailed: nothing was stored.
        """

    async def size(self, digest: Digest) -> int | None:
        """Return the blob's size, or None where there is none."""

    async def open(self, digest: Digest) -> BlobReader | None:
        """Return the blob for reading, or None where there is none."""

    async def verify(self, digest: Digest) -> bool:
        """Hash the whole blob and say whether it is what its name says; False also where there is none."""

    async def put_aside(self, digest: Digest) -> None:
        """Take a bad blob out of the store without destroying it. None there is fine."""


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
