"""Where fetched files wait for the server: a folder of our own that is a root like any other. Blocking."""

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from pp_assist import disk, posix
from pp_assist.sftp.fetching import fetch
from pp_assist.sftp.ledger import Arrival
from pp_assist.sftp.wholeness import EDGE_BYTES, why_not_whole
from pp_assist.store import drop_folders
from pp_assist.store.db import Database


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

    def remove(self) -> None:
        """Remove all of it: what was not stored is still on the SFTP server."""
        shutil.rmtree(self._home, ignore_errors=True)


class SpoolKeeper:
    """Fetches into a spool; knows what of it the server has."""

    def __init__(self, spool: Spool, db: Database, root_id: int, check: Callable[[], None]) -> None:
        self._spool = spool
        self._db = db
        self._root_id = root_id
        self._check = check

    def keep(self, client: Any, remote: bytes, arrival: Arrival) -> str | None:
        """Fetch a file, and put it where it is hashed and sent from; return what is missing if it is not whole."""
        draft = os.path.join(self._spool.drafts, arrival.id)
        fetch(client, remote, *arrival.seen, draft, self._check)
        if missing := _why_not_whole(arrival.name, draft):
            os.unlink(draft)
            return missing
        os.utime(draft, (arrival.seen.mtime_s, arrival.seen.mtime_s))
        place = os.path.join(self._spool.files, arrival.name)
        os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
        os.replace(os.fsencode(draft), place)
        return None

    def stored(self, arrivals: Sequence[Arrival]) -> list[tuple[str, str]]:
        """Return (id, SHA-256) of those whose present content has a receipt."""
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

    def lost(self, arrivals: Sequence[Arrival]) -> list[str]:
        """Return the ids of those that are not in the spool any more: a power cut, or somebody who cleans up."""
        return [arrival.id for arrival in arrivals if self._look(arrival) is None]

    def forget_drafts(self, known: Sequence[Arrival]) -> None:
        """Remove drafts that belong to nothing."""
        for name in set(os.listdir(self._spool.drafts)) - {arrival.id for arrival in known}:
            with suppress(OSError):
                os.unlink(os.path.join(self._spool.drafts, name))

    def _look(self, arrival: Arrival) -> Any:
        try:
            return disk.stat_of(os.lstat(os.path.join(self._spool.files, arrival.name)))
        except (FileNotFoundError, NotADirectoryError):
            return None


def _why_not_whole(name: bytes, draft: str) -> str | None:
    with open(draft, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(EDGE_BYTES)
        file.seek(max(0, size - EDGE_BYTES))
        return why_not_whole(name, size, head, file.read(EDGE_BYTES))
