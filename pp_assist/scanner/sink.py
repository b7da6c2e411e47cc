"""Where events go: bounded hints, behind a lock, and a bell for the event loop. Any thread may write."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pp_assist.core.hints import Hints

log = logging.getLogger(__name__)

CANARY = b"canary"
"""The file in the state directory whose events prove that events flow."""


@dataclass(slots=True)
class Notes:
    """Hints that were not taken yet."""

    now: Hints = field(default_factory=Hints)
    later: Hints = field(default_factory=Hints)
    """Of files that somebody goes on writing to, or that were merely touched: soon enough in a while."""

    def distrust(self, root_id: int, reason: str) -> None:
        """Forget a root's events: it must be scanned."""
        self.now.distrust(root_id, reason)
        self.later.distrust(root_id, reason)
        self.later.suspect.clear()


class Sink:
    """Collects what the system tells; `take` and `take_later` hand it over."""

    def __init__(self) -> None:
        self.woken = asyncio.Event()
        """Set when there is something to take at once."""
        self.woken_later = asyncio.Event()
        """Set when there is something to take later."""
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._notes = Notes()
        self._passed = asyncio.Event()
        self.root_ids: set[int] = set()
        """All roots whose events come here."""

    @contextlib.contextmanager
    def noting(self) -> Iterator[Notes]:
        """Give the block the hints to add to."""
        with self._lock:
            waiting = bool(self._notes.now), bool(self._notes.later)
            yield self._notes
            if suspect := self._notes.later.suspect:  # too many, of no hurry each: now there is
                for root_id, reason in list(suspect.items()):
                    self._notes.distrust(root_id, reason)
            now, later = bool(self._notes.now), bool(self._notes.later)
        if now and not waiting[0]:
            self._call(self.woken.set)
        if later and not waiting[1]:
            self._call(self.woken_later.set)

    def lost(self, reason: str) -> None:
        """Note, inside `noting`, that events were lost: all roots must be scanned."""
        for root_id in self.root_ids:
            self._notes.distrust(root_id, reason)

    def canary(self, name: bytes) -> None:
        """Note an event in the canary's directory."""
        if name == CANARY:
            self._call(self._passed.set)

    def take(self) -> Hints:
        """Return the urgent hints, all there are."""
        self.woken.clear()
        with self._lock:  # a note that comes between finds hints waiting: they are taken with it
            taken, self._notes.now = self._notes.now, Hints()
        return taken

    def take_later(self) -> Hints:
        """Return the others."""
        self.woken_later.clear()
        with self._lock:
            taken, self._notes.later = self._notes.later, Hints()
        return taken

    def announces(self, root_id: int, directory: bytes, name: bytes) -> bool:
        """Say whether a name is among the hints that were not taken yet."""
        with self._lock:
            return any(hints.announces(root_id, directory, name) for hints in (self._notes.now, self._notes.later))

    def doubt(self, root_id: int) -> str | None:
        """Say why events of a root were given up, if they were and nobody has taken note of it yet."""
        with self._lock:
            return self._notes.now.suspect.get(root_id)

    def expect_canary(self) -> None:
        """Forget canaries that passed before."""
        self._passed.clear()

    async def canary_passes(self, timeout_s: float) -> bool:
        """Wait until the canary was seen; False if it was not in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._passed.wait()
        except TimeoutError:
            return False
        return True

    def _call(self, function: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:  # the loop has ended before the thread
            log.debug("a late event after the end")
