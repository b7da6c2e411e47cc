"""The one port through which bytes and names become durable.

Every operation calls `step` before and after it happens. `step` does nothing; a test overrides it to kill the process
at the k-th one, for every k.
"""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from pp_server import posix
from pp_server.core.errors import StorageFailed, StorageFull, SyncFailed

_FULL = (errno.ENOSPC, errno.EDQUOT)
_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES, errno.EPERM, errno.ESTALE, errno.ETIMEDOUT)


class Durable:
    """Blocking; may be used from many threads."""

    def __init__(self) -> None:
        self._counting = threading.Lock()
        self._fsyncs = 0

    def step(self, name: str) -> None:
        """Called as ``before NAME`` and ``after NAME`` around each operation. A hook for tests."""

    @contextmanager
    def _operation(self, name: str) -> Iterator[None]:
        self.step(f"before {name}")
        try:
            yield
        except FileExistsError:
            raise
        except FileNotFoundError:
            raise
        except OSError as error:
            raise as_storage_error(error) from error
        self.step(f"after {name}")

    def take_fsyncs(self) -> int:
        """Return how many syncs happened since the last call."""
        with self._counting:
            taken, self._fsyncs = self._fsyncs, 0
        return taken

    def _count_fsync(self) -> None:
        with self._counting:
            self._fsyncs += 1

    def write(self, fd: int, data: bytes | bytearray | memoryview, offset: int) -> None:
        """Write all of *data* at *offset*. Not durable before `sync`."""
        with self._operation("write"):
            posix.write_at(fd, data, offset)

    def sync(self, fd: int) -> None:
        """Make the file's content and size durable.

        Raises:
            SyncFailed: what is on disk is unknown from here on; never ask again for the same file.
        """
        self._count_fsync()
        with self._operation("sync"):
            try:
                os.fsync(fd)
            except OSError as error:
                raise SyncFailed("The disk failed to make the content durable") from error

    def datasync(self, fd: int) -> None:
        """As `sync`, without times and the like; what a reader needs to find the bytes is durable, too."""
        self._count_fsync()
        with self._operation("datasync"):
            try:
                posix.datasync(fd)
            except OSError as error:
                raise SyncFailed("The disk failed to make the content durable") from error

    def link(self, source: str, target: str, source_dir: int | None = None, target_dir: int | None = None) -> None:
        """Give a finished file its second name, in open directories where given. FileExistsError: the name is taken."""
        with self._operation("link"):
            if source_dir is None:
                os.link(source, target)
            else:
                os.link(source, target, src_dir_fd=source_dir, dst_dir_fd=target_dir, follow_symlinks=False)

    def rename(self, source: str, target: str) -> None:
        """Move a name."""
        with self._operation("rename"):
            os.rename(source, target)

    def unlink(self, path: str) -> None:
        """Remove a name; a missing one is fine."""
        with self._operation("unlink"), suppress(FileNotFoundError):
            os.unlink(path)

    def mkdir(self, path: str) -> bool:
        """Create a private directory, and say whether it was missing. Its parent is still to be synced."""
        with self._operation("mkdir"):
            try:
                os.mkdir(path, 0o700)
            except FileExistsError:
                return False
        return True

    def sync_dir(self, path: str) -> None:
        """Make the names in a directory durable."""
        self._count_fsync()
        with self._operation("sync_dir"):
            posix.sync_dir(path)

    def commit(self, commit: Callable[[], None]) -> None:
        """Run a database commit, which syncs once."""
        self._count_fsync()
        with self._operation("commit"):
            commit()


def raise_if_ours(error: OSError) -> None:
    """Raise where a failed read says something about us, such as too many open files, and nothing about the bytes.

    Raises:
        StorageFailed: it is not known whether the bytes are good; nothing may be put aside or forgotten for it.
    """
    if error.errno in _OURS:
        raise as_storage_error(error) from error


def as_storage_error(error: OSError) -> StorageFull | StorageFailed:
    """Return the domain error for a failed system call."""
    if error.errno in _FULL:
        return StorageFull("No space left for this")
    return StorageFailed("The storage failed")
