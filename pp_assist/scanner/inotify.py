"""The system calls of inotify, by which Linux tells what happens in directories. Imports everywhere, works there."""

import ctypes
import os
import struct
import sys
from collections.abc import Iterator

MODIFY = 0x2
ATTRIB = 0x4
CLOSE_WRITE = 0x8
MOVED_FROM = 0x40
MOVED_TO = 0x80
CREATE = 0x100
DELETE = 0x200
DELETE_SELF = 0x400
MOVE_SELF = 0x800
UNMOUNT = 0x2000
Q_OVERFLOW = 0x4000
IGNORED = 0x8000
ISDIR = 0x4000_0000

_ONLYDIR = 0x100_0000
_EXCL_UNLINK = 0x400_0000
_CLOEXEC = 0o2000000
_NONBLOCK = 0o4000

_HEAD = struct.Struct("iIII")  # watch descriptor, mask, cookie, length of the name with its padding

AVAILABLE = sys.platform == "linux" and os.path.isdir("/proc/self/fd")
"""Directories are named to the kernel by /proc/self/fd: see `add_watch`."""

_libc = ctypes.CDLL(None, use_errno=True) if AVAILABLE else None


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def open_queue() -> int:
    """Return the descriptor of a new queue of events; the caller closes it.

    Raises:
        OSError: EMFILE where the user has as many as allowed.
    """
    assert _libc is not None
    return _checked(_libc.inotify_init1(_CLOEXEC | _NONBLOCK))


def add_watch(queue: int, directory_fd: int, mask: int) -> int:
    """Have events of an open directory put into *queue*; return the watch's number, the same one for the same inode.

    By descriptor, not by path: what is watched is what was opened, whatever links are put in the way meanwhile, and
    there is no limit to the length of the path.

    Raises:
        OSError: ENOSPC where the user has as many watches as allowed.
    """
    assert _libc is not None
    path = b"/proc/self/fd/%d" % directory_fd
    return _checked(_libc.inotify_add_watch(queue, path, mask | _ONLYDIR | _EXCL_UNLINK))


def remove_watch(queue: int, watch: int) -> None:
    """End a watch; no matter if the kernel has ended it already."""
    assert _libc is not None
    _libc.inotify_rm_watch(queue, watch)


def parse(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield (watch, mask, name) of each event in what was read from a queue."""
    offset, end = 0, len(data)
    while offset < end:
        watch, mask, _, length = _HEAD.unpack_from(data, offset)
        offset += 16
        yield watch, mask, data[offset : offset + length].rstrip(b"\0") if length else b""
        offset += length
