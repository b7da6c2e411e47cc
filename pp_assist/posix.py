"""The only module of the daemon with calls that exist on some systems only."""

import contextlib
import ctypes
import os
import stat as stat_module
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
NON_BLOCK = getattr(os, "O_NONBLOCK", 0)
DIRECTORY = getattr(os, "O_DIRECTORY", 0)
CLOSE_ON_EXEC = getattr(os, "O_CLOEXEC", 0)
BINARY = getattr(os, "O_BINARY", 0)

OPEN_FILE = os.O_RDONLY | NO_FOLLOW | NON_BLOCK | CLOSE_ON_EXEC | BINARY
OPEN_DIRECTORY = os.O_RDONLY | NO_FOLLOW | DIRECTORY | CLOSE_ON_EXEC


def open_root(path: bytes) -> int:
    """Return a descriptor of the directory *path*; the caller closes it."""
    return os.open(path, os.O_RDONLY | DIRECTORY | CLOSE_ON_EXEC)


def open_beneath(root_fd: int, parts: Sequence[bytes], flags: int) -> int:
    """Return a descriptor of what *parts* names below *root_fd*, opened component by component.

    No component may be a symbolic link, so nothing outside the root is ever reached, whatever is swapped meanwhile.

    Raises:
        OSError: ELOOP or ENOTDIR for a link on the way, ENOENT, EACCES and so on.
    """
    if not parts:
        return os.dup(root_fd)
    fd = root_fd
    try:
        for part in parts[:-1]:
            deeper = os.open(part, OPEN_DIRECTORY, dir_fd=fd)
            if fd != root_fd:
                os.close(fd)
            fd = deeper
        return os.open(parts[-1], flags, dir_fd=fd)
    finally:
        if fd != root_fd:
            os.close(fd)


def open_file(directory_fd: int, name: bytes) -> int:
    """Return a descriptor of the file *name* in an open directory, or of whatever else stands there but a link."""
    return os.open(name, OPEN_FILE, dir_fd=directory_fd)


def file_system_id(fd: int) -> int | None:
    """Return the number that the file system of *fd* has for itself; None where there is none."""
    if sys.platform == "win32":
        return None
    return getattr(os.fstatvfs(fd), "f_fsid", 0) or None


_statx = getattr(ctypes.CDLL(None), "statx", None) if sys.platform == "linux" else None
_AT_EMPTY_PATH, _AT_NO_AUTOMOUNT, _AT_SYMLINK_NOFOLLOW = 0x1000, 0x800, 0x100
_STATX_MNT_ID = 0x1000
_Statx = ctypes.c_char * 256
_MASK, _MNT_ID_AT = struct.Struct("=I"), 0x90
_MNT_ID = struct.Struct("=Q")


def mount_id(fd: int, name: bytes = b"") -> int | None:
    """Return which mount the directory *fd*, or *name* in it, is part of; None where the system does not tell.

    A folder of the same file system, mounted over another one, has the device that the hidden one had. Only this
    tells the two apart.
    """
    if _statx is None:
        return None
    found = _Statx()
    flags = _AT_EMPTY_PATH | _AT_NO_AUTOMOUNT | _AT_SYMLINK_NOFOLLOW
    if _statx(fd, name, flags, _STATX_MNT_ID, found) != 0:
        return None
    (told,) = _MASK.unpack_from(found, 0)
    return int(_MNT_ID.unpack_from(found, _MNT_ID_AT)[0]) if told & _STATX_MNT_ID else None


def keep_freed_memory() -> None:
    """Have memory that is freed used again, where the C library lets us say so; `give_back_memory` returns it.

    Else it goes back to the system with each body, and comes again page by page, each of which the kernel clears.
    """
    if sys.platform == "linux" and (set_option := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        for option, value in _KEEPING.items():
            set_option(option, value)


_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8
_KEEPING = {_MMAP_THRESHOLD: 32 << 20, _TRIM_THRESHOLD: 128 << 20, _TOP_PAD: 1 << 20, _ARENA_MAX: 2}
"""As in malloc.h."""


def give_back_memory() -> None:
    """Return free memory to the system: nobody will need it soon."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


def pread(fd: int, length: int, offset: int) -> bytes:
    """Return up to *length* bytes at *offset*; fewer only at the end of the file."""
    if sys.platform == "win32":
        os.lseek(fd, offset, os.SEEK_SET)
        return os.read(fd, length)
    piece = os.pread(fd, length, offset)
    if len(piece) == length or not piece:
        return piece
    pieces = []
    while piece:  # some file systems of users give only a little at a time
        pieces.append(piece)
        offset += len(piece)
        length -= len(piece)
        piece = os.pread(fd, length, offset) if length else b""
    return b"".join(pieces)


def lock_file(path: str) -> int | None:
    """Return a descriptor that holds the exclusive lock on *path* until closed, or None if another process has it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | CLOSE_ON_EXEC, 0o600)
    try:
        lock(fd)
    except OSError:
        os.close(fd)
        return None
    return fd


def lock(fd: int) -> None:
    """Hold the exclusive lock on an open file until it is closed.

    Raises:
        BlockingIOError: somebody else has it.
        OSError: there are no locks here.
    """
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def make_private_directory(path: str) -> None:
    """Create *path* if needed, for our own eyes only.

    Raises:
        PermissionError: it belongs to another user.
    """
    os.makedirs(path, mode=0o700, exist_ok=True)
    if sys.platform != "win32":
        if os.stat(path).st_uid != os.geteuid():
            raise PermissionError(f"{path} belongs to another user")
        os.chmod(path, 0o700)


def restrict_umask() -> None:
    """Let everything this process creates be private."""
    os.umask(0o077)


def is_ours_alone(result: os.stat_result) -> bool:
    """Say whether it is a regular file with one name that belongs to us, and that nobody else may write to."""
    if not stat_module.S_ISREG(result.st_mode) or result.st_nlink != 1:
        return False
    return sys.platform == "win32" or (result.st_uid == os.geteuid() and not result.st_mode & 0o022)


def is_root_user() -> bool:
    """Say whether we run with all rights (and so may read more than we should)."""
    return sys.platform != "win32" and os.geteuid() == 0


@lru_cache(maxsize=1024)
def user_name(uid: int) -> str | None:
    """Return the name of user *uid*, or None where it has none."""
    with contextlib.suppress(ImportError, KeyError):
        import pwd

        if sys.platform != "win32":
            return pwd.getpwuid(uid).pw_name
    return None


@lru_cache(maxsize=1024)
def group_name(gid: int) -> str | None:
    """Return the name of group *gid*, or None where it has none."""
    with contextlib.suppress(ImportError, KeyError):
        import grp

        if sys.platform != "win32":
            return grp.getgrgid(gid).gr_name
    return None


def set_owner(fd: int, uid: int, gid: int) -> None:
    """Give an open file to somebody, where files belong to somebody.

    Raises:
        PermissionError: that is not ours to do.
    """
    if sys.platform != "win32":
        os.fchown(fd, uid, gid)


def set_mode(fd: int, mode: int) -> None:
    """Set the permission bits of an open file, where there are any."""
    if sys.platform != "win32":
        os.fchmod(fd, mode)


def sync_directory(path: str) -> None:
    """Make the names in directory *path* durable, where a directory can be synced."""
    if sys.platform == "win32":
        return
    fd = os.open(path, os.O_RDONLY | DIRECTORY | CLOSE_ON_EXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def opened(fd: int) -> Iterator[int]:
    """Close *fd* at the end of the block."""
    try:
        yield fd
    finally:
        os.close(fd)


def fastest_loop() -> "Callable[[], AbstractEventLoop] | None":
    """Return what makes uvloop's event loops, or None (asyncio's own) where there is no uvloop."""
    try:
        import uvloop
    except ImportError:  # Windows
        return None
    return uvloop.new_event_loop


def file_type(mode: int) -> str:
    """Return our word for the type bits of a stat mode."""
    return FILE_TYPES.get(mode & TYPE_BITS, "other")


TYPE_BITS = 0o170000
FILE_TYPES = {
    stat_module.S_IFREG: "file",
    stat_module.S_IFDIR: "dir",
    stat_module.S_IFLNK: "symlink",
    stat_module.S_IFIFO: "fifo",
    stat_module.S_IFSOCK: "socket",
    stat_module.S_IFCHR: "character_device",
    stat_module.S_IFBLK: "block_device",
}
