"""Hashing one file: one descriptor, one pass, a stat before and after. Blocking."""

import hashlib
import os
import time
from collections.abc import Callable
from typing import NamedTuple

from pp_assist.core.blocks import BlockDigester
from pp_assist.core.errors import AssistError, FileChanged, FileUnreadable
from pp_assist.core.model import Hashed, Kind, Location, Stat
from pp_assist.core.rest import is_racy
from pp_assist.disk import Directories, looks_as, snapshot_of
from pp_assist.posix import pread
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


class Read(NamedTuple):
    """What was read."""

    hashed: Hashed
    racy: bool
    """It was touched too recently to be sure."""
    content: bytes | None = None
    """All of it, of a small file."""


def hash_file(location: Location, seen: Stat, stopped: Callable[[], bool] = lambda: False) -> Read:
    """`hash_in`, of one file alone."""
    with Directories() as directories:
        return hash_in(directories, location, seen, stopped)


def hash_in(directories: Directories, location: Location, seen: Stat, stopped: Callable[[], bool]) -> Read:
    """Return what a file that held still contains.

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
        fd = directories.open_file(location)
        try:
            before = _as_seen(fd, seen)
            sha256, blocks, content = _digests(fd, seen.size_bytes, stopped)
            _as_seen(fd, seen)
        finally:
            os.close(fd)
    except FileNotFoundError as error:
        raise NotThere("not found") from error
    except OSError as error:
        raise FileUnreadable(f"cannot read it: {error.strerror}") from error
    hashed = Hashed(seen, before.st_mode & 0o7777, before.st_uid, before.st_gid, sha256, blocks)
    return Read(hashed, is_racy(seen, began_ns), content)


def _as_seen(fd: int, seen: Stat) -> os.stat_result:
    result = os.fstat(fd)
    if looks_as(result, seen):
        return result
    now = snapshot_of(b"", result)
    if now.kind is not Kind.FILE:
        raise NotThere(f"it is a {now.kind}")
    raise LooksDifferent(now.stat)


def _digests(fd: int, size_bytes: int, stopped: Callable[[], bool]) -> tuple[str, bytes | None, bytes | None]:
    """Return the SHA-256 of *size_bytes* of a file, the digests of a large one's blocks, the content of a small one.

    A small file is read in one call of just its size.

    Raises:
        FileUnreadable: there are not as many.
    """
    if size_bytes <= MAX_INLINE_BYTES:
        content = pread(fd, size_bytes, 0)
        if len(content) != size_bytes:
            raise FileUnreadable("it is shorter than it says")
        return hashlib.sha256(content).hexdigest(), None, content
    sha, blocks = hashlib.sha256(), BlockDigester(size_bytes)
    block = bytearray(BLOCK_BYTES)
    view = memoryview(block)
    while count := os.readv(fd, [block]) if hasattr(os, "readv") else _read_into(fd, block):
        sha.update(view[:count])
        blocks.feed(view[:count])
        if stopped():
            raise Stopped
    return sha.hexdigest(), blocks.digests(), None


def _read_into(fd: int, block: bytearray) -> int:
    data = os.read(fd, len(block))
    block[: len(data)] = data
    return len(data)
