"""One drop folder, step by step: look, fetch, wait for the receipt, move or remove, announce. Blocking.

Each step is written down before or with its effect, so that whoever is killed in between goes on with it: nothing is
moved or removed before it is stored, and nothing is announced before all of that is done, or not at all.
"""

import logging
import os
import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from pp_assist.sftp.announcing import Batch, Payload, message_of, new_id, payload
from pp_assist.sftp.connecting import list_folder, look, real_path, told_apart
from pp_assist.sftp.errors import RemoteChanged, RemoteRefused
from pp_assist.sftp.ledger import Arrival, Ledger, State
from pp_assist.sftp.outbox import Outbox
from pp_assist.sftp.plan import Plan, name_below
from pp_assist.sftp.polling import TEMPORARY, Observed, Seen, batches, complete, is_wanted, observe
from pp_assist.sftp.taking import TakingAway
from pp_assist.sftp.threads import some_at_a_time

log = logging.getLogger(__name__)

AFTER_REFUSAL_MS = 30_000
"""A file of which the server refuses something is left alone for so long; the others go on."""
DEEPEST = 64
AT_A_TIME = 50
"""So many are fetched before it is seen to those that have their receipt."""
FETCHERS = 4
"""Small files are mostly waiting: for an answer, and for the disk."""
STILL_LEFT_EVERY_MS = 86_400_000

Clients = Callable[[], AbstractContextManager[Any]]
"""Gives a block a client of its own. Whoever has one does not ask for another."""


class Keeper(Protocol):
    """Whoever keeps a file before anything is done with it on the SFTP server."""

    def keep(self, client: Any, remote: bytes, arrival: Arrival) -> str | None:
        """Fetch it; return what is missing of it where it is not whole.

        Raises:
            RemoteChanged, SftpError, OSError.
        """
        ...

    def stored(self, arrivals: Sequence[Arrival]) -> list[tuple[str, str]]:
        """Return (id, SHA-256) of those that the server has given its receipt for."""
        ...

    def left_out(self, files: Sequence[tuple[bytes, Seen]]) -> set[bytes]:
        """Return those that a rule leaves out: they would never be stored."""
        ...


@dataclass(slots=True)
class _Listed:
    """How far a look has come."""

    aside: bytes | None
    """A folder in it that is left alone: what was taken from it is there."""
    names: int = 0
    unread: dict[bytes, str] = field(default_factory=dict)


class DropFolder:
    """It, as far as it is known here."""

    def __init__(
        self,
        plan: Plan,
        ledger: Ledger,
        keeper: Keeper | None,
        mono_ms: Callable[[], int],
        check: Callable[[], None] = lambda: None,
        today: Callable[[], datetime] = datetime.now,
        build: Payload = payload,
    ) -> None:
        self.plan = plan
        self._ledger = ledger
        self._outbox = Outbox(ledger)
        self._keeper = keeper
        self._mono_ms = mono_ms
        self._check = check
        self._taking = TakingAway(plan, ledger, today)
        self._build = build
        self._left = ledger.left(plan.source)
        self.observed: dict[bytes, Observed] = {}
        self.arriving: set[bytes] = set()
        """Files that may be complete at the next look."""
        self.not_whole: dict[bytes, tuple[Seen, str]] = {}
        """Files that rest, and of which something is missing."""
        self.refused: dict[bytes, tuple[int, str]] = {}
        """Until when files are left alone, and why."""
        self.left_out: set[bytes] = set()
        """Files that rest, and that a rule leaves out."""
        self.unread: dict[bytes, str] = {}
        """Folders in it that cannot be listed, and why."""
        self._still_left_ms: int | None = None

    # -- looking

    def look(self, client: Any, is_whole: Callable[[bytes, Seen], str | None] = lambda name, seen: None) -> int:
        """List the folder and write down what is complete; return how many files that is."""
        with told_apart():
            listed = _Listed(self._aside(client))
            listing = dict(self._list(client, self.plan.folder, b"", 0, listed))
        self._note_unread(listed.unread)
        now = self._mono_ms()
        self.observed = observe(self.observed, listing, now)
        self.not_whole = {n: known for n, known in self.not_whole.items() if listing.get(n) == known[0]}
        busy = {arrival.name: arrival.seen for arrival in self._ledger.open(self.plan.source)}
        self.refused = {n: known for n, known in self.refused.items() if n in busy or n in listing}
        self._note_still_left(listing, now)
        complete_now = [
            (name, listing[name])
            for name in complete(self.observed, now, self.plan.rest_ms)
            if name not in busy and name not in self.not_whole and self._left.get(name) != listing[name]
        ]
        left_out = set() if self._keeper is None else self._keeper.left_out(complete_now)
        self.left_out = left_out
        found = []
        for name, seen in complete_now:
            if name in left_out:
                continue
            if missing := is_whole(name, seen):
                self.not_whole[name] = seen, missing
            else:
                found.append((name, seen))
        if found:
            self._ledger.add(self.plan.source, found)
        begun = {*self.not_whole, *left_out, *(name for name, _ in found)}
        known = self._left | busy
        self.arriving = {name for name, seen in listing.items() if name not in begun and known.get(name) != seen}
        return len(found)

    def _aside(self, client: Any) -> bytes | None:
        """Return the name in it of the folder that files are moved to, however a person spells the two."""
        if self.plan.in_progress is None or not self.plan.recursive:
            return None
        name = name_below(*(real_path(client, path) for path in (self.plan.folder, self.plan.in_progress)))
        if name == b"":
            raise RemoteRefused("what arrives in it is to be moved aside into the folder itself")
        return name

    def _note_unread(self, unread: dict[bytes, str]) -> None:
        for folder in unread.keys() - self.unread.keys():
            log.warning("%s: the folder %s in it cannot be listed: %s", self.plan.source, folder, unread[folder])
        self.unread = unread

    def _note_still_left(self, listing: Mapping[bytes, Seen], now: int) -> None:
        """Once a day: what stays on the SFTP server is remembered as long as it does."""
        due_ms = self._still_left_ms
        if self._left and not self.unread and (due_ms is None or now >= due_ms):
            self._ledger.still_left(self.plan.source, self._left.keys() & listing.keys())
            self._still_left_ms = now + STILL_LEFT_EVERY_MS

    @property
    def refusal(self) -> str | None:
        """Why a file is left alone for a while: the one that was refused last."""
        last = next(reversed(dict(self.refused).items()), None)
        return None if last is None else f"{_text(last[0])}: {last[1][1]}"

    def is_known(self, name: bytes) -> bool:
        """Say whether the version of a file that was last seen stays where it is, and is dealt with or left out."""
        known = self.observed.get(name)
        return known is not None and (self._left.get(name) == known.seen or name in self.left_out)

    def _list(
        self, client: Any, folder: bytes, below: bytes, depth: int, listed: _Listed
    ) -> Iterable[tuple[bytes, Seen]]:
        self._check()
        entries = list_folder(client, folder, listed.names)
        listed.names += len(entries)
        for entry in entries:
            name = posixpath.join(below, entry.name)
            if entry.is_file and is_wanted(entry.name, self.plan.patterns):
                yield name, Seen(entry.size_bytes, entry.mtime_s)
            elif entry.is_directory and self.plan.recursive and depth < DEEPEST and not TEMPORARY.search(entry.name):
                if name == listed.aside:
                    continue
                deeper = posixpath.join(folder, entry.name)
                try:
                    with told_apart():
                        yield from list(self._list(client, deeper, name, depth + 1, listed))
                except RemoteRefused as error:  # what cannot be listed holds up nothing else
                    listed.unread[name] = str(error)

    # -- fetching and settling

    def advance(self, clients: Clients) -> int:
        """Bring everything as far as it goes now; return how many files came here."""
        fetched = self._fetch_some(clients)
        waiting = self._in(State.FETCHED)
        if waiting and self._keeper is not None:
            self._ledger.stored(self._keeper.stored(waiting))
        ready = self._in(State.FOUND if self._keeper is None else State.STORED)
        if self.plan.after == "leave":
            self._leave(ready)
            ready = []
        if to_take := [*self._in(State.MOVING), *ready]:
            with clients() as client:
                for arrival in to_take:
                    self._one(arrival, partial(self._take_away, client))
        return fetched

    def _leave(self, arrivals: Sequence[Arrival]) -> None:
        self._ledger.settle((arrival.id for arrival in arrivals), is_left=True)
        self._left |= {arrival.name: arrival.seen for arrival in arrivals}

    def _take_away(self, client: Any, arrival: Arrival) -> bool:
        if self.plan.after != "leave":
            self._taking.take_away(client, arrival)
        elif not self._taking.finish(client, arrival):  # a person says by now that it stays
            self._leave([arrival])
        return True

    def _fetch_some(self, clients: Clients) -> int:
        if self._keeper is None:
            return 0
        now = self._mono_ms()
        found = [a for a in self._in(State.FOUND) if self.refused.get(a.name, (0, ""))[0] <= now]
        fetched: list[Arrival] = []

        def fetch(arrival: Arrival) -> bool:
            with clients() as client:
                return self._fetch(client, arrival)

        def one(arrival: Arrival) -> None:
            if self._one(arrival, fetch):
                fetched.append(arrival)

        some_at_a_time(one, found[:AT_A_TIME], FETCHERS)
        return len(fetched)

    def _one(self, arrival: Arrival, step: Callable[[Arrival], bool]) -> bool:
        """Do a step with a file. What the server refuses, or our own disk, concerns this file alone."""
        self._check()
        until_ms, _ = self.refused.get(arrival.name, (0, ""))
        if self._mono_ms() < until_ms:
            return False
        try:
            done = step(arrival)
        except RemoteChanged:
            self.arriving.add(arrival.name)
            self.refused.pop(arrival.name, None)
            self._ledger.forget([arrival.id])  # as it is now, it is found again
            return False
        except (RemoteRefused, OSError) as error:
            log.warning("%s: %s is left alone for a while: %s", self.plan.source, arrival.name, error)
            self.refused[arrival.name] = self._mono_ms() + AFTER_REFUSAL_MS, str(error)
            return False
        self.refused.pop(arrival.name, None)
        return done

    def _fetch(self, client: Any, arrival: Arrival) -> bool:
        assert self._keeper is not None
        if arrival.target is not None:
            self._taking.end_what_was_begun(client, arrival)
            return False
        with told_apart():
            there = look(client, self._remote(arrival))
        if there is None or not there.is_file:
            raise RemoteChanged("it is gone")
        missing = self._keeper.keep(client, self._remote(arrival), arrival)
        if missing is not None:
            self.not_whole[arrival.name] = arrival.seen, missing
            self._ledger.forget([arrival.id])
            return False
        self._ledger.advance([arrival.id], State.FETCHED)
        return True

    def _remote(self, arrival: Arrival) -> bytes:
        return self.plan.place_of(arrival.name)

    def _in(self, state: State) -> list[Arrival]:
        return self._ledger.in_state(self.plan.source, state)

    # -- announcing

    def announce(self, everything: bool = False) -> int:
        """Put what is settled into announcements; return how many. Sending them is the outbox's."""
        told = self.plan.announce
        if told is None:
            return 0
        waiting = {arrival.id: arrival for arrival in self._ledger.unannounced(self.plan.source)}
        if not waiting:
            return 0
        more = not everything and bool(self._ledger.open(self.plan.source))
        count = 0
        for ids in batches(list(waiting), told.batch_size, more):
            files = [self._file(waiting[each]) for each in ids]
            batch = Batch(new_id(), told.project_id, told.profile_code, told.uploaded_by, told.source, files)
            self._outbox.add(self.plan.source, ids, message_of(batch, told.url, told.secret, self._build))
            count += 1
        return count

    def _file(self, arrival: Arrival) -> Mapping[str, Any]:
        place = arrival.target or self._remote(arrival)
        return {
            "filename": _text(posixpath.basename(arrival.name)),
            "backup_path": _text(place),
            "id": arrival.id,
            "size": arrival.seen.size_bytes,
            "sha256": arrival.sha256,
        }


def _text(name: bytes) -> str:
    return os.fsdecode(name).encode("utf-8", "replace").decode()
