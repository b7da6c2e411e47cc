"""Every name accounted for: what each scan saw is held against the rows; what does not add up is said loudly."""

import asyncio
import logging
from dataclasses import dataclass

from pp_assist.core.events import Event
from pp_assist.core.ledger import Counted, Tally, difference
from pp_assist.core.model import Root
from pp_assist.scanner.record import Found, Recorder
from pp_assist.store import ledger
from pp_assist.store.roots import RootsTable
from pp_server.wire.names import display

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0
SHARE = 20
"""Counting takes one part in so many of the time, at most: with a million rows it takes a second."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one root."""

    counted: Counted
    counted_at_ms: int
    tally: Tally | None
    """Of the last whole scan; None: there was none since the start."""


@dataclass(slots=True)
class _Scan:
    """A scan that has ended and is to be held against the rows."""

    found: Found
    noted_before: int
    ended_at_ms: int


class Ledger:
    """Keeps an entry for each root, as new as it can be had without being in anybody's way."""

    def __init__(self, recorder: Recorder, roots: RootsTable) -> None:
        self._recorder = recorder
        self._roots = roots
        self._entries: dict[int, Entry] = {}
        self._ended: dict[int, _Scan] = {}
        self._as_of = -1

    def entries(self) -> dict[int, Entry]:
        """Return what is known, by root."""
        return dict(self._entries)

    def scanned(self, root: Root, found: Found, noted_before: int) -> None:
        """Have a scan of the whole of *root* that has just ended, and began at *noted_before* of the recorder's notes,
        held against the rows.
        """
        self._ended[root.id] = _Scan(found, noted_before, self._recorder.clock.now_ms())

    async def run(self) -> None:
        """Count until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            began_s = loop.time()
            await self.count()
            await asyncio.sleep((loop.time() - began_s) * SHARE)

    async def count(self) -> None:
        """Count every root anew, if anything has changed since the last time."""
        ended, self._ended = self._ended, {}
        as_of = self._recorder.db.commits
        if as_of == self._as_of and not ended:
            return
        entries = {}
        for root in await self._roots.all():
            if root.enabled:
                entries[root.id] = await self._entry(root, ended.get(root.id))
        self._entries, self._as_of = entries, as_of

    async def _entry(self, root: Root, scan: _Scan | None) -> Entry:
        counted = await self._recorder.in_thread(self._count, root)
        before = self._entries.get(root.id)
        tally = before.tally if before else None
        if scan is not None:
            tally = self._tally(root, scan, counted)
        return Entry(counted, self._recorder.clock.now_ms(), tally)

    def _count(self, root: Root) -> Counted:
        with self._recorder.db.reading() as conn:
            return ledger.count(conn, root.id, root.recursive)

    def _tally(self, root: Root, scan: _Scan, counted: Counted) -> Tally:
        found = scan.found
        others = self._recorder.noted[root.id] - scan.noted_before - found.noted + found.too_young
        differs = None if found.problems else difference(found.looked_at, counted.accounted_for, others)
        if differs:
            text = f"{abs(differs)} names " + ("have no row" if differs > 0 else "that have a row are not there")
            log.error("%s does not add up: %s", display(root.shown), text)
            self._recorder.tell(Event.ERROR, root.shown, root_id=root.id, message=f"does not add up: {text}")
        return Tally(scan.ended_at_ms, found.looked_at, found.problems, differs)
