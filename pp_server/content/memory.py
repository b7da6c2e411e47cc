"""Blobs in memory, for tests and demonstrations."""

from pp_server.content.base import BlobReader, Placed
from pp_server.wire.digest import Digest, digest_of


class MemoryReader:
    """An open blob."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size_bytes = len(data)

    async def read(self, offset: int, length: int) -> bytes:
        """Return the bytes at *offset*."""
        return self._data[offset : offset + length]

    async def close(self) -> None:
        """Nothing to let go of."""


class MemoryContent:
    """See `ContentStore`. Keeps everything until the process ends."""

    name = "memory"

    def __init__(self) -> None:
        self.blobs: dict[Digest, bytes] = {}
        self.aside: list[bytes] = []

    async def put_file(self, digest: Digest, size_bytes: int, path: str) -> Placed:
        """Store a copy of the file."""
        known = self.blobs.get(digest)
        if known is not None and len(known) == size_bytes:
            return Placed.EXISTED
        if known is not None:
            await self.put_aside(digest)
        with open(path, "rb") as file:  # noqa: ASYNC230 - a test double
            self.blobs[digest] = file.read()
        return Placed.NEW

    async def size(self, digest: Digest) -> int | None:
        """Return the blob's size."""
        data = self.blobs.get(digest)
        return None if data is None else len(data)

    async def open(self, digest: Digest) -> BlobReader | None:
        """Return the blob for reading."""
        data = self.blobs.get(digest)
        return None if data is None else MemoryReader(data)

    async def verify(self, digest: Digest) -> bool:
        """Hash the blob."""
        data = self.blobs.get(digest)
        return data is not None and digest_of(data) == digest

    async def put_aside(self, digest: Digest) -> None:
        """Move the blob out of sight."""
        data = self.blobs.pop(digest, None)
        if data is not None:
            self.aside.append(data)
