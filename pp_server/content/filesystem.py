"""Blobs as files: ``blobs/aa/bb/<sha256>``, mode 0440, created only by linking a finished, synced file."""

import asyncio
import hashlib
import os
import stat
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TypeVar

from pp_server import posix
from pp_server.content.base import BlobReader, Placed
from pp_server.durable import Durable
from pp_server.wire.digest import Digest

T = TypeVar("T")

_BLOB_MODE = 0o440


class FileReader:
    """An open blob; reads happen in *executor*."""

    def __init__(self, fd: int, executor: Executor) -> None:
        self._fd = fd
        self._executor = executor
        self.size_bytes = os.fstat(fd).st_size

    async def read(self, offset: int, length: int) -> bytes:
        """Return the bytes at *offset*."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, posix.read_at, self._fd, length, offset)

    async def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


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
    """See `ContentStore`. *blobs* and *quarantine* are existing directories on the filesystem that staging is on."""

    name = "local"

    def __init__(self, blobs: str, quarantine: str, durable: Durable, executor: Executor) -> None:
        self._blobs = blobs
        self._quarantine = quarantine
        self._durable = durable
        self._executor = executor
        self._new_parents = NewParents()

    async def put_file(self, digest: Digest, size_bytes: int, path: str) -> Placed:
        """Sync the file, link it under its digest, sync the directory."""
        return await self._run(self._put_file, digest, size_bytes, path)

    async def size(self, digest: Digest) -> int | None:
        """Return the blob's size."""
        return await self._run(self._size, digest)

    async def open(self, digest: Digest) -> BlobReader | None:
        """Return the blob for reading."""
        return await self._run(self._open, digest)

    async def verify(self, digest: Digest) -> bool:
        """Hash the blob."""
        return await self._run(self._verify, digest)

    async def put_aside(self, digest: Digest) -> None:
        """Move the blob to quarantine."""
        await self._run(self._put_aside, digest)

    async def _run(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *args)

    def path_of(self, digest: Digest) -> str:
        """Return where the blob lies, whether it is there or not."""
        return os.path.join(self._blobs, digest[:2], digest[2:4], digest)

    def recover(self) -> None:
        """After an unclean stop: make directories durable that were created but perhaps not synced. Blocking."""
        with os.scandir(self._blobs) as entries:
            directories = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        for directory in directories:
            self._durable.sync_dir(directory)
        self._durable.sync_dir(self._blobs)

    def _put_file(self, digest: Digest, size_bytes: int, path: str) -> Placed:
        self._sync_file(path)
        target = self.path_of(digest)
        parent = os.path.dirname(target)
        with self._new_parents.adding() as add_parents:
            placed = self._link(path, target, digest, size_bytes, add_parents)
            self._durable.sync_dir(parent)
            for directory in (os.path.dirname(parent), self._blobs):
                if self._new_parents.holds(directory):
                    self._durable.sync_dir(directory)
        return placed

    def _sync_file(self, path: str) -> None:
        fd = os.open(path, os.O_RDONLY)
        try:
            posix.set_mode(fd, _BLOB_MODE)
            self._durable.sync(fd)
        finally:
            os.close(fd)

    def _link(
        self, path: str, target: str, digest: Digest, size_bytes: int, add_parents: Callable[[str], None]
    ) -> Placed:
        while True:
            try:
                self._durable.link(path, target)
            except FileNotFoundError:
                if not os.path.exists(path):
                    raise
                self._make_parents(target, add_parents)
            except FileExistsError:
                if self._size(digest) == size_bytes:
                    return Placed.EXISTED
                self._put_aside(digest)
            else:
                return Placed.NEW

    def _make_parents(self, target: str, add_parents: Callable[[str], None]) -> None:
        parent = os.path.dirname(target)
        for directory in (os.path.dirname(parent), parent):
            add_parents(os.path.dirname(directory))
            self._durable.mkdir(directory)

    def _size(self, digest: Digest) -> int | None:
        try:
            found = os.lstat(self.path_of(digest))
        except FileNotFoundError:
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def _open(self, digest: Digest) -> FileReader | None:
        try:
            fd = os.open(self.path_of(digest), os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        except OSError:
            return None
        return FileReader(fd, self._executor)

    def _verify(self, digest: Digest) -> bool:
        try:
            with open(self.path_of(digest), "rb", buffering=0) as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == digest
        except OSError:
            return False

    def _put_aside(self, digest: Digest) -> None:
        try:
            self._durable.rename(self.path_of(digest), os.path.join(self._quarantine, f"{digest}.{uuid.uuid4().hex}"))
        except FileNotFoundError:
            return
        self._durable.sync_dir(self._quarantine)
