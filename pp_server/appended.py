"""A file that only grows, written by many threads, made durable for all of them together.

Whoever appended waits for a sync that began after its bytes were written; whoever comes while one is under way shares
the next. A sync that failed is never repeated: from then on the file takes nothing more, and what was not durable
counts as lost.
"""

import errno
import os
import threading
from collections.abc import Sequence
from contextlib import suppress

from pp_server import posix
from pp_server.core.errors import SyncFailed
from pp_server.durable import Durable, as_storage_error

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)

_SECTOR_BYTES = 4096


def read_past_damage(fd: int, length: int, offset: int) -> bytes:
    """Read as `posix.read_at`; what the disk cannot read is zeros, so that what lies behind it is still found."""
    try:
        return posix.read_at(fd, length, offset)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
    if length <= _SECTOR_BYTES:
        return bytes(length)
    half = length // 2
    return read_past_damage(fd, half, offset) + read_past_damage(fd, length - half, offset + half)


class TakesNoMore(Exception):
    """The file was closed, or a sync of it failed: append to another one. Nothing was written."""


class AppendedFile:
    """One file open for appending. All methods block."""

    def __init__(self, path: str, durable: Durable, head: bytes) -> None:
        """Create the file with *head* in it, durable with its name.

        Raises:
            StorageFull, StorageFailed: there is no such file now.
        """
        self._durable = durable
        self._writing = threading.Lock()
        self._syncing = threading.Lock()
        self._broken = False
        self._closed = False
        self._users = 0
        self.size_bytes = len(head)
        """Where the next byte goes; what lies beyond (after a failed write) is nobody's."""
        self._synced_bytes = 0
        try:
            self._fd = os.open(path, _FLAGS, 0o600)
        except OSError as error:
            raise as_storage_error(error) from error
        try:
            durable.write(self._fd, head, 0)
            durable.sync(self._fd)
            durable.sync_dir(os.path.dirname(path))
        except BaseException:
            os.close(self._fd)
            with suppress(Exception):
                os.unlink(path)
            raise
        self._synced_bytes = self.size_bytes

    @property
    def is_usable(self) -> bool:
        """Say whether it still takes bytes."""
        return not self._broken and not self._closed

    def append(self, pieces: Sequence[bytes | bytearray | memoryview]) -> int:
        """Write *pieces* one after the other at the end and return where they begin; durable when this returns.

        Raises:
            StorageFull: nothing was appended, and what was written of it is cut off again.
            SyncFailed: nobody knows what is on disk; the file is of no more use.
            TakesNoMore: use another file.
        """
        data = b"".join(pieces)
        with self._writing:
            if not self.is_usable:
                raise TakesNoMore
            start = self.size_bytes
            try:
                self._durable.write(self._fd, data, start)
            except BaseException:
                with suppress(OSError):
                    os.ftruncate(self._fd, start)
                raise
            self.size_bytes = end = start + len(data)
            self._users += 1
        try:
            self._sync_through(end)
        finally:
            with self._writing:
                self._users -= 1
                self._close_unused()
        return start

    def _sync_through(self, end: int) -> None:
        with self._syncing:
            if self._synced_bytes >= end:
                return
            if self._broken:
                raise SyncFailed("The disk failed to make the content durable")
            written = self.size_bytes
            try:
                self._durable.datasync(self._fd)
            except BaseException:
                self._broken = True
                raise
            self._synced_bytes = written

    def close(self) -> None:
        """Take nothing more; the file is closed once the last writer has its answer."""
        with self._writing:
            self._closed = True
            self._close_unused()

    def _close_unused(self) -> None:
        if self._closed and not self._users and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
