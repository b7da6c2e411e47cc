"""One drop folder, step by step: look, fetch, wait for the receipt, move or remove, announce. Blocking.

Each step is written down before or with its effect, so that whoever is killed in between goes on with it: nothing is
moved or removed before it is stored, and nothing is announced before all of that is done, or not at all.
"""

import logging
import os
import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pp_assist.core.drop_folders import After
from pp_assist.sftp.announcing import Announce, Batch, Payload, message_of, new_id, payload
from pp_assist.sftp.connecting import list_folder, look, told_apart
from pp_assist.sftp.errors import RemoteChanged, RemoteRefused
from pp_assist.sftp.ledger import Arrival, Ledger, State
from pp_assist.sftp.outbox import Outbox
from pp_assist.sftp.polling import TEMPORARY, Observed, Seen, batches, complete, is_wanted, observe
from pp_assist.sftp.storing import make_folders, move

log = logging.getLogger(__name__)

AFTER_REFUSAL_MS = 30_000
"""A file of which the server refuses something is left alone for so long; the others go on."""
DEEPEST = 64
AT_A_TIME = 50
"""So many are fetched before it is seen to those that have their receipt."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done with a drop folder."""

    source: str
    """What it is called in the ledger."""
    folder: bytes
    recursive: bool = True
    patterns: tuple[str, ...] = ()
    rest_ms: int = 5000
    after: After = "leave"
    in_progress: bytes | None = None
    """Where it is moved to, into a folder for each day."""
    announce: Announce | None = None


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
        self._today = today
        self._build = build
        self._left = ledger.left(plan.source)
        self.observed: dict[bytes, Observed] = {}
        self.arriving: set[bytes] = set()
        """Files that may be complete at the next look."""
        self.not_whole: dict[bytes, tuple[Seen, str]] = {}
        """Files that rest, and of which something is missing."""
        self.refused: dict[bytes, tuple[int, str]] = {}
        """Until when files are left alone, and why."""

    # -- looking

    def look(self, client: Any, is_whole: Callable[[bytes, Seen], str | None] = lambda name, seen: None) -> int:
        """List the folder and write down what is complete; return how many files that is."""
        with told_apart():
            listing = dict(self._list(client, self.plan.folder, b"", 0))
        now = self._mono_ms()
        self.observed = observe(self.observed, listing, now)
        self.not_whole = {n: known for n, known in self.not_whole.items() if listing.get(n) == known[0]}
        busy = {arrival.name for arrival in self._ledger.open(self.plan.source)}
        found = []
        for name in complete(self.observed, now, self.plan.rest_ms):
            seen = listing[name]
            if name in busy or name in self.not_whole or self._left.get(name) == seen:
                continue
            if missing := is_whole(name, seen):
                self.not_whole[name] = seen, missing
            else:
                found.append((name, seen))
        if found:
            self._ledger.add(self.plan.source, found)
        begun = {*busy, *self.not_whole, *(name for name, _ in found)}
        self.arriving = {name for name, seen in listing.items() if name not in begun and self._left.get(name) != seen}
        return len(found)

    def is_known(self, name: bytes) -> bool:
        """Say whether the version of a file that was last seen stays where it is, and is dealt with."""
        known = self.observed.get(name)
        return known is not None and self._left.get(name) == known.seen

    def _list(self, client: Any, folder: bytes, below: bytes, depth: int) -> Iterable[tuple[bytes, Seen]]:
        self._check()
        for entry in list_folder(client, folder):
            name = posixpath.join(below, entry.name)
            if entry.is_file and is_wanted(entry.name, self.plan.patterns):
                yield name, Seen(entry.size_bytes, entry.mtime_s)
            elif entry.is_directory and self.plan.recursive and depth < DEEPEST and not TEMPORARY.search(entry.name):
                deeper = posixpath.join(folder, entry.name)
                if deeper != self.plan.in_progress:
                    yield from self._list(client, deeper, name, depth + 1)

    # -- fetching and settling

    def advance(self, client: Any) -> int:
        """Bring everything as far as it goes now; return how many files came here."""
        now = self._mono_ms()
        found = [a for a in self._in(State.FOUND) if self.refused.get(a.name, (0, ""))[0] <= now]
        fetched = sum([self._one(arrival, self._fetch, client) for arrival in found[:AT_A_TIME]])
        waiting = self._in(State.FETCHED)
        if waiting and self._keeper is not None:
            self._ledger.stored(self._keeper.stored(waiting))
        first = State.FOUND if self._keeper is None else State.STORED
        ready = self._in(first)
        if self.plan.after == "leave":
            self._ledger.settle((arrival.id for arrival in ready), is_left=True)
            self._left |= {arrival.name: arrival.seen for arrival in ready}
        else:
            for arrival in [*self._in(State.MOVING), *ready]:
                self._one(arrival, self._remove if self.plan.after == "remove" else self._move, client)
        return fetched

    def _one(self, arrival: Arrival, step: Callable[[Any, Arrival], bool], client: Any) -> bool:
        """Do a step with a file. What the server refuses, or our own disk, concerns this file alone."""
        self._check()
        until_ms, _ = self.refused.get(arrival.name, (0, ""))
        if self._mono_ms() < until_ms:
            return False
        try:
            done = step(client, arrival)
        except RemoteChanged:
            self._ledger.forget([arrival.id])  # as it is now, it is found again
            return False
        except (RemoteRefused, OSError) as error:
            log.warning("%s: %s is left alone for a while: %s", self.plan.source, arrival.name, error)
            self.refused[arrival.name] = self._mono_ms() + AFTER_REFUSAL_MS, str(error)
            return False
        self.refused.pop(arrival.name, None)
        return done

    def _fetch(self, client: Any, arrival: Arrival) -> bool:
        if self._keeper is None:
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

    def _remove(self, client: Any, arrival: Arrival) -> bool:
        if self._is_as_it_was(client, arrival):
            with told_apart():
                client.remove(self._remote(arrival))
        self._ledger.settle([arrival.id])
        return True

    def _move(self, client: Any, arrival: Arrival) -> bool:
        """Move a file aside. Where it goes is written down first: after a kill, that tells a move from a loss."""
        if not self._is_as_it_was(client, arrival):
            with told_apart():
                there = None if arrival.target is None else look(client, arrival.target)
            self._ledger.settle([arrival.id], moved=there is not None and there.size_bytes == arrival.seen.size_bytes)
            return True
        target = self._free_target(client, arrival)
        self._ledger.moving(arrival.id, target)
        move(client, self._remote(arrival), target)
        self._ledger.settle([arrival.id], moved=True)
        return True

    def _is_as_it_was(self, client: Any, arrival: Arrival) -> bool:
        """Say whether the version that arrived is still there; another one is left to the next look."""
        with told_apart():
            there = look(client, self._remote(arrival))
        return there is not None and (there.size_bytes, there.mtime_s) == arrival.seen

    def _free_target(self, client: Any, arrival: Arrival) -> bytes:
        assert self.plan.in_progress is not None
        day = posixpath.join(self.plan.in_progress, self._today().strftime("%m%d%Y").encode())
        target = posixpath.join(day, arrival.name)
        with told_apart():
            make_folders(client, posixpath.dirname(target))
            if look(client, target) is None:
                return target
        stem, ending = posixpath.splitext(target)
        return stem + b"." + arrival.id[:8].encode() + ending

    def _remote(self, arrival: Arrival) -> bytes:
        return posixpath.join(self.plan.folder, arrival.name)

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
