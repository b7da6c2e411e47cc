"""The upload folder: files in it are made and opened beneath its own descriptor, through no link. Blocking.

A file arrives under a name of ours at the top, and gets its own name by a hard link: that either is free, or the file
gets another one. Nothing that is there is ever written over.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from pp_server import posix
from pp_server.core.errors import StorageFailed
from pp_server.durable import Durable, as_storage_error
from pp_server.indexedcp.names import OURS, NameRefused, OutsideRefused, Parts

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_DIRECTORY = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _NO_FOLLOW
_WRITE = os.O_RDWR | getattr(os, "O_NONBLOCK", 0) | _NO_FOLLOW
_NOT_IT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO)
"""What opening says where another thing is, or nothing."""

_PART = ".part"


class FileId(NamedTuple):
    """Which file it is, whatever it is called."""

    device: int
    inode: int


class Folder:
    """One upload folder."""

    def __init__(self, path: str, durable: Durable, mode: int = 0o666) -> None:
        self.path = os.path.abspath(path)
        self._durable = durable
        self._mode = mode
        os.makedirs(self.path, exist_ok=True)

    @contextmanager
    def _root(self) -> Iterator[int]:
        try:
            fd = os.open(self.path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0))
        except OSError as error:
            raise StorageFailed("The upload folder cannot be opened") from error
        try:
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def _parent(self, parts: Parts, make: bool = False) -> Iterator[int]:
        """Yield a descriptor of the directory that *parts* lie in.

        Raises:
            OSError: a part is missing, no directory, or a link.
        """
        with self._root() as root:
            opened = [os.dup(root)]
            try:
                for part in parts[:-1]:
                    if make:
                        self._make(opened[-1], part)
                    opened.append(os.open(part, _DIRECTORY, dir_fd=opened[-1]))
                yield opened[-1]
            finally:
                for each in opened:
                    os.close(each)

    def _make(self, fd: int, name: str) -> None:
        try:
            os.mkdir(name, self._mode | 0o111, dir_fd=fd)
        except FileExistsError:
            return
        self._durable.sync(fd)

    # arriving

    @contextmanager
    def new(self, name: str) -> Iterator[int]:
        """Make a file under a name of ours, and yield it."""
        with self._root() as root:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=root)  # what is left of an attempt that failed
            try:
                fd = os.open(name, _WRITE | os.O_CREAT | os.O_EXCL, self._mode, dir_fd=root)
            except OSError as error:
                raise as_storage_error(error) from error
            try:
                yield fd
            finally:
                os.close(fd)

    def prepare(self, parts: Parts) -> None:
        """Have the directories exist that *parts* lie in.

        Raises:
            NameRefused: there is a link, or a file, where a directory would have to be.
        """
        try:
            with self._parent(parts, make=True):
                pass
        except OSError as error:
            raise self._why_not(parts, error) from error

    def publish(self, name: str, parts: Parts) -> bool:
        """Give the file *name* of ours its own name as well, durably. False: that is taken by another file.

        Raises:
            NameRefused: as `prepare`.
        """
        try:
            with self._root() as root, self._parent(parts, make=True) as parent:
                try:
                    self._durable.link(name, parts[-1], root, parent)
                except FileExistsError:
                    if self._id(parts[-1], parent) != self._id(name, root):
                        return False
                self._durable.sync(parent)
        except OSError as error:
            raise self._why_not(parts, error) from error
        return True

    def _why_not(self, parts: Parts, error: OSError) -> Exception:
        """Return what keeps *parts* from being made."""
        with suppress(OSError), self._root() as fd:
            deeper = [os.dup(fd)]
            try:
                for part in parts[:-1]:
                    mode = os.stat(part, dir_fd=deeper[-1], follow_symlinks=False).st_mode
                    if stat.S_ISLNK(mode):
                        return OutsideRefused("a part of it is a link here")
                    if not stat.S_ISDIR(mode):
                        return NameRefused("a part of it is a file here")
                    deeper.append(os.open(part, _DIRECTORY, dir_fd=deeper[-1]))
            finally:
                for each in deeper:
                    os.close(each)
        return as_storage_error(error)

    def forget(self, name: str) -> None:
        """Remove a name of ours; none there is fine."""
        with self._root() as root, suppress(FileNotFoundError):
            os.unlink(name, dir_fd=root)

    def arriving(self) -> list[str]:
        """Return the names of ours that are there."""
        return [name for name in os.listdir(self.path) if name.startswith(OURS) and name.endswith(_PART)]

    # files that have their name

    @contextmanager
    def opened(self, parts: Parts, known: FileId) -> Iterator[int | None]:
        """Yield the file for reading and writing; None where that very file is not there."""
        try:
            with self._parent(parts) as parent:
                fd = os.open(parts[-1], _WRITE, dir_fd=parent)
        except OSError as error:
            if error.errno not in _NOT_IT:
                raise as_storage_error(error) from error
            yield None
            return
        try:
            found = os.fstat(fd)
            is_it = stat.S_ISREG(found.st_mode) and FileId(found.st_dev, found.st_ino) == known
            yield fd if is_it else None
        finally:
            os.close(fd)

    def is_there(self, parts: Parts) -> bool:
        """Say whether something has this name."""
        with suppress(OSError), self._parent(parts) as parent:
            os.stat(parts[-1], dir_fd=parent, follow_symlinks=False)
            return True
        return False

    def remove(self, parts: Parts, known: FileId) -> None:
        """Remove the name of that very file; another one, or none, is left alone."""
        with suppress(FileNotFoundError, NotADirectoryError), self._parent(parts) as parent:
            if self._id(parts[-1], parent) == known:
                os.unlink(parts[-1], dir_fd=parent)

    @staticmethod
    def _id(name: str, fd: int) -> FileId | None:
        try:
            found = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return FileId(found.st_dev, found.st_ino)

    # bytes

    def sync(self) -> None:
        """Make the names at the top durable."""
        with self._root() as root:
            self._durable.sync(root)

    def read(self, name: str) -> bytes | None:
        """Return what a file of ours holds; None where there is none."""
        try:
            with self._root() as root:
                fd = os.open(name, os.O_RDONLY | _NO_FOLLOW, dir_fd=root)
        except FileNotFoundError:
            return None
        with open(fd, "rb") as file:
            return file.read()


def part_of(upload_id: str, index: int | None = None) -> str:
    """Return our name for what arrives of an upload: the file, or one chunk whose place is not known yet."""
    return f"{OURS}{upload_id}{_PART}" if index is None else f"{OURS}{upload_id}.{index}{_PART}"


def id_of(fd: int) -> FileId:
    """Return which file is open."""
    found = os.fstat(fd)
    return FileId(found.st_dev, found.st_ino)


def write_whole(durable: Durable, fd: int, pieces: Sequence[tuple[int, bytes]]) -> None:
    """Put *pieces* at their offsets, durably; where that fails the file is as long as it was."""
    size = os.fstat(fd).st_size
    try:
        for offset, data in pieces:
            durable.write(fd, data, offset)
        durable.datasync(fd)
    except Exception:
        with suppress(OSError):
            os.ftruncate(fd, size)
        raise


def cut(fd: int, size_bytes: int) -> None:
    """Have an open file be no longer than that."""
    if os.fstat(fd).st_size > size_bytes:
        os.ftruncate(fd, size_bytes)


def blocks(fd: int, size_bytes: int, block_bytes: int = 1 << 20) -> Iterator[bytes]:
    """Yield the first *size_bytes* of an open file, or as much as there is."""
    offset = 0
    while offset < size_bytes and (block := posix.read_at(fd, min(block_bytes, size_bytes - offset), offset)):
        yield block
        offset += len(block)
