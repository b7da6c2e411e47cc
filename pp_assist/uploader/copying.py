"""Copying a file that somebody goes on writing to: what was read in one go, and whether it stood still. Blocking."""

import hashlib
import os
import shutil
import time

from pp_assist import posix
from pp_assist.core.errors import AssistError, FileUnreadable
from pp_assist.core.model import Hashed, Kind, Location
from pp_assist.core.rest import is_racy
from pp_assist.disk import opened_file, snapshot_of

BLOCK_BYTES = 1 << 20
RESERVE_BYTES = 1 << 30
"""Free space that copies leave on the disk of our own directory."""


class NoRoom(AssistError):
    """There is not enough free space for the copy."""

    reason = "no_room_for_snapshot"


def copy(location: Location, target: str) -> tuple[Hashed, bool]:
    """Copy the file at *location* to *target*; return what the copy is, and whether the file changed meanwhile.

    It ends where the file ended when it was opened: one that grows faster than it is read has an end nevertheless.

    Raises:
        NoRoom: the disk of *target* has not enough free space.
        RootUnhealthy, FileUnreadable: it cannot be read, or the copy cannot be written.
    """
    began_ns = time.time_ns()
    try:
        with opened_file(location) as source:
            before = snapshot_of(location.name, os.fstat(source))
            if before.kind is not Kind.FILE:
                raise FileUnreadable(f"it is a {before.kind}")
            if shutil.disk_usage(os.path.dirname(target)).free < before.stat.size_bytes + RESERVE_BYTES:
                raise NoRoom("there is no room for a copy of it beside our database")
            sha256, copied_bytes = _copy_bytes(source, target, before.stat.size_bytes)
            changed = snapshot_of(location.name, os.fstat(source)).stat != before.stat
    except OSError as error:
        raise FileUnreadable(f"it cannot be copied: {error.strerror}") from error
    stat = before.stat._replace(size_bytes=copied_bytes)
    return Hashed(stat, before.mode, before.uid, before.gid, sha256), changed or is_racy(before.stat, began_ns)


def _copy_bytes(source: int, target: str, most_bytes: int) -> tuple[str, int]:
    """Copy up to *most_bytes*, durably; return their SHA-256 and how many there were."""
    sha, count = hashlib.sha256(), 0
    with open(target, "wb", opener=_private) as file:
        while block := os.read(source, min(BLOCK_BYTES, most_bytes - count)):
            sha.update(block)
            file.write(block)
            count += len(block)
        file.flush()
        os.fsync(file.fileno())
    posix.sync_directory(os.path.dirname(target))
    return sha.hexdigest(), count


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
