"""A spool is no second store: copies of what is stored, and dealt with on the SFTP server, go after a while. Blocking.

The root of a spool is an archive: that a copy goes is told to nobody as a deletion.
"""

import errno
import heapq
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from pp_assist.sftp.ledger import Arrival, Ledger, State
from pp_assist.sftp.polling import Seen
from pp_assist.sftp.spool import Spool, SpoolKeeper, is_version

log = logging.getLogger(__name__)

AT_A_TIME = 10_000
_UNSENT = (State.FOUND, State.FETCHED)


class Keeping(NamedTuple):
    """How long copies are kept."""

    ms: int
    """Older ones go."""
    size_bytes: int
    """Of more than so much, the oldest go."""


class Copy(NamedTuple):
    """A file in a spool."""

    since_ms: int
    size_bytes: int
    name: bytes


class Clearing:
    """Clears one spool."""

    def __init__(self, spool: Spool, keeper: SpoolKeeper, ledger: Ledger, source: str, keeping: Keeping) -> None:
        self._spool = spool
        self._keeper = keeper
        self._ledger = ledger
        self._source = source
        self._keeping = keeping
        self._beyond: Copy | None = None
        """So far the last round came: what it left there may not go, and must not stand before what may."""

    def clear(self, now_ms: int, check: Callable[[], None] = lambda: None) -> int:
        """Remove what may go, the oldest first; return how many. *now_ms*: by the clock on the wall.

        The next round goes on with the next oldest, and after the last ones with the oldest again.
        """
        total, beyond = 0, self._beyond

        def counted() -> Iterator[Copy]:
            nonlocal total
            for copy in self._copies():
                check()
                total += copy.size_bytes
                if beyond is None or copy > beyond:
                    yield copy

        removed = 0
        oldest = heapq.nsmallest(AT_A_TIME, counted())
        self._beyond = oldest[-1] if len(oldest) == AT_A_TIME else None
        for copy in oldest:
            check()
            if copy.since_ms > now_ms - self._keeping.ms and total <= self._keeping.size_bytes:
                self._beyond = None
                break
            if self._may_go(copy.name):
                os.unlink(os.path.join(self._spool.files, copy.name))
                total -= copy.size_bytes
                removed += 1
        if removed:
            log.info("%s: %d copies of stored files were cleared from the spool", self._source, removed)
            self._spool.remove_empty_folders()
        return removed

    def make_way(self, name: bytes) -> None:
        """Have no copies where *name* needs a folder, or in a folder of that name: its partner made one of the other.

        Raises:
            OSError: one of them may not go yet.
        """
        for other in self._spool.in_the_way(name):
            if not self._may_go(other):
                raise OSError(errno.EEXIST, "what was there before is not stored yet", os.fsdecode(other))
            os.unlink(os.path.join(self._spool.files, other))
        self._spool.remove_empty_folders(name)

    def _may_go(self, name: bytes) -> bool:
        """Say whether the version that lies here is stored, has its receipt, and was dealt with on the SFTP server.

        Of a file that the ledger has long forgotten nothing is left to be done there; if it is there all the same (the
        ledger was lost), it arrives once more.
        """
        there = self._spool.look(name)
        if there is None:
            return False
        arrival = self._ledger.last(self._source, name)
        if arrival is None:
            seen = Seen(there.size_bytes, there.mtime_ns // 1_000_000_000)
            return bool(self._keeper.stored([Arrival("", name, seen, State.SETTLED, None, None)]))
        if arrival.state is not State.SETTLED or not is_version(there, arrival.seen):
            return False
        return self._keeper.stored([arrival]) == [(arrival.id, arrival.sha256)]

    def _copies(self) -> Iterator[Copy]:
        for folder, _, names in os.walk(self._spool.files):
            for name in names:
                path = os.path.join(folder, name)
                with suppress(FileNotFoundError):
                    found = os.lstat(path)
                    yield Copy(found.st_ctime_ns // 1_000_000, found.st_size, os.path.relpath(path, self._spool.files))


def is_cleared(arrival: Arrival | None) -> bool:
    """Say whether the last version of a file that is not in the spool was stored from there."""
    return arrival is not None and arrival.state is State.SETTLED and arrival.sha256 is not None


def clear_all(spool: Spool, ledger: Ledger, source: str) -> int:
    """Have nothing left of a source that nobody watches any more but files that are not stored; return how many.

    Whoever wrote such a file may have removed it since. It goes on once the source is watched again.
    """
    unsent = [each for each in ledger.open(source) if each.state in _UNSENT and each.target is None]
    here = [each for each in unsent if _is_here(spool, each)]
    ledger.forget_open(source, [each.id for each in here])
    spool.remove({each.name for each in here})
    return len(here)


def _is_here(spool: Spool, arrival: Arrival) -> bool:
    there = spool.look(arrival.name)
    return there is not None and is_version(there, arrival.seen)
