"""What has arrived is taken away from its folder on the SFTP server: moved aside, or removed. Blocking."""

import logging
import posixpath
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pp_assist.sftp.connecting import look, told_apart
from pp_assist.sftp.errors import RemoteChanged, RemoteRefused
from pp_assist.sftp.ledger import Arrival, Ledger
from pp_assist.sftp.plan import Plan
from pp_assist.sftp.storing import digest_of, make_folders, move

log = logging.getLogger(__name__)

TELLING_MS = 1000
"""SFTP tells times by the second: a file that rested that long before it was fetched has another time if it changes."""


class TakingAway:
    """It. Where a file goes is written down before it goes there: after a kill, that tells a move from a loss.

    Whatever has a file's name at the last moment may be another version, which nobody has fetched. So it is looked at
    once more where nobody writes to it any more, and put back if it is not the one that arrived; nothing is settled
    before that.
    """

    def __init__(self, plan: Plan, ledger: Ledger, today: Callable[[], datetime]) -> None:
        self._plan = plan
        self._ledger = ledger
        self._today = today

    def finish(self, client: Any, arrival: Arrival) -> bool:
        """Go on with what was begun before; say whether nothing is left to be done.

        Raises:
            RemoteChanged: nobody has fetched it, nor taken it away, and it is not there any more.
            RemoteRefused, SftpUnreachable: it is tried again.
        """
        is_in_place = self.is_as_it_was(client, arrival)
        target = arrival.target
        may_be_ours = target is not None
        if target is not None and _is_anything_at(client, target):
            if not self._is_it(client, target, arrival):
                self._put_back(client, target, arrival)
                may_be_ours = False
            elif not is_in_place or target == self._doomed(arrival):
                self._settle(client, arrival, target)
                return True
        if not is_in_place:
            self._is_gone(arrival, may_be_ours)
        return not is_in_place

    def take_away(self, client: Any, arrival: Arrival) -> None:
        """Take a file away, or go on with that.

        Raises:
            RemoteChanged: as `finish`.
            RemoteRefused, SftpUnreachable: it is tried again.
        """
        if not self.finish(client, arrival):
            self._begin(client, arrival)

    def end_what_was_begun(self, client: Any, arrival: Arrival) -> None:
        """Settle what an earlier life of the folder moved aside. What it did not, or began to remove, is found again:
        it may have been stored on a server that nobody uses any more.

        Raises:
            RemoteChanged: it is to be found again, or gone.
            RemoteRefused, SftpUnreachable: it is tried again.
        """
        target = arrival.target
        assert target is not None
        is_doomed = target == self._doomed(arrival)
        if (is_doomed or not self.is_as_it_was(client, arrival)) and _is_anything_at(client, target):
            if not is_doomed and self._is_it(client, target, arrival):
                self._ledger.settle([arrival.id], moved=True)
                return
            self._put_back(client, target, arrival)
        raise RemoteChanged("it is to be found again")

    def _begin(self, client: Any, arrival: Arrival) -> None:
        target = self._doomed(arrival) if self._plan.after == "remove" else self._free_target(client, arrival)
        self._ledger.moving(arrival.id, target)
        try:
            move(client, self._plan.place_of(arrival.name), target)
        except RemoteRefused:
            if self.is_as_it_was(client, arrival):
                self._ledger.moving(arrival.id, None)  # it went nowhere: what lies at the target is not ours
            raise
        if self._is_it(client, target, arrival):
            self._settle(client, arrival, target)
        else:
            self._put_back(client, target, arrival)
            self._is_gone(arrival, False)

    def _is_gone(self, arrival: Arrival, may_be_ours: bool) -> None:
        """Be done with what others took, or replaced; *may_be_ours*: or we did, and they took it from there."""
        if arrival.sha256 is None and not may_be_ours:
            raise RemoteChanged("it is gone")
        self._ledger.settle([arrival.id])

    def _settle(self, client: Any, arrival: Arrival, target: bytes) -> None:
        """Have the version that arrived, and lies at *target*, where it is to end."""
        is_doomed = target == self._doomed(arrival)
        if is_doomed:
            with told_apart():
                client.remove(target)
        self._ledger.settle([arrival.id], moved=not is_doomed)

    def _put_back(self, client: Any, target: bytes, arrival: Arrival) -> None:
        """Give what nobody has fetched a name that is looked at: its own, or one beside it where that is taken."""
        place = self._free(client, self._plan.place_of(arrival.name), arrival)
        log.warning("%s: %s was replaced at the last moment: it is %s", self._plan.source, arrival.name, place)
        move(client, target, place)

    def is_as_it_was(self, client: Any, arrival: Arrival) -> bool:
        """Say whether the version that arrived still has its name; another one is left to the next look."""
        with told_apart():
            there = look(client, self._plan.place_of(arrival.name))
        return there is not None and there.is_file and (there.size_bytes, there.mtime_s) == arrival.seen

    def _is_it(self, client: Any, target: bytes, arrival: Arrival) -> bool:
        """Say whether that version is at *target*. Some servers copy where others rename, and its time is a new one;
        and within one second, another has the same time. Then its content decides; of what nobody fetched, its size.
        """
        with told_apart():
            there = look(client, target)
        if there is None or not there.is_file or there.size_bytes != arrival.seen.size_bytes:
            return False
        is_same_time = there.mtime_s == arrival.seen.mtime_s != 0 and self._plan.rest_ms >= TELLING_MS
        if is_same_time or arrival.sha256 is None:
            return True
        try:
            return digest_of(client, target, there.size_bytes) == arrival.sha256
        except RemoteChanged:
            return False

    def _doomed(self, arrival: Arrival) -> bytes:
        """Return the name under which a file is looked at once more before it is removed: others leave it alone."""
        folder, name = posixpath.split(self._plan.place_of(arrival.name))
        return posixpath.join(folder, b".%s.%s.part" % (name[:200], arrival.id[:8].encode()))

    def _free_target(self, client: Any, arrival: Arrival) -> bytes:
        if self._plan.in_progress is None:
            raise RemoteRefused("there is no folder to move it to any more")
        day = posixpath.join(self._plan.in_progress, self._today().strftime("%m%d%Y").encode())
        target = posixpath.join(day, arrival.name)
        with told_apart():
            make_folders(client, posixpath.dirname(target))
        return self._free(client, target, arrival)

    def _free(self, client: Any, path: bytes, arrival: Arrival) -> bytes:
        """Return *path*, or where something has that name one beside it, with a few characters more."""
        if not _is_anything_at(client, path):
            return path
        folder, name = posixpath.split(path)
        stem, ending = posixpath.splitext(name)
        short, long = (
            posixpath.join(folder, b"%s.%s%s" % (stem[:200], mark.encode(), ending[:20]))
            for mark in (arrival.id[:8], arrival.id)
        )
        return long if _is_anything_at(client, short) else short


def _is_anything_at(client: Any, path: bytes) -> bool:
    with told_apart():
        return look(client, path) is not None
