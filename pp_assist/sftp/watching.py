"""One drop folder, watched: its connection, and when what is to be done. `turn` blocks; everything else may be asked by
anybody at any time.
"""

import logging
import os
import posixpath
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pp_assist.core.drop_folders import DropOptions
from pp_assist.core.sftp_url import Target
from pp_assist.sftp.announcing import Announce
from pp_assist.sftp.errors import SftpError
from pp_assist.sftp.ledger import Ledger, State
from pp_assist.sftp.outbox import Outbox
from pp_assist.sftp.project import rules_of
from pp_assist.sftp.spool import Spool, SpoolKeeper
from pp_assist.store.db import Database

if TYPE_CHECKING:
    from pp_assist.sftp.dropfolder import Plan

log = logging.getLogger(__name__)

BUSY_PAUSE_S = 0.2
"""Between two turns while something is on its way."""
LOOKING_SHARE = 0.1
"""Listing a folder may take at most this share of the time: large ones are looked at more rarely."""
LONGEST_PAUSE_S = 60.0
"""Between two attempts to reach a server that is not there."""


class Stopped(Exception):
    """Nobody wants it any more."""


class Watching:
    """One of them, while a daemon runs."""

    def __init__(
        self,
        root_id: int,
        target: Target,
        options: DropOptions,
        spool: Spool,
        ledger: Ledger,
        db: Database,
        mono_ms: Callable[[], int],
    ) -> None:
        self.root_id = root_id
        self.target = target
        self.options = options
        self._ledger = ledger
        self._outbox = Outbox(ledger)
        self._mono_ms = mono_ms
        self._stop = threading.Event()
        self._keeper = SpoolKeeper(spool, db, root_id, self._check)
        from pp_assist.sftp.dropfolder import DropFolder  # it needs the extra; a daemon without drop folders does not

        self._folder = DropFolder(plan_of(target, options), ledger, self._keeper, mono_ms, self._check)
        self._client: Any = None
        self._transport: Any = None
        self._began = False
        self._next_look_ms = 0
        self._failures = 0
        self.problem: SftpError | None = None
        self.last_look_at_ms: int | None = None
        self.fetched = 0
        self.to_do = 0
        """Files to be fetched, moved or removed, as of the last turn."""

    def stop(self) -> None:
        """End a turn that is under way."""
        self._stop.set()
        self._disconnect()

    def turn(self, now_ms: int) -> float:
        """Do what is to be done now, *now_ms* by the clock on the wall; return the seconds until the next turn."""
        try:
            self._check()
            if not self._began:
                spooled = self._ledger.open(self.target.url)
                self._keeper.forget_drafts(spooled)
                self._began = True
            self._connect()
            if self._mono_ms() >= self._next_look_ms:
                began_ms = self._mono_ms()
                self._folder.look(self._client)
                self.last_look_at_ms = now_ms
                wait_s = self.options.interval_s
                if self._folder.arriving:
                    wait_s = min(wait_s, self.options.rest_s + 0.01)
                wait_s = max(wait_s, (self._mono_ms() - began_ms) / 1000 / LOOKING_SHARE)
                self._next_look_ms = self._mono_ms() + int(wait_s * 1000)
            self._again_what_was_lost()
            fetched = self._folder.advance(self._client)
            self.fetched += fetched
            self._folder.announce()
        except SftpError as error:
            if self._stop.is_set():
                raise Stopped from error
            return self._failed(error)
        self.problem, self._failures = None, 0
        unsettled = self.open
        self.to_do = unsettled + len(self._folder.arriving)
        if fetched:
            return 0.0
        until_look_s = max(0.0, (self._next_look_ms - self._mono_ms()) / 1000)
        return min(until_look_s, BUSY_PAUSE_S) if unsettled else until_look_s

    @property
    def open(self) -> int:
        """How many files are not settled."""
        counts = self._ledger.counts(self.target.url)
        return sum(count for state, count in counts.items() if state != State.SETTLED)

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
            **{state.value: counts[state] for state in State},
            "refused": len(self._folder.refused),
            "announcements": announcements,
            "announcement_problem": not_taken,
        }

    def why(self, name: bytes) -> tuple[str, str] | None:
        """Return why a file that is not in the spool is not, as a word and a sentence; None: nothing is known of it."""
        if name in self._folder.refused:
            return "sftp_refused", f"the SFTP server refuses something: {self._folder.refused[name][1]}"
        if name in self._folder.not_whole:
            return "not_whole", f"some of it is missing on the SFTP server: {self._folder.not_whole[name][1]}"
        if self._folder.is_known(name):
            return None
        if name in self._folder.observed:
            return "arriving", "it is still being written on the SFTP server, or about to be fetched"
        return None

    def _connect(self) -> None:
        from pp_assist.sftp.connecting import Login, connect, is_alive

        if self._client is not None and is_alive(self._client, self._transport):
            return
        self._disconnect()
        self._client, self._transport = connect(
            self.target.host, self.target.port, login_of(self.target, self.options, Login), strict_rules(self.options)
        )
        self._check()

    def _disconnect(self) -> None:
        with suppress(Exception):  # whatever is wrong with it, nobody wants it any more
            if self._transport is not None:
                self._transport.close()

    def _failed(self, error: SftpError) -> float:
        self._disconnect()
        self._client = None
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


def plan_of(target: Target, options: DropOptions) -> "Plan":
    """Return what is to be done with the folder at *target*."""
    from pp_assist.sftp.dropfolder import Plan

    aside = None
    if options.after == "move":
        aside = os.fsencode(posixpath.normpath(posixpath.join(target.path, options.in_progress or "in_progress")))
    told = None if options.announce is None else Announce(**options.announce)
    return Plan(
        target.url,
        os.fsencode(target.path),
        True,
        options.patterns,
        int(options.rest_s * 1000),
        options.after,
        aside,
        told,
    )


def login_of(target: Target, options: DropOptions, kind: Any) -> Any:
    """Return as whom we come."""
    return kind(target.username, options.password, options.key_file, options.passphrase)


def strict_rules(options: DropOptions) -> Any:
    """Return whom we believe: only a server whose key somebody has vouched for."""
    return rules_of(options.host_key, options.known_hosts, strict=True)
