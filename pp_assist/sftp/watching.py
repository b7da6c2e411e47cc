"""One drop folder, watched: when what is to be done, and over which connection. `turn` and `end` block; everything else
may be asked by anybody at any time.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from pp_assist.core.drop_folders import DropOptions
from pp_assist.core.model import Root
from pp_assist.core.sftp_url import Target
from pp_assist.sftp.clearing import Clearing, Keeping, is_cleared
from pp_assist.sftp.dropfolder import DropFolder
from pp_assist.sftp.errors import SftpError, Stopped
from pp_assist.sftp.ledger import Ledger, State
from pp_assist.sftp.outbox import Outbox
from pp_assist.sftp.plan import plan_of
from pp_assist.sftp.pool import Pool
from pp_assist.sftp.project import rules_of
from pp_assist.sftp.spool import LeftOut, Room, Spool, SpoolKeeper
from pp_assist.sftp.threads import start
from pp_assist.store.db import Database

log = logging.getLogger(__name__)

BUSY_PAUSE_S = 0.2
"""Between two turns while something is on its way."""
LOOKING_SHARE = 0.1
"""Looking may take at most this share of the time: large folders are looked at more rarely, and so is what waits."""
LONGEST_PAUSE_S = 60.0
"""Between two attempts to reach a server that is not there."""
CLEAR_EVERY_S = 10.0
CLEARING_SHARE = 0.001


class Tools(NamedTuple):
    """What all drop folders of a daemon share."""

    ledger: Ledger
    db: Database
    pool: Pool
    keeping: Keeping
    room: Room
    mono_ms: Callable[[], int]


class Watching:
    """One of them, while a daemon runs."""

    def __init__(
        self, root: Root, target: Target, options: DropOptions, spool: Spool, tools: Tools, left_out: LeftOut
    ) -> None:
        self.root_id = root.id
        self.target = target
        self.options = options
        self.way = way_of(target, options)
        self._ledger = tools.ledger
        self._outbox = Outbox(tools.ledger)
        self._mono_ms = tools.mono_ms
        self._stop = threading.Event()
        self._turning = threading.Lock()
        self._keeper = SpoolKeeper(spool, tools.db, root.id, self._check, left_out, tools.room)
        plan = plan_of(target, options, root.recursive)
        self._folder = DropFolder(plan, tools.ledger, self._keeper, tools.mono_ms, self._check)
        self._clearing = Clearing(spool, self._keeper, tools.ledger, target.url, tools.keeping)
        self._keeper.make_way = self._clearing.make_way
        self._next_clearing_ms = 0
        self._pool = tools.pool
        self._at_work: set[Any] = set()
        self._began = False
        self._next_look_ms = 0
        self._failures = 0
        self.problem: SftpError | None = None
        self.last_look_at_ms: int | None = None
        self.fetched = 0
        self.to_do = 0
        """Files to be fetched, moved or removed, as of the last look or turn: a turn may take hours."""

    def stop(self) -> None:
        """End a turn that is under way, soon."""
        self._stop.set()
        for client in list(self._at_work):
            start(client.close)

    def end(self) -> None:
        """Return once no turn is under way any more, and none will be."""
        self.stop()
        with self._turning:
            pass

    def announce_rest(self) -> None:
        """Have everything announced that is to be: nothing more comes that it might wait for. Blocking."""
        with self._turning:
            self._folder.announce(everything=True)

    def look_soon(self) -> None:
        """Have the next turn look, whenever it was to."""
        self._next_look_ms = 0

    def turn(self, now_ms: int) -> float:
        """Do what is to be done now, *now_ms* by the clock on the wall; return the seconds until the next turn."""
        with self._turning:
            began_ms = self._mono_ms()
            try:
                fetched = self._turn(now_ms)
            except SftpError as error:
                if self._stop.is_set():
                    raise Stopped from error
                return self._failed(error)
            self.problem, self._failures = None, 0
            unsettled = self._count()
            if fetched:
                return 0.0
            until_look_s = max(0.0, (self._next_look_ms - self._mono_ms()) / 1000)
            busy_s = max(BUSY_PAUSE_S, (self._mono_ms() - began_ms) / 1000 / LOOKING_SHARE)
            return min(until_look_s, busy_s) if unsettled else until_look_s

    def _turn(self, now_ms: int) -> int:
        self._check()
        if not self._began:
            self._keeper.forget_drafts(self._ledger.open(self.target.url))
            self._count()
            self._began = True
        if self._mono_ms() >= self._next_look_ms:
            self._look(now_ms)
        self._again_what_was_lost()
        fetched = self._folder.advance(self._client)
        self.fetched += fetched
        self._folder.announce()
        self._clear(now_ms)
        return fetched

    def _look(self, now_ms: int) -> None:
        began_ms = self._mono_ms()
        self._next_look_ms = began_ms + 1  # whoever wants another look meanwhile makes it less
        with self._client() as client:
            self._folder.look(client)
        self._count()
        self.last_look_at_ms = now_ms
        wait_s = self.options.interval_s
        if self._folder.arriving:
            wait_s = min(wait_s, self.options.rest_s + 0.01)
        wait_s = max(wait_s, (self._mono_ms() - began_ms) / 1000 / LOOKING_SHARE)
        if self._next_look_ms:
            self._next_look_ms = self._mono_ms() + int(wait_s * 1000)

    def _clear(self, now_ms: int) -> None:
        if (began_ms := self._mono_ms()) >= self._next_clearing_ms:
            try:
                self._clearing.clear(now_ms, self._check)
            except OSError as error:
                log.warning("%s: the spool cannot be cleared: %s", self.target.url, error)
            wait_ms = max(CLEAR_EVERY_S * 1000, (self._mono_ms() - began_ms) / CLEARING_SHARE)
            self._next_clearing_ms = self._mono_ms() + int(wait_ms)

    def _count(self) -> int:
        """Return how many files are not settled; with those that arrive they are to be done."""
        unsettled = self._ledger.open_count(self.target.url)
        self.to_do = unsettled + len(self._folder.arriving)
        return unsettled

    def facts(self) -> dict[str, Any]:
        """Return what is shown of it."""
        counts = self._ledger.counts(self.target.url)
        announcements, not_taken = self._outbox.waiting(self.target.url)
        problem = self.problem
        return {
            "state": "ok" if problem is None else problem.reason,
            "problem": None if problem is None else str(problem),
            "last_look_at_ms": self.last_look_at_ms,
            "arriving": len(self._folder.arriving),
            "not_whole": len(self._folder.not_whole),
            "left_out": len(self._folder.left_out),
            "unread_folders": len(self._folder.unread),
            **{state.value: counts[state] for state in State},
            "refused": len(self._folder.refused),
            "refusal": self._folder.refusal,
            "announcements": announcements,
            "announcement_problem": not_taken,
        }

    def why(self, name: bytes) -> tuple[str, str, str] | None:
        """Return where a file stands that is not in the spool: pending or stored, a word, and a sentence. Blocking.

        None: nothing is known of it.
        """
        folder = self._folder
        if (refused := folder.refused.get(name)) is not None:
            return "pending", "sftp_refused", f"it is left alone for a while: {refused[1]}"
        if (not_whole := folder.not_whole.get(name)) is not None:
            return "pending", "not_whole", f"some of it is missing on the SFTP server: {not_whole[1]}"
        above = next((each for each in folder.unread if name.startswith(each + b"/")), None)
        if above is not None:
            return "pending", "sftp_refused", f"the SFTP server does not list its folder: {folder.unread[above]}"
        if name in folder.observed and not folder.is_known(name):
            return "pending", "arriving", "it is still being written on the SFTP server, or about to be fetched"
        if is_cleared(self._ledger.last(self.target.url, name)):
            return "stored", "spool_cleared", "the server has it; its copy in the spool was cleared since"
        return None

    @contextmanager
    def _client(self) -> Iterator[Any]:
        """Give the block a client of its own."""
        from pp_assist.sftp.connecting import connect

        self._check()
        with self._pool.borrowed(self.way, self.way, partial(connect, *self.way)) as client:
            self._at_work.add(client)
            try:
                self._check()
                yield client
            finally:
                self._at_work.discard(client)

    def _failed(self, error: SftpError) -> float:
        if str(error) != str(self.problem):
            log.warning("%s: %s", self.target.url, error)
        self.problem = error
        self._failures += 1
        return float(min(LONGEST_PAUSE_S, 0.5 * 2 ** min(self._failures, 10)))

    def _again_what_was_lost(self) -> None:
        waiting = self._ledger.in_state(self.target.url, State.FETCHED)
        if lost := self._keeper.lost(waiting):
            self._ledger.advance(lost, State.FOUND)

    def _check(self) -> None:
        if self._stop.is_set():
            raise Stopped


def way_of(target: Target, options: DropOptions) -> tuple[Any, ...]:
    """Return where to go, as whom, and whom to believe there: only a server whose key somebody has vouched for."""
    from pp_assist.sftp.connecting import Login

    login = Login(target.username, options.password, options.key_file, options.passphrase)
    return target.host, target.port, login, rules_of(options.host_key, options.known_hosts, strict=True)
