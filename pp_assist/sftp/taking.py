"""What has arrived is taken away from its folder on the SFTP server: moved aside, or removed. Blocking."""

import logging
import posixpath
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pp_assist.sftp.connecting import look, told_apart
from pp_assist.sftp.errors import RemoteRefused
from pp_assist.sftp.ledger import Arrival, Ledger
from pp_assist.sftp.plan import Plan
from pp_assist.sftp.storing import digest_of, make_folders, move

log = logging.getLogger(__name__)


class TakingAway:
    """It. Where a file goes is written down before it goes there: after a kill, that tells a move from a loss.

    Whatever has a file's name at the last moment may be another version, which nobody has fetched. So it is looked at
    once more where nobody writes to it any more, and put back if it is not the one that arrived.
    """

    def __init__(self, plan: Plan, ledger: Ledger, today: Callable[[], datetime]) -> None:
        self._plan = plan
        self._ledger = ledger
        self._today = today

    def take_away(self, client: Any, arrival: Arrival) -> None:
        """Take a file away, or go on with that.

        Raises:
            RemoteRefused, SftpUnreachable: it is tried again.
        """
        source = self._plan.place_of(arrival.name)
        if not self.is_as_it_was(client, arrival):
            self._settle(client, arrival, arrival.target)
            return
        target = self._doomed(arrival) if self._plan.after == "remove" else self._free_target(client, arrival)
        self._ledger.moving(arrival.id, target)
        try:
            move(client, source, target)
        except RemoteRefused:
            if self._plan.after != "remove" or not self.is_as_it_was(client, arrival):
                raise
            with told_apart():
                client.remove(source)  # who may not rename may be allowed that
        else:
            if not self._is_it(client, target, arrival):
                log.warning("%s: %s was replaced at the last moment", self._plan.source, arrival.name)
                move(client, target, source)
        self._settle(client, arrival, target)

    def _settle(self, client: Any, arrival: Arrival, target: bytes | None) -> None:
        """Note what became of a file that does not have its name any more."""
        is_there = target is not None and self._is_it(client, target, arrival)
        is_doomed = target == self._doomed(arrival)
        if is_there and is_doomed:
            with told_apart():
                client.remove(target)
        self._ledger.settle([arrival.id], moved=is_there and not is_doomed)

    def is_as_it_was(self, client: Any, arrival: Arrival) -> bool:
        """Say whether the version that arrived still has its name; another one is left to the next look."""
        with told_apart():
            there = look(client, self._plan.place_of(arrival.name))
        return there is not None and there.is_file and (there.size_bytes, there.mtime_s) == arrival.seen

    def _is_it(self, client: Any, target: bytes, arrival: Arrival) -> bool:
        """Say whether that version is at *target*. Some servers copy where others rename, and its time is a new one:
        then its content decides, or, where nobody has fetched that, its size.
        """
        with told_apart():
            there = look(client, target)
        if there is None or not there.is_file or there.size_bytes != arrival.seen.size_bytes:
            return False
        if there.mtime_s == arrival.seen.mtime_s or arrival.sha256 is None:
            return True
        return digest_of(client, target, there.size_bytes) == arrival.sha256

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
            if look(client, target) is None:
                return target
        stem, ending = posixpath.splitext(target)
        return stem + b"." + arrival.id[:8].encode() + ending
