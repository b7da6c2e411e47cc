"""Blobs on a file system: small ones in packs, large ones as files ``blobs/aa/bb/<sha256>``, or ``<sha256>.zst`` where
that is smaller.

Such a file is created only by linking a finished, synced one.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from typing import TypeVar

from pp_server import posix
from pp_server.content.base import NO_FRAMES, SMALL_BYTES, BlobReader, Data, Found, Placed
from pp_server.content.framed import content_bytes, encode_file, is_worthwhile
from pp_server.content.packs import SEAL_BYTES, Packs
from pp_server.content.publishing import Publisher, file_size
from pp_server.content.reading import READ_FLAGS, Content, ExtentsReader, read_together
from pp_server.core.errors import StorageFailed
from pp_server.core.extents import (
    FRAMED_SUFFIX,
    PLAIN,
    ZSTD,
    Blob,
    Container,
    Extent,
    Location,
    framed_file,
    whole_file,
)
from pp_server.durable import Durable, as_storage_error, raise_if_ours
from pp_server.wire.digest import Digest, digest_of
from pp_server.wire.frames import Encoder

T = TypeVar("T")

_BLOCK_BYTES = 1 << 20


class FilesystemContent:
    """See `ContentStore`. *blobs*, *packs* and *quarantine* are directories on the filesystem that staging is on."""

    name = "local"

    def __init__(
        self,
        blobs: str,
        packs: str,
        quarantine: str,
        durable: Durable,
        executor: Executor,
        small_bytes: int = SMALL_BYTES,
        seal_bytes: int = SEAL_BYTES,
        compress: bool = True,
    ) -> None:
        self._blobs = blobs
        self._durable = durable
        self._executor = executor
        self._small_bytes = small_bytes
        self._compress = compress
        self._packs = Packs(packs, durable, seal_bytes)
        self._publisher = Publisher(blobs, quarantine, durable)

    async def put_file(self, digest: Digest, size_bytes: int, path: str) -> Placed:
        """See `ContentStore`."""
        return await self._run(self._put_file, digest, size_bytes, path)

    async def put_many(
        self, contents: Sequence[tuple[Digest, Data]], frames: Mapping[Digest, Data] = NO_FRAMES
    ) -> list[Location]:
        """See `ContentStore`."""
        return await self._run(self._packs.append, contents, frames if self._compress else NO_FRAMES)

    async def holds(self, location: Location) -> bool:
        """See `ContentStore`."""
        return await self._run(self._holds, location)

    async def open(self, location: Location) -> BlobReader | None:
        """See `ContentStore`."""
        return await self._run(self._open, location)

    async def read_together(self, blobs: Sequence[Blob]) -> AsyncIterator[list[Content]]:
        """See `ContentStore`."""
        reading = read_together(blobs, self._place)
        while (some := await self._run(_next, reading)) is not None:
            yield some

    async def verify(self, digest: Digest, location: Location) -> bool:
        """See `ContentStore`."""
        return await self._run(self._verify, digest, location)

    async def put_aside(self, digest: Digest, location: Location) -> None:
        """See `ContentStore`."""
        await self._run(self._put_aside, digest, location)

    async def scan(self) -> AsyncIterator[Found]:
        """See `ContentStore`."""
        found = await self._run(self._scan)
        while (batch := await self._run(_take, found)) != []:
            for each in batch:
                yield each

    async def pack_sizes(self, settled_for_ms: int = 0) -> Mapping[str, int]:
        """See `ContentStore`."""
        return await self._run(self._packs.sizes, settled_for_ms)

    async def drop_pack(self, name: str) -> None:
        """See `ContentStore`."""
        await self._run(self._packs.drop, name)

    def close(self) -> None:
        """Append nothing more."""
        self._packs.close()

    async def _run(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *args)

    def path_of(self, digest: str, encoding: str = PLAIN) -> str:
        """Return where a blob of its own lies, whether it is there or not."""
        return os.path.join(self._blobs, digest[:2], digest[2:4], digest + (FRAMED_SUFFIX if encoding == ZSTD else ""))

    def recover(self) -> None:
        """After an unclean stop: make directories durable that were created but perhaps not synced. Blocking."""
        with os.scandir(self._blobs) as entries:
            directories = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        for directory in directories:
            self._durable.sync_dir(directory)
        self._durable.sync_dir(self._blobs)

    # storing

    def _put_file(self, digest: Digest, size_bytes: int, path: str) -> Placed:
        if size_bytes <= self._small_bytes:
            with open(path, "rb", buffering=0) as file:
                data = file.read()
            if digest_of(data) != digest:
                raise StorageFailed("The staged content is not what it was a moment ago")
            frames = {digest: Encoder().frame(data)} if data and self._compress else NO_FRAMES
            return Placed(self._packs.append([(digest, data)], frames)[0])
        if self._compress and is_worthwhile(path, size_bytes):
            return self._put_framed(digest, size_bytes, path, path + FRAMED_SUFFIX)
        existed = self._publisher.publish(path, self.path_of(digest), size_bytes)
        return Placed(whole_file(digest, size_bytes), existed)

    def _put_framed(self, digest: Digest, size_bytes: int, path: str, framed: str) -> Placed:
        """Store the file at *path* compressed, by way of a file at *framed*."""
        try:
            framed_bytes = self._encode(digest, size_bytes, path, framed)
            existed = self._publisher.publish(framed, self.path_of(digest, ZSTD), framed_bytes)
        finally:
            self._durable.unlink(framed)
        return Placed(framed_file(digest, size_bytes, framed_bytes), existed)

    def _encode(self, digest: Digest, size_bytes: int, path: str, framed: str) -> int:
        self._durable.unlink(framed)  # never written to: what a kill left there may be a blob by now
        try:
            fd = os.open(framed, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
            try:
                return encode_file(path, digest, size_bytes, lambda data, offset: self._durable.write(fd, data, offset))
            finally:
                os.close(fd)
        except OSError as error:
            raise as_storage_error(error) from error

    # reading

    def _place(self, extent: Extent) -> str:
        if extent.container is Container.FILE:
            return self.path_of(extent.name, extent.encoding)
        return self._packs.path_of(extent.name)

    def _holds(self, location: Location) -> bool:
        return all(self._is_whole(extent, file_size(self._place(extent))) for extent in location)

    @staticmethod
    def _is_whole(extent: Extent, container_bytes: int | None) -> bool:
        """Say whether a container of that size can hold the extent; a file of its own has exactly its size."""
        if container_bytes is None:
            return False
        end = extent.offset + extent.stored_bytes
        alone = extent.container is Container.FILE and extent.sha256 == extent.name
        return container_bytes == end if alone else container_bytes >= end

    def _open(self, location: Location) -> ExtentsReader | None:
        opened: dict[str, int] = {}
        try:
            parts = []
            for extent in location:
                path = self._place(extent)
                if path not in opened:
                    opened[path] = os.open(path, READ_FLAGS)
                if not self._is_whole(extent, os.fstat(opened[path]).st_size):
                    raise OSError("shorter than it was")
                parts.append((opened[path], extent))
            return ExtentsReader(parts, self._executor)
        except OSError as error:
            for fd in opened.values():
                os.close(fd)
            raise_if_ours(error)
            return None

    def _verify(self, digest: Digest, location: Location) -> bool:
        reader = self._open(location)
        if reader is None:
            return False
        hasher, offset = hashlib.sha256(), 0
        try:
            while block := reader.read_now(offset, _BLOCK_BYTES):
                hasher.update(block)
                offset += len(block)
        except OSError as error:
            raise_if_ours(error)
            return False
        finally:
            reader.close_now()
        return hasher.hexdigest() == digest

    def _put_aside(self, digest: Digest, location: Location) -> None:
        for number, extent in enumerate(location):
            if extent.container is Container.FILE:
                self._publisher.move_aside(self._place(extent))
            else:
                self._copy_aside(digest, number, extent)

    def _copy_aside(self, digest: Digest, number: int, extent: Extent) -> None:
        """Copy what a pack holds; the pack itself stays as it is. Only for people, so a failure changes nothing."""
        with suppress(OSError), open(self._place(extent), "rb", buffering=0) as pack:
            data = posix.read_at(pack.fileno(), extent.stored_bytes, extent.offset)
            with open(self._publisher.aside(digest) + f".{number}", "xb") as copy:
                copy.write(data)

    # finding everything

    def _scan(self) -> Iterator[Found]:
        for name in self._packs.names():
            for extent, intact in self._packs.read(name):
                yield Found(Blob(extent.sha256, extent.size_bytes, (extent,)), intact)
        for folder, directories, names in os.walk(self._blobs):
            directories.sort()
            self._durable.sync_dir(folder)  # whoever made these names was perhaps killed before it came to that
            for name in sorted(names):
                path, digest = os.path.join(folder, name), Digest(name.removesuffix(FRAMED_SUFFIX))
                encoding = PLAIN if name == digest else ZSTD
                if len(digest) == 64 and path == self.path_of(digest, encoding):
                    yield from self._found(digest, encoding, path)

    def _found(self, digest: Digest, encoding: str, path: str) -> Iterator[Found]:
        stored_bytes = file_size(path)
        if stored_bytes is None:
            return
        if encoding == PLAIN:
            location, size_bytes = whole_file(digest, stored_bytes), stored_bytes
        else:
            size_bytes = self._content_bytes(path)
            location = framed_file(digest, size_bytes, stored_bytes)
        yield Found(Blob(digest, size_bytes, location), self._verify(digest, location))

    def _content_bytes(self, path: str) -> int:
        """Return how long the content of a compressed file is, 0 where it does not say."""
        try:
            fd = os.open(path, READ_FLAGS)
            try:
                return content_bytes(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise_if_ours(error)
            return 0


def _next(reading: Iterator[list[Content]]) -> list[Content] | None:
    return next(reading, None)


def _take(found: Iterator[Found], limit: int = 256) -> list[Found]:
    """Return the next few, none at the end."""
    batch: list[Found] = []
    taken_bytes = 0
    try:
        for each in found:
            batch.append(each)
            taken_bytes += each.blob.size_bytes
            if len(batch) == limit or taken_bytes > 64 * _BLOCK_BYTES:
                break
    except OSError as error:
        raise as_storage_error(error) from error
    return batch
