"""Hashing one file: one descriptor, one pass, a stat before and after. Blocking."""

import hashlib
import os
import time
from collections.abc import Callable

from pp_assist.core.blocks import BlockDigester
from pp_assist.core.errors import AssistError, FileChanged, FileUnreadable
from pp_assist.core.model import Hashed, Kind, Location, Snapshot, Stat
from pp_assist.core.rest import is_racy
from pp_assist.disk import opened_file, snapshot_of
from pp_server.wire.batch import MAX_INLINE_BYTES

BLOCK_BYTES = 1 << 20


class LooksDifferent(FileChanged):
    """The file is not as it was last seen; `now` is how it looks."""

    def __init__(self, now: Stat) -> None:
        super().__init__("it was touched since it was last looked at")
        self.now = now


class NotThere(AssistError):
    """The name is gone, or stands for something that is no regular file. The scanner will find out what it means."""

    reason = "not_there"


class Stopped(AssistError):
    """Nobody waits for the result any more."""

    reason = "stopped"


def hash_file(location: Location, seen: Stat, stopped: Callable[[], bool] = lambda: False) -> tuple[Hashed, bool]:
    """Return what a file that held still contains, and whether it was touched too recently to be sure (racy).

    A digest of bytes that never existed together would poison the store, so the stat tuple must be *seen* before the
    first byte is read and after the last one.

    Raises:
        LooksDifferent: the file is not, or no longer, as *seen*.
        NotThere: it is gone, or no regular file.
        FileUnreadable: it cannot be read.
        RootUnhealthy: its root is not there.
        Stopped: *stopped* said so.
    """
    began_ns = time.time_ns()
    try:
        with opened_file(location) as fd:
            before = _snapshot(fd, seen)
            sha256, blocks = digests(fd, seen.size_bytes, stopped)
            _snapshot(fd, seen)
    except FileNotFoundError as error:
        raise NotThere("not found") from error
    except OSError as error:
        raise FileUnreadable(f"cannot read it: {error.strerror}") from error
    return Hashed(seen, before.mode, before.uid, before.gid, sha256, blocks), is_racy(seen, began_ns)


def _snapshot(fd: int, seen: Stat) -> Snapshot:
    now = snapshot_of(b"", os.fstat(fd))
    if now.kind is not Kind.FILE:
        raise NotThere(f"it is a {now.kind}")
    if now.stat != seen:
        raise LooksDifferent(now.stat)
    return now


def digests(fd: int, size_bytes: int, stopped: Callable[[], bool]) -> tuple[str, bytes | None]:
    """Return the SHA-256 of everything from here on, and the digests of the blocks of a large file.

    A small file is read in one call of just its size, and hashed again as a whole when it is sent.
    """
    sha = hashlib.sha256()
    blocks = BlockDigester(size_bytes) if size_bytes > MAX_INLINE_BYTES else None
    block = bytearray(min(BLOCK_BYTES, size_bytes + 1))
    view = memoryview(block)
    while count := os.readv(fd, [block]) if hasattr(os, "readv") else _read_into(fd, block):
        sha.update(view[:count])
        if blocks is not None:
            blocks.feed(view[:count])
        if stopped():
            raise Stopped
    return sha.hexdigest(), None if blocks is None else blocks.digests()


def _read_into(fd: int, block: bytearray) -> int:
    data = os.read(fd, len(block))
    block[: len(data)] = data
    return len(data)
