"""Where everybody says what happened, and from where listeners take it at their own pace.

There is one ring of the newest events, and every listener knows how far it has read. So telling costs the same whoever
listens, and whoever is too slow finds that what it wants is gone from the ring, and reads it where it is kept.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from pp_assist.core.events import Event, Happened

RING = 10_000


class Bus:
    """The ring. Lives in the event loop."""

    def __init__(self, now_ms: Callable[[], int], first_id: int = 1) -> None:
        self._now_ms = now_ms
        self._ring: deque[Happened] = deque(maxlen=RING)
        self._next_id = first_id
        self._more = asyncio.Event()

    @property
    def last_id(self) -> int:
        """The id of the newest event, or the one before the first."""
        return self._next_id - 1

    def tell(
        self,
        event: Event,
        filepath: bytes | None = None,
        *,
        root_id: int | None = None,
        count: int = 1,
        message: str | None = None,
        **details: Any,
    ) -> None:
        """Say that something happened."""
        self._ring.append(Happened(self._next_id, self._now_ms(), event, root_id, filepath, count, message, details))
        self._next_id += 1
        more, self._more = self._more, asyncio.Event()
        more.set()

    def after(self, last_id: int, most: int = RING) -> Sequence[Happened] | None:
        """Return the events after *last_id*, oldest first; None: some of them are no longer in the ring."""
        if last_id >= self.last_id:
            return ()
        if not self._ring or last_id + 1 < self._ring[0].id:
            return None
        begin = last_id + 1 - self._ring[0].id
        return list(islice(self._ring, begin, begin + most))

    async def more(self, last_id: int) -> None:
        """Return once there is an event after *last_id*."""
        while self.last_id <= last_id:
            await self._more.wait()
