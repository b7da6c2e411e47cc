"""Half-received uploads: one file per upload, chunks written at their place.

The truth about what arrived is the recorded chunk set; the bytes here are only its content, re-verified after an
unclean stop. All functions block: call them in a worker thread.
"""

import hashlib
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from pp_server import posix
from pp_server.core.errors import StorageFailed, SyncFailed
from pp_server.core.extents import FRAMED_SUFFIX
from pp_server.durable import Durable, as_storage_error, raise_if_ours
from pp_server.wire.digest import Digest

SYNC_BYTES = 64 << 20
SYNC_SECONDS = 5.0
"""A write syncs the file when so many bytes are not synced yet, or the first of them came so long ago: a power cut
costs no more than that of an upload, and `complete` finds little left to sync."""

COPIED_BYTES = 1 << 20
"""In memory at a time, of what is copied."""

_BLOCK_BYTES = 1 << 20
_SUFFIX = ".part"
_FLAGS = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


class Staging:
    """The directory of half-received uploads."""

    def __init__(self, directory: str, durable: Durable) -> None:
        self._directory = directory
        self._durable = durable

    def path_of(self, upload_id: str) -> str:
        """Return where the upload's bytes lie, whether they are there or not."""
        return os.path.join(self._directory, upload_id + _SUFFIX)

    def file(self, upload_id: str) -> "StagedFile":
        """Return the upload's file; it is opened at the first write."""
        return StagedFile(self.path_of(upload_id), self._durable)

    def is_there(self, upload_id: str) -> bool:
        """Say whether the upload has a file."""
        return os.path.lexists(self.path_of(upload_id))

    def is_published(self, upload_id: str) -> bool:
        """Say whether the file is also a blob, and so must not be written to any more."""
        try:
            return os.lstat(self.path_of(upload_id)).st_nlink > 1
        except FileNotFoundError:
            return False

    def bad_chunks(self, upload_id: str, chunks: Iterable[tuple[int, int, int, Digest]]) -> list[int]:
        """Return the numbers of those (number, offset, length, digest) whose bytes are not what was recorded."""
        chunks = list(chunks)
        try:
            with open(self.path_of(upload_id), "rb", buffering=0) as file:
                fd = file.fileno()
                return [number for number, offset, length, digest in chunks if _digest_at(fd, offset, length) != digest]
        except OSError as error:
            raise_if_ours(error)
            return [number for number, *_ in chunks]

    def remove(self, upload_id: str) -> None:
        """Remove the upload's bytes, and what was made of them; none there is fine."""
        for suffix in ("", FRAMED_SUFFIX):
            self._durable.unlink(self.path_of(upload_id) + suffix)

    def upload_ids(self) -> list[str]:
        """Return the uploads that have a file here, or something that was being made of one."""
        names = [name.removesuffix(FRAMED_SUFFIX) for name in os.listdir(self._directory)]
        return [name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)]


class Prefix:
    """The front of an upload's file, as far as it was hashed. For one thread at a time; anybody may stop it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._hasher = hashlib.sha256()
        self._stopped = threading.Event()
        self.size_bytes = 0

    def read_on(self, end: Callable[[], int]) -> bool:
        """Hash up to *end*, which is asked again there; False where the file is shorter, or not there.

        Raises:
            StorageFailed: it cannot be read; nothing of it counts.
        """
        try:
            with open(self._path, "rb", buffering=0) as file:
                block = memoryview(bytearray(_BLOCK_BYTES))
                file.seek(self.size_bytes)
                while (left := end() - self.size_bytes) > 0 and not self._stopped.is_set():
                    count = file.readinto(block[:left])
                    if not count:
                        return False
                    self._hasher.update(block[:count])
                    self.size_bytes += count
                return True
        except FileNotFoundError:
            return False
        except OSError as error:
            raise as_storage_error(error) from error

    def digest(self) -> Digest:
        """Return the SHA-256 of what was read."""
        return Digest(self._hasher.hexdigest())

    def stop(self) -> None:
        """Have whoever reads end soon."""
        self._stopped.set()


class StagedFile:
    """One upload's file, opened at the first write; used from many threads.

    A failed sync makes the file worthless: nobody knows what it holds on disk, and asking again would not tell. It is
    not written to or synced any more; `discard` begins it anew.

    Its descriptor is closed by whoever uses it last: a closed number may belong to another file a moment later, and a
    write under way would land there.
    """

    def __init__(self, path: str, durable: Durable) -> None:
        self._path = path
        self._durable = durable
        self._opening = threading.Lock()
        self._fd: int | None = None
        self._uses: Counter[int] = Counter()
        self._unsynced_bytes = 0
        self._unsynced_since = 0.0
        self.is_lost = False
        """A sync failed."""

    def write(self, data: bytes | bytearray | memoryview, offset: int, fresh: bool) -> None:
        """Put *data* at *offset*. *fresh*: nothing is recorded yet, so a left-over file is dropped first.

        Raises:
            SyncFailed: this file is lost; see `discard`.
        """
        with self._opened(fresh) as fd:
            self._durable.write(fd, data, offset)
            if self._is_sync_due(len(data)):
                self._sync(fd)
            self._check_not_lost()  # else what another thread's sync lost would be recorded

    def copy(self, read: Callable[[int, int], bytes], offset: int, length: int, fresh: bool) -> None:
        """Put what *read* (from, how much) returns at the same place, piece by piece; otherwise as `write`.

        Raises:
            StorageFailed: it cannot be read, or not all of it is there.
        """
        end = offset + length
        while offset < end:
            try:
                data = read(offset, min(COPIED_BYTES, end - offset))
            except OSError as error:
                raise as_storage_error(error) from error
            if not data:
                raise StorageFailed("The stored content is shorter than it was")
            self.write(data, offset, fresh)
            offset += len(data)

    def _is_sync_due(self, written_bytes: int) -> bool:
        """Count what was written; True for the one thread that is to sync."""
        now = time.monotonic()
        with self._opening:
            if not self._unsynced_bytes:
                self._unsynced_since = now
            self._unsynced_bytes += written_bytes
            due = self._unsynced_bytes >= SYNC_BYTES or now - self._unsynced_since >= SYNC_SECONDS
            if due:
                self._unsynced_bytes = 0
        return due

    def _sync(self, fd: int) -> None:
        self._check_not_lost()
        try:
            self._durable.datasync(fd)
        except SyncFailed:
            self.is_lost = True
            raise

    def _check_not_lost(self) -> None:
        if self.is_lost:
            raise SyncFailed("The disk failed to make the content durable")

    def ensure(self) -> None:
        """Have the file exist, though nothing was written."""
        if not os.path.exists(self._path):
            with self._opened(fresh=True):
                pass

    @contextmanager
    def _opened(self, fresh: bool) -> Iterator[int]:
        with self._opening:
            self._check_not_lost()
            if self._fd is None:
                try:
                    self._fd = self._create() if fresh else self._reopen()
                except OSError as error:
                    raise as_storage_error(error) from error
            fd = self._fd
            self._uses[fd] += 1
        try:
            yield fd
        finally:
            with self._opening:
                self._uses[fd] -= 1
                self._close_unused(fd)

    def _create(self) -> int:
        self._durable.unlink(self._path)
        return os.open(self._path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)

    def _reopen(self) -> int:
        if os.lstat(self._path).st_nlink > 1:
            raise StorageFailed("The content is being published")  # a blob is never opened for writing
        os.chmod(self._path, 0o600)
        return os.open(self._path, _FLAGS)

    def close(self) -> None:
        """Close it; the file stays."""
        with self._opening:
            fd, self._fd = self._fd, None
            if fd is not None:
                self._close_unused(fd)

    def _close_unused(self, fd: int) -> None:
        if fd != self._fd and not self._uses[fd]:
            del self._uses[fd]
            os.close(fd)

    def discard(self) -> None:
        """Close it and remove the file; the next write begins a new one."""
        self.close()
        self._durable.unlink(self._path)
        self._unsynced_bytes, self.is_lost = 0, False


def _digest_at(fd: int, offset: int, length: int) -> Digest:
    hasher = hashlib.sha256()
    while length > 0:
        block = posix.read_at(fd, min(length, _BLOCK_BYTES), offset)
        if not block:
            break
        hasher.update(block)
        offset, length = offset + len(block), length - len(block)
    return Digest(hasher.hexdigest())
