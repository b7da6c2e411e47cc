"""Where fetched files wait for the server: a folder of our own that is a root like any other. Blocking."""

import errno
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from pp_assist import disk, posix
from pp_assist.core.model import Stat
from pp_assist.sftp.fetching import fetch
from pp_assist.sftp.ledger import Arrival
from pp_assist.sftp.polling import Seen
from pp_assist.sftp.wholeness import EDGE_BYTES, why_not_whole
from pp_assist.store import drop_folders
from pp_assist.store.db import Database

KEEP_FREE_BYTES = 256 << 20
"""Nothing is fetched that would leave less than this: the daemon itself needs room, and the disk is not ours alone."""
LATEST_S = (1 << 31) - 1
"""Later times do not fit on every disk."""

_SLASH = ord("/")

LeftOut = Callable[[Sequence[tuple[bytes, int]]], Sequence[bool]]
"""Says of files, a path and a size each, whether a rule leaves them out."""


class Spool:
    """The folder of one source, and beside it what is still on its way."""

    def __init__(self, state_dir: str, url: str) -> None:
        self._home = os.path.join(state_dir, "spool", hashlib.sha256(url.encode()).hexdigest()[:16])
        self.files = os.fsencode(os.path.join(self._home, "files"))
        self.drafts = os.path.join(self._home, "drafts")

    def make(self) -> None:
        """Have it."""
        for folder in (self._home, os.fsdecode(self.files), self.drafts):
            posix.make_private_directory(folder)

    def remove(self, but: Collection[bytes] = ()) -> None:
        """Remove all of it but those files."""
        shutil.rmtree(self.drafts, ignore_errors=True)
        for folder, _, names in os.walk(self.files, topdown=False):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.relpath(path, self.files) not in but:
                    with suppress(FileNotFoundError):
                        os.unlink(path)
            _remove_if_empty(folder)
        _remove_if_empty(os.fsencode(self._home))

    def place(self, draft: str, name: bytes) -> None:
        """Give a draft, whose bytes are durable, the place of a file, durably."""
        place = os.path.join(self.files, name)
        folder = os.path.dirname(place)
        self._have(folder)
        os.replace(os.fsencode(draft), place)
        posix.sync_directory(os.fsdecode(folder))

    def _have(self, folder: bytes) -> None:
        if folder == self.files or os.path.isdir(folder):
            return
        above = os.path.dirname(folder)
        self._have(above)
        with suppress(FileExistsError):  # somebody fetches another file into it
            os.mkdir(folder, 0o700)
        posix.sync_directory(os.fsdecode(above))

    def in_the_way(self, name: bytes) -> list[bytes]:
        """Return the files where *name* needs a folder, or in a folder of that name."""
        above = [name[:at] for at, byte in enumerate(name) if byte == _SLASH]
        found = [each for each in above if os.path.isfile(os.path.join(self.files, each))]
        for folder, _, names in os.walk(os.path.join(self.files, name)):
            found += [os.path.relpath(os.path.join(folder, each), self.files) for each in names]
        return found

    def remove_empty_folders(self, below: bytes = b"") -> None:
        """Have none in a folder, and it neither where it is empty; but the one for all files."""
        for folder, _, _ in os.walk(os.path.join(self.files, below), topdown=False):
            if folder.rstrip(b"/") != self.files:
                _remove_if_empty(folder)

    def look(self, name: bytes) -> Stat | None:
        """Return how a file looks; None where it is not there."""
        try:
            return disk.stat_of(os.lstat(os.path.join(self.files, name)))
        except (FileNotFoundError, NotADirectoryError):
            return None


def _remove_if_empty(folder: bytes) -> None:
    with suppress(OSError):
        os.rmdir(folder)


class Room:
    """The free bytes of the disk that all spools are on. Fetches that begin together would each count the same ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._coming: dict[str, int] = {}

    @contextmanager
    def for_draft(self, draft: str, size_bytes: int) -> Iterator[None]:
        """Promise the block what a draft still needs. One for which there is none is removed: it takes that of others.

        Raises:
            OSError: there is no room for it.
        """
        with self._lock:
            to_come = sum(_to_come(*each) for each in (self._coming | {draft: size_bytes}).items())
            if shutil.disk_usage(os.path.dirname(draft)).free < to_come + KEEP_FREE_BYTES:
                if not self._coming:  # else there may be, once those are here
                    _discard(draft)
                raise OSError(errno.ENOSPC, "there is no room for it here", draft)
            self._coming[draft] = size_bytes
        try:
            yield
        except OSError as error:
            if error.errno == errno.ENOSPC:
                _discard(draft)
            raise
        finally:
            with self._lock:
                del self._coming[draft]


def _to_come(draft: str, size_bytes: int) -> int:
    with suppress(FileNotFoundError):
        return max(0, size_bytes - os.path.getsize(draft))
    return size_bytes


def _discard(draft: str) -> None:
    with suppress(OSError):
        os.unlink(draft)


class SpoolKeeper:
    """Fetches into a spool; knows what of it the server has."""

    def __init__(
        self, spool: Spool, db: Database, root_id: int, check: Callable[[], None], left_out: LeftOut, room: Room
    ) -> None:
        self._spool = spool
        self._room = room
        self._db = db
        self._root_id = root_id
        self._check = check
        self._left_out = left_out
        self.make_way: Callable[[bytes], None] = lambda name: None
        """Has nothing in the way of a name; raises OSError where that cannot be yet."""

    def keep(self, client: Any, remote: bytes, arrival: Arrival) -> str | None:
        """Fetch a file, and put it where it is hashed and sent from; return what is missing if it is not whole."""
        self.make_way(arrival.name)
        draft = os.path.join(self._spool.drafts, arrival.id)
        with self._room.for_draft(draft, arrival.seen.size_bytes):
            fetch(client, remote, *arrival.seen, draft, self._check)
        if missing := _why_not_whole(arrival.name, draft):
            os.unlink(draft)
            return missing
        mtime_s = min(arrival.seen.mtime_s, LATEST_S)
        os.utime(draft, (mtime_s, mtime_s))
        self._spool.place(draft, arrival.name)
        return None

    def stored(self, arrivals: Sequence[Arrival]) -> list[tuple[str, str]]:
        """Return (id, SHA-256) of those whose present content is the version that arrived, and has a receipt."""
        with self._db.reading() as conn:
            known = drop_folders.stored(conn, self._root_id, [arrival.name for arrival in arrivals])
        found = []
        for arrival in arrivals:
            if arrival.name in known:
                hashed, digest = known[arrival.name]
                there = self._look(arrival)
                if there is not None and there[:4] == hashed[:4]:  # a device gets another number when it is mounted
                    found.append((arrival.id, digest))
        return found

    def left_out(self, files: Sequence[tuple[bytes, Seen]]) -> set[bytes]:
        """Return those that a rule leaves out: they would never be stored."""
        said = self._left_out([(name, seen.size_bytes) for name, seen in files]) if files else ()
        return {name for (name, _), is_out in zip(files, said, strict=True) if is_out}

    def lost(self, arrivals: Sequence[Arrival]) -> list[str]:
        """Return the ids of those that are not in the spool any more: a power cut, or somebody who cleans up."""
        return [arrival.id for arrival in arrivals if self._look(arrival) is None]

    def forget_drafts(self, known: Sequence[Arrival]) -> None:
        """Remove drafts that belong to nothing."""
        for name in set(os.listdir(self._spool.drafts)) - {arrival.id for arrival in known}:
            with suppress(OSError):
                os.unlink(os.path.join(self._spool.drafts, name))

    def _look(self, arrival: Arrival) -> Stat | None:
        """Return how a file looks; None where it is not there, or an earlier version is."""
        there = self._spool.look(arrival.name)
        return there if there is not None and is_version(there, arrival.seen) else None


def is_version(there: Stat, seen: Seen) -> bool:
    """Say whether a file of the spool is the version that was seen on the SFTP server."""
    return (there.size_bytes, there.mtime_ns // 1_000_000_000) == (seen.size_bytes, min(seen.mtime_s, LATEST_S))


def _why_not_whole(name: bytes, draft: str) -> str | None:
    with open(draft, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(EDGE_BYTES)
        file.seek(max(0, size - EDGE_BYTES))
        return why_not_whole(name, size, head, file.read(EDGE_BYTES))
