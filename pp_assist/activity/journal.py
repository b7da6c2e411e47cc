"""Writes down what happened, many at a time and never in anybody's way."""

import asyncio
import logging

from pp_assist.activity.bus import Bus
from pp_assist.core.events import PASSING, Event, Happened
from pp_assist.store import activity
from pp_assist.store.db import Database

log = logging.getLogger(__name__)

PAUSE_S = 1.0
AHEAD = 100_000
"""So many ids are reserved: more than can be told between two times of writing."""


class Journal:
    """The component. A crash loses the last second of it: what matters is in other tables."""

    name = "activity"

    def __init__(self, db: Database, bus: Bus) -> None:
        self.db = db
        self._bus = bus
        self._written_id = bus.last_id

    async def run(self) -> None:
        """Write until cancelled; the last of it is written by whoever ends the daemon."""
        while True:
            await self._bus.more(self._written_id)
            await self.write()
            await asyncio.sleep(PAUSE_S)

    async def write(self) -> None:
        """Write down what was told since the last time."""
        events = self._bus.after(self._written_id)
        if events is None:
            log.warning("more happened in a second than can be kept: the oldest of it is in no list")
            events = self._bus.after(self._bus.last_id - activity.MOST_KEPT) or ()
        if not events:
            return
        last_id = events[-1].id
        async with self.db.transaction() as tx:
            await activity.keep(tx, [each for each in events if each.event not in PASSING])
            await activity.reserve(tx, last_id + AHEAD)
        self._written_id = last_id

    async def after(self, last_id: int, events: frozenset[Event] | None, limit: int) -> list[Happened]:
        """Return what happened after *last_id*, oldest first, as far as it is kept or still in the ring."""
        recent = self._bus.after(last_id)
        if recent is not None:
            return [each for each in recent if events is None or each.event in events][:limit]
        written_id = self._written_id
        found = await activity.after(self.db, last_id, activity.About(events), limit)
        if len(found) == limit:
            return found
        rest = self._bus.after(max(written_id, found[-1].id if found else last_id)) or ()
        return [*found, *(each for each in rest if events is None or each.event in events)][:limit]
