"""Giving finished files the names they stay with."""

import os
import stat
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pp_server import posix
from pp_server.durable import Durable

_BLOB_MODE = 0o440


def file_size(path: str) -> int | None:
    """Return the size of a regular file; None where there is none."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


class NewParents:
    """Directories in which somebody is creating a subdirectory that is not durable yet.

    Whoever puts a blob below one of them syncs it too, instead of trusting that the other will get that far.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()

    @contextmanager
    def adding(self) -> Iterator[Callable[[str], None]]:
        """Yield a function that adds a directory; all that were added leave at the end of the block."""
        added: list[str] = []

        def add(directory: str) -> None:
            with self._lock:
                self._held[directory] += 1
            added.append(directory)

        try:
            yield add
        finally:
            with self._lock:
                self._held -= Counter(added)

    def holds(self, directory: str) -> bool:
        """Say whether the directory has to be synced."""
        with self._lock:
            return directory in self._held


class Publisher:
    """Puts files below *blobs*, and bad ones into *quarantine*. All methods block."""

    def __init__(self, blobs: str, quarantine: str, durable: Durable) -> None:
        self._blobs = blobs
        self._quarantine = quarantine
        self._durable = durable
        self._new_parents = NewParents()

    def publish(self, path: str, target: str, size_bytes: int) -> bool:
        """Make a file durable under the name it stays with; say whether one of that name and size was there."""
        self._sync_file(path)
        parent = os.path.dirname(target)
        with self._new_parents.adding() as add_parents:
            existed = self._link(path, target, size_bytes, add_parents)
            self._durable.sync_dir(parent)
            for directory in (os.path.dirname(parent), self._blobs):
                if self._new_parents.holds(directory):
                    self._durable.sync_dir(directory)
        return existed

    def _sync_file(self, path: str) -> None:
        fd = os.open(path, os.O_RDONLY)
        try:
            posix.set_mode(fd, _BLOB_MODE)
            self._durable.sync(fd)
        finally:
            os.close(fd)

    def _link(self, path: str, target: str, size_bytes: int, add_parents: Callable[[str], None]) -> bool:
        """Give the file its name; say whether a file of that name and size was there."""
        while True:
            try:
                self._durable.link(path, target)
            except FileNotFoundError:
                if not os.path.exists(path):
                    raise
                self._make_parents(target, add_parents)
            except FileExistsError:
                if file_size(target) == size_bytes:
                    return True
                self.move_aside(target)
            else:
                return False

    def _make_parents(self, target: str, add_parents: Callable[[str], None]) -> None:
        parent = os.path.dirname(target)
        for directory in (os.path.dirname(parent), parent):
            add_parents(os.path.dirname(directory))
            self._durable.mkdir(directory)

    def move_aside(self, path: str) -> None:
        """Keep a bad file for a person to look at; none there is fine."""
        try:
            self._durable.rename(path, self.aside(os.path.basename(path)))
        except FileNotFoundError:
            return
        self._durable.sync_dir(self._quarantine)

    def aside(self, name: str) -> str:
        """Return where to keep something bad."""
        return os.path.join(self._quarantine, f"{name}.{uuid.uuid4().hex}")
