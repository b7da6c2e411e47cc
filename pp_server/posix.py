"""What only POSIX can do, in one place. Windows gets the nearest thing, or a clear refusal."""

import ctypes
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

MAX_SOCKET_PATH_BYTES = 107
"""`sun_path` holds 108 bytes with its NUL."""


def private_umask() -> None:
    """From here on, new files and directories belong to this user alone."""
    os.umask(0o077)


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


def lock_exclusive(fd: int) -> bool:
    """Take the lock on an open file for the life of the process; False where another process holds it."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl  # here, so that this module loads where fcntl does not exist

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_at(fd: int, data: bytes | bytearray | memoryview, offset: int) -> None:
    """Write all of *data* at *offset* without moving the file's position."""
    view = memoryview(data)
    while view:
        if sys.platform == "win32":
            os.lseek(fd, offset, os.SEEK_SET)
            written = os.write(fd, view)
        else:
            written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written


def read_at(fd: int, length: int, offset: int) -> bytes:
    """Return up to *length* bytes from *offset* without moving the file's position."""
    if sys.platform == "win32":
        os.lseek(fd, offset, os.SEEK_SET)
        return os.read(fd, length)
    return os.pread(fd, length, offset)


def datasync(fd: int) -> None:
    """Make an open file's bytes and length durable."""
    if sys.platform in ("win32", "darwin"):
        os.fsync(fd)
    else:
        os.fdatasync(fd)


def sync_dir(path: str) -> None:
    """Make the names in a directory durable."""
    if sys.platform == "win32":
        return  # NTFS journals names; a directory cannot be flushed
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def set_mode(fd: int, mode: int) -> None:
    """Set the permission bits of an open file."""
    if sys.platform != "win32":
        os.fchmod(fd, mode)


def raise_open_files_limit() -> None:
    """Allow as many open files as the system lets us."""
    if sys.platform == "win32":
        return
    try:
        import resource
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return


def open_files_limit() -> int:
    """Return how many files this process may have open."""
    if sys.platform == "win32":
        return 1 << 20  # sockets are not files there
    try:
        import resource
    except ImportError:
        return 1 << 20
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft


def listen_unix(path: str) -> socket.socket:
    """Return a listening Unix socket (0600) at *path*, replacing a dead one. The caller holds the directory's lock."""
    if sys.platform == "win32":
        raise NotImplementedError("no Unix sockets here: stop the server to administer it")
    with suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with short_socket_path(path) as short:
            listener.bind(short)
        os.chmod(path, 0o600)
        listener.listen(16)
    except BaseException:
        listener.close()
        raise
    return listener


def connect_unix(path: str, timeout_s: float) -> socket.socket:
    """Return a socket connected to the one at *path*; from then on it waits for answers without a limit.

    Raises:
        OSError: nobody listens there.
    """
    if sys.platform == "win32":
        raise OSError("no Unix sockets here")
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.settimeout(timeout_s)
        with short_socket_path(path) as short:
            connected.connect(short)
        connected.settimeout(None)
    except BaseException:
        connected.close()
        raise
    return connected


@contextmanager
def short_socket_path(path: str) -> Iterator[str]:
    """Yield a name for the socket at *path* that fits into a socket address, valid inside the block."""
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES or sys.platform == "win32":
        yield path
        return
    fd = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{fd}/{os.path.basename(path)}"
    finally:
        os.close(fd)


def on_stop_signals(add_handler: Callable[[int, Callable[[], None]], None], stop: Callable[[], None]) -> None:
    """Have SIGTERM and SIGINT call *stop* on the event loop, where the loop can do that."""
    import signal

    if sys.platform == "win32":
        signal.signal(signal.SIGINT, lambda *_: stop())
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        add_handler(number, stop)
