"""Looking at the disk: roots opened and proven to be the ones registered, and everything else opened beneath them.

All functions block: call them in worker threads.
"""

import errno
import os
import stat as stat_module
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from pp_assist import posix
from pp_assist.core.errors import AssistError, BehindALink, FileUnreadable, RootRenumbered, RootUnhealthy
from pp_assist.core.identity import Identity, Standing, standing
from pp_assist.core.model import Folder, Kind, Location, Root, Snapshot, Stat

GONE = (errno.ENOENT, errno.ENOTDIR)
"""What the system answers for a name that certainly is not there (ENOTDIR: a parent is no directory any more)."""

MOST_OPEN = 64
"""Directories that one walk holds open."""

_WRAP = 1 << 64
_LARGEST = (1 << 63) - 1


def _signed(number: int) -> int:
    """Fold an unsigned 64-bit number into SQLite's signed ones; equality survives."""
    return number - _WRAP if number > _LARGEST else number


def _clamped(time_ns: int) -> int:
    """Return a time that fits into 64 bits: file systems know years after 2262, our tables and the wire do not."""
    return max(-_LARGEST, min(time_ns, _LARGEST))


def stat_of(result: os.stat_result) -> Stat:
    """Return the fields of *result* that decide whether a file was touched."""
    return Stat(
        result.st_size,
        _clamped(result.st_mtime_ns),
        _clamped(result.st_ctime_ns),
        _signed(result.st_ino),
        _signed(result.st_dev),
    )


_KINDS = {kind.value: kind for kind in Kind}


def snapshot_of(name: bytes, result: os.stat_result) -> Snapshot:
    """Return what lstat said about *name* as our value."""
    kind = _KINDS[posix.file_type(result.st_mode)]
    return Snapshot(name, kind, stat_of(result), result.st_mode & 0o7777, result.st_uid, result.st_gid)


def identity(path: bytes) -> tuple[int, int]:
    """Return (device, inode) of the directory *path*.

    Raises:
        NotADirectoryError, FileNotFoundError, PermissionError: as the system says.
    """
    with posix.opened(posix.open_root(path)) as fd:
        result = os.fstat(fd)
    return _signed(result.st_dev), _signed(result.st_ino)


def identity_of(fd: int) -> Identity:
    """Return what tells the directory *fd* from all others."""
    result, number = os.fstat(fd), posix.file_system_id(fd)
    return Identity(_signed(result.st_dev), _signed(result.st_ino), None if number is None else _signed(number))


def root_identity(path: bytes) -> Identity:
    """Return what tells the directory *path* from all others.

    Raises:
        OSError: there is no such directory, or it cannot be opened.
    """
    with posix.opened(posix.open_root(path)) as fd:
        return identity_of(fd)


def resolve(path: bytes) -> tuple[bytes, Identity]:
    """Return the directory *path* with all links resolved, and its `root_identity`.

    Raises:
        OSError: there is no such directory, or it cannot be opened.
    """
    resolved = os.path.realpath(path)
    return resolved, root_identity(resolved)


@contextmanager
def opened_root(path: bytes, registered: Identity) -> Iterator[int]:
    """Open the root *path* for the block and yield its descriptor.

    The identity is checked on the very descriptor that is used: an unmounted disk shows another directory, and a root
    that is swapped or unmounted in mid-scan changes nothing for a scan that holds the old one.

    Raises:
        RootRenumbered: it is the one registered, on a file system that is mounted under another device number.
        RootUnhealthy: it is missing, unreadable, or another directory than the one registered.
    """
    try:
        fd = posix.open_root(path)
    except OSError as error:
        raise RootUnhealthy(f"cannot open the folder: {error.strerror}") from error
    with posix.opened(fd):
        found = identity_of(fd)
        match standing(registered, found):
            case Standing.OTHER:
                raise RootUnhealthy("another folder stands in its place (unmounted, or replaced)")
            case Standing.RENUMBERED:
                raise RootRenumbered(found)
        yield fd


def _mount(fd: int) -> tuple[int, int | None]:
    return os.fstat(fd).st_dev, posix.mount_id(fd)


def mounts_marked(fd: int, entries: list[Snapshot]) -> list[Snapshot]:
    """Return *entries* of the directory *fd* with those marked over which something else is mounted."""
    here = posix.mount_id(fd) if any(entry.kind is Kind.DIR for entry in entries) else None
    if here is None:
        return entries
    return [
        entry._replace(mounted=True)
        if entry.kind is Kind.DIR and posix.mount_id(fd, entry.name) not in (here, None)
        else entry
        for entry in entries
    ]


@contextmanager
def opened_directory(root_fd: int, directory: bytes) -> Iterator[int]:
    """Open *directory* below the root for the block and yield its descriptor.

    Raises:
        OSError: it cannot be opened; EXDEV where it is on another file system than the root, or in another mount: what
            was mounted over a folder says nothing about the files that it hides.
    """
    parts = directory.split(b"/") if directory else []
    with posix.opened(posix.open_beneath(root_fd, parts, posix.OPEN_DIRECTORY)) as fd:
        if parts and _mount(fd) != _mount(root_fd):
            raise OSError(errno.EXDEV, "another file system is mounted there")
        yield fd


class Way:
    """The directories on the way from a root to the one that was opened last, held open: the next one is not far.

    However deep the tree, at most `MOST_OPEN` of them are.
    """

    def __init__(self, root_fd: int) -> None:
        self.root_fd = root_fd
        self._mount = _mount(root_fd)
        self._open: deque[tuple[bytes, int]] = deque()

    def open(self, directory: bytes) -> int:
        """Return a descriptor of *directory* below the root, ours to close. Components are opened beneath each other.

        Raises:
            OSError: see `opened_directory`.
        """
        if not directory:
            return self.root_fd
        while self._open and not directory.startswith(self._open[-1][0] + b"/"):
            os.close(self._open.pop()[1])
        path, fd = self._open[-1] if self._open else (b"", self.root_fd)
        for name in directory[len(path) :].lstrip(b"/").split(b"/"):
            fd = posix.open_beneath(fd, (name,), posix.OPEN_DIRECTORY)
            path = path + b"/" + name if path else name
            self._open.append((path, fd))
            if len(self._open) > MOST_OPEN:
                os.close(self._open.popleft()[1])
        if _mount(fd) != self._mount:
            raise OSError(errno.EXDEV, "another file system is mounted there")
        return fd

    def close(self) -> None:
        """Close all of them."""
        while self._open:
            os.close(self._open.pop()[1])


def look_beneath(root_fd: int, directory: bytes, name: bytes) -> Snapshot | None:
    """Return what *name* in *directory* is now, or None if it certainly is not there.

    Raises:
        OSError: it cannot be said (no permission, an I/O error, a link on the way).
    """
    gone = nothing_if_gone(root_fd, directory)
    with gone, opened_directory(root_fd, directory) as parent, suppress(FileNotFoundError):
        found = snapshot_of(name, os.stat(name, dir_fd=parent, follow_symlinks=False))
        return mounts_marked(parent, [found])[0]
    return None


@contextmanager
def nothing_if_gone(root_fd: int, directory: bytes) -> Iterator[None]:
    """Leave the block where *directory* certainly is not there.

    Raises:
        OSError: it cannot be said (no permission, an I/O error, a link or another file system on the way).
    """
    try:
        yield
    except OSError as error:
        if error.errno not in GONE:
            raise
        _check_the_way(root_fd, directory.split(b"/"))


def read_entry(parent: int, name: bytes) -> tuple[Snapshot, bytes | None]:
    """Return what *name* in the open directory *parent* is now and, for a symbolic link, what it points to.

    Raises:
        FileNotFoundError: nothing certainly is there.
        OSError: it cannot be said.
    """
    target = None
    found = snapshot_of(name, os.stat(name, dir_fd=parent, follow_symlinks=False))
    if found.kind is Kind.SYMLINK:
        target = os.readlink(name, dir_fd=parent)
        found = snapshot_of(name, os.stat(name, dir_fd=parent, follow_symlinks=False))
    return mounts_marked(parent, [found])[0], target


def _check_the_way(root_fd: int, parts: list[bytes]) -> None:
    """Find the first of *parts* that is missing; raise OSError if a link or another file system stands before it.

    The files may well be there: we follow no links to see, and do not see what lies below a mount.
    """
    device, mount = _mount(root_fd)
    for count, name in enumerate(parts):
        try:
            with posix.opened(posix.open_beneath(root_fd, parts[:count], posix.OPEN_DIRECTORY)) as parent:
                found = os.stat(name, dir_fd=parent, follow_symlinks=False)
                same_mount = posix.mount_id(parent, name) in (mount, None)
        except (FileNotFoundError, NotADirectoryError):
            return
        if posix.file_type(found.st_mode) == "symlink":
            raise OSError(errno.ELOOP, "a link stands where a folder was")
        if (found.st_dev != device or not same_mount) and posix.file_type(found.st_mode) == "dir":
            raise OSError(errno.EXDEV, "another file system is mounted there")


def look(location: Location) -> Snapshot | None:
    """Return what is at *location* now, or None if it certainly is not there: the root was verified for this look.

    Raises:
        RootUnhealthy: nothing can be said, the root is not there.
        BehindALink: nothing can be said, a link stands on the way there.
        FileUnreadable: nothing can be said, the way there cannot be read.
    """
    folder = location.folder
    with opened_root(folder.root_path, folder.root_identity) as root_fd:
        try:
            return look_beneath(root_fd, folder.directory, location.name)
        except OSError as error:
            unreadable = BehindALink if error.errno == errno.ELOOP else FileUnreadable
            raise unreadable(f"cannot look at it: {error.strerror}") from error


def location_in(root: Root, path: bytes) -> Location:
    """Return where *path*, relative to *root*, is."""
    directory, _, name = path.rpartition(b"/")
    proven = root.path, root.device, root.inode
    return Location(Folder(root.id, *proven, directory, root.shown, root_file_system=root.file_system), name)


def look_at_all(locations: Iterable[Location]) -> list[Snapshot | AssistError | None]:
    """`look` at several places: what is there, None where certainly nothing is, or why it cannot be said."""
    looks: list[Snapshot | AssistError | None] = []
    for location in locations:
        try:
            looks.append(look(location))
        except AssistError as error:
            looks.append(error)
    return looks


class Directories:
    """Opens directories one after the other and keeps the last one open: what is next mostly lies in it, too.

    So the root is opened and proven, and the way to a directory gone, once for all files of a batch that lie there. A
    context manager, for one thread.
    """

    def __init__(self) -> None:
        self._folder: Folder | None = None
        self._fd = -1
        self._opened = ExitStack()

    def __enter__(self) -> "Directories":
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def open(self, folder: Folder) -> int:
        """Return a descriptor of *folder*, to be used before the next call.

        Raises:
            RootUnhealthy: the root is not there.
            OSError: it cannot be opened; EXDEV as for `opened_directory`.
        """
        if folder is not self._folder:
            self._folder = None
            self._opened.close()
            root_fd = self._opened.enter_context(opened_root(folder.root_path, folder.root_identity))
            self._fd = self._opened.enter_context(opened_directory(root_fd, folder.directory))
            self._folder = folder
        return self._fd

    def open_file(self, location: Location) -> int:
        """Return a descriptor of the file at *location*, without following any link; the caller closes it.

        Opening never blocks: a FIFO that took the file's place is opened and then seen to be one by its fstat.

        Raises:
            RootUnhealthy: the root is not there.
            FileNotFoundError: the file certainly is not there.
            FileUnreadable: it cannot be opened.
        """
        try:
            return posix.open_file(self.open(location.folder), location.name)
        except OSError as error:
            if error.errno in GONE:
                raise FileNotFoundError(error.errno, error.strerror) from error
            raise FileUnreadable(f"cannot open it: {error.strerror}") from error


@contextmanager
def opened_file(location: Location) -> Iterator[int]:
    """Open the file at *location* for the block and yield its descriptor: see `Directories.open_file`."""
    with Directories() as directories:
        fd = directories.open_file(location)
    with posix.opened(fd):
        yield fd


def looks_as(result: os.stat_result, stat: Stat) -> bool:
    """Say whether *result* is of a regular file that looks exactly like *stat*."""
    fields = (result.st_size, result.st_mtime_ns, result.st_ctime_ns, result.st_ino, result.st_dev)
    return (fields == stat or stat_of(result) == stat) and result.st_mode & posix.TYPE_BITS == stat_module.S_IFREG
