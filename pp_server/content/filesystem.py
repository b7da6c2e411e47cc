"""Blobs on a file system: small ones in packs, large ones as files ``blobs/aa/bb/<sha256>``.

Such a file is created only by linking a finished, synced one.
"""

import asyncio
import hashlib
import os
import stat
import threading
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from typing import TypeVar

from pp_server import posix
from pp_server.content.base import SMALL_BYTES, BlobReader, Data, Found, Placed
from pp_server.content.packs import SEAL_BYTES, Packs
from pp_server.content.reading import READ_FLAGS, Content, ExtentsReader, read_together
from pp_server.core.errors import StorageFailed
from pp_server.core.extents import Blob, Container, Extent, Location, whole_file
from pp_server.durable import Durable, as_storage_error, raise_if_ours
from pp_server.wire.digest import Digest, digest_of

T = TypeVar("T")

_BLOB_MODE = 0o440
_BLOCK_BYTES = 1 << 20


class NewParents:
    """Directories in which somebody is creating a subdirectory that is not durable yet.

    Whoever puts a blob below one of them syncs it too, instead of trusting that the other will get that far.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()

    @contextmanager
    def adding(self) -> Iterator[Callable[[str], None]]:
        """Yield a function that adds a directory; all that were added leave at the end of the block."""
        added: list[str] = []

        def add(directory: str) -> None:
            with self._lock:
                self._held[directory] += 1
            added.append(directory)

        try:
            yield add
        finally:
            with self._lock:
                self._held -= Counter(added)

    def holds(self, directory: str) -> bool:
        """Say whether the directory has to be synced."""
        with self._lock:
            return directory in self._held


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
    ) -> None:
        self._blobs = blobs
        self._quarantine = quarantine
        self._durable = durable
        self._executor = executor
        self._small_bytes = small_bytes
        self._packs = Packs(packs, durable, seal_bytes)
        self._new_parents = NewParents()

    async def put_file(self, digest: Digest, size_bytes: int, path: str) -> Placed:
        """See `ContentStore`."""
        return await self._run(self._put_file, digest, size_bytes, path)

    async def put_many(self, contents: Sequence[tuple[Digest, Data]]) -> list[Location]:
        """See `ContentStore`."""
        return await self._run(self._packs.append, contents)

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

    def path_of(self, digest: str) -> str:
        """Return where a blob of its own lies, whether it is there or not."""
        return os.path.join(self._blobs, digest[:2], digest[2:4], digest)

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
            return Placed(self._packs.append([(digest, data)])[0])
        self._sync_file(path)
        target = self.path_of(digest)
        parent = os.path.dirname(target)
        with self._new_parents.adding() as add_parents:
            existed = self._link(path, target, digest, size_bytes, add_parents)
            self._durable.sync_dir(parent)
            for directory in (os.path.dirname(parent), self._blobs):
                if self._new_parents.holds(directory):
                    self._durable.sync_dir(directory)
        return Placed(whole_file(digest, size_bytes), existed)

    def _sync_file(self, path: str) -> None:
        fd = os.open(path, os.O_RDONLY)
        try:
            posix.set_mode(fd, _BLOB_MODE)
            self._durable.sync(fd)
        finally:
            os.close(fd)

    def _link(
        self, path: str, target: str, digest: Digest, size_bytes: int, add_parents: Callable[[str], None]
    ) -> bool:
        """Give the file its name; say whether a file of that name and size was there."""
        while True:
            try:
                self._durable.link(path, target)
            except FileNotFoundError:
                if not os.path.exists(path):
                    raise
                self._make_parents(target, add_parents)
            except FileExistsError:
                if self._file_size(target) == size_bytes:
                    return True
                self._move_aside(digest)
            else:
                return False

    def _make_parents(self, target: str, add_parents: Callable[[str], None]) -> None:
        parent = os.path.dirname(target)
        for directory in (os.path.dirname(parent), parent):
            add_parents(os.path.dirname(directory))
            self._durable.mkdir(directory)

    # reading

    def _place(self, extent: Extent) -> str:
        return self.path_of(extent.name) if extent.container is Container.FILE else self._packs.path_of(extent.name)

    def _file_size(self, path: str) -> int | None:
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def _holds(self, location: Location) -> bool:
        return all(self._is_whole(extent, self._file_size(self._place(extent))) for extent in location)

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
        except OSError as error:
            for fd in opened.values():
                os.close(fd)
            raise_if_ours(error)
            return None
        return ExtentsReader(parts, self._executor)

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
                self._move_aside(Digest(extent.name))
            else:
                self._copy_aside(digest, number, extent)

    def _move_aside(self, digest: Digest) -> None:
        try:
            self._durable.rename(self.path_of(digest), self._aside(digest))
        except FileNotFoundError:
            return
        self._durable.sync_dir(self._quarantine)

    def _copy_aside(self, digest: Digest, number: int, extent: Extent) -> None:
        """Copy what a pack holds; the pack itself stays as it is. Only for people, so a failure changes nothing."""
        with suppress(OSError), open(self._place(extent), "rb", buffering=0) as pack:
            data = posix.read_at(pack.fileno(), extent.stored_bytes, extent.offset)
            with open(self._aside(digest) + f".{number}", "xb") as copy:
                copy.write(data)

    def _aside(self, digest: Digest) -> str:
        return os.path.join(self._quarantine, f"{digest}.{uuid.uuid4().hex}")

    # finding everything

    def _scan(self) -> Iterator[Found]:
        for name in self._packs.names():
            for extent, intact in self._packs.read(name):
                yield Found(Blob(extent.sha256, extent.size_bytes, (extent,)), intact)
        for folder, directories, names in os.walk(self._blobs):
            directories.sort()
            self._durable.sync_dir(folder)  # whoever made these names was perhaps killed before it came to that
            for name in sorted(names):
                path = os.path.join(folder, name)
                if len(name) == 64 and path == self.path_of(name) and (size := self._file_size(path)) is not None:
                    location = whole_file(Digest(name), size)
                    yield Found(Blob(Digest(name), size, location), self._verify(Digest(name), location))


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
