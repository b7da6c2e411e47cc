"""Blobs in memory, for tests and demonstrations."""

from collections.abc import AsyncIterator, Mapping, Sequence

from pp_server.content.base import NO_FRAMES, BlobReader, Data, Found, Placed
from pp_server.core.extents import Blob, Location, whole_file
from pp_server.wire.digest import Digest, digest_of


class MemoryReader:
    """An open blob."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size_bytes = len(data)

    async def read(self, offset: int, length: int) -> bytes:
        """Return the bytes at *offset*."""
        return self.read_now(offset, length)

    def read_now(self, offset: int, length: int) -> bytes:
        """As `read`."""
        return self._data[offset : offset + length]

    async def close(self) -> None:
        """Nothing to let go of."""


class MemoryContent:
    """See `ContentStore`. Keeps everything until the process ends; every blob is a container of its own."""

    name = "memory"

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.aside: list[bytes] = []

    async def put_file(self, digest: Digest, size_bytes: int, path: str) -> Placed:
        """See `ContentStore`."""
        known = self.blobs.get(digest)
        if known is not None and len(known) == size_bytes:
            return Placed(whole_file(digest, size_bytes), existed=True)
        if known is not None:
            self.aside.append(known)
        with open(path, "rb") as file:  # noqa: ASYNC230 - a test double
            self.blobs[digest] = file.read()
        return Placed(whole_file(digest, size_bytes))

    async def put_many(
        self, contents: Sequence[tuple[Digest, Data]], frames: Mapping[Digest, Data] = NO_FRAMES
    ) -> list[Location]:
        """See `ContentStore`."""
        self.blobs.update((digest, bytes(data)) for digest, data in contents)
        return [whole_file(digest, len(data)) if data else () for digest, data in contents]

    def _parts(self, location: Location) -> list[bytes] | None:
        """Return the bytes of each extent; None where one is not there."""
        parts = []
        for extent in location:
            part = self.blobs.get(extent.name, b"")[extent.offset : extent.offset + extent.stored_bytes]
            if len(part) != extent.size_bytes:
                return None
            parts.append(part)
        return parts

    async def holds(self, location: Location) -> bool:
        """See `ContentStore`."""
        return self._parts(location) is not None

    async def open(self, location: Location) -> BlobReader | None:
        """See `ContentStore`."""
        parts = self._parts(location)
        return None if parts is None else MemoryReader(b"".join(parts))

    async def read_together(self, blobs: Sequence[Blob]) -> AsyncIterator[list[tuple[Blob, bytes | None]]]:
        """See `ContentStore`."""
        for blob in blobs:
            data = b"".join(self._parts(blob.location) or [])
            yield [(blob, data if digest_of(data) == blob.sha256 else None)]

    async def verify(self, digest: Digest, location: Location) -> bool:
        """See `ContentStore`."""
        parts = self._parts(location)
        return parts is not None and digest_of(b"".join(parts)) == digest

    async def put_aside(self, digest: Digest, location: Location) -> None:
        """See `ContentStore`."""
        for extent in location:
            data = self.blobs.pop(extent.name, None)
            if data is not None:
                self.aside.append(data)

    async def scan(self) -> AsyncIterator[Found]:
        """See `ContentStore`."""
        for name, data in list(self.blobs.items()):
            blob = Blob(Digest(name), len(data), whole_file(Digest(name), len(data)))
            yield Found(blob, digest_of(data) == name)

    async def pack_sizes(self, settled_for_ms: int = 0) -> Mapping[str, int]:
        """There are no packs here."""
        return {}

    async def drop_pack(self, name: str) -> None:
        """There are no packs here."""
