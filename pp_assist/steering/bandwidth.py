"""How fast contents are sent: one limit for all of them together."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from pp_assist.clock import Clock
from pp_assist.core.timetable import KIB, limit_at, parse

SMALLEST_PIECE_BYTES = 4 * KIB
PIECES_PER_SECOND = 4
"""Enough that a limit is kept evenly, and a new one soon."""


class Bandwidth:
    """Lets whoever sends wait for its turn. Without a limit, nobody waits."""

    def __init__(self, clock: Clock, kib_per_second: int, timetable: tuple[str, ...] | list[str]) -> None:
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._free_at_ms = 0.0
        self.set(kib_per_second, timetable)
        self.local_time: Callable[[], datetime] = lambda: datetime.fromtimestamp(clock.now_ms() / 1000).astimezone()

    def set(self, kib_per_second: int, timetable: tuple[str, ...] | list[str]) -> None:
        """Let another limit hold from the next piece on."""
        self._otherwise_kib = kib_per_second
        self._windows = [parse(line) for line in timetable]

    @property
    def bytes_per_s(self) -> int | None:
        """The limit of this moment; None: there is none."""
        if not self._windows:
            return self._otherwise_kib * KIB or None
        return limit_at(self._windows, self._otherwise_kib, self.local_time())

    def piece_bytes(self, largest: int) -> int:
        """Return how much to hand over at a time."""
        limit = self.bytes_per_s
        return largest if limit is None else min(max(limit // PIECES_PER_SECOND, SMALLEST_PIECE_BYTES), largest)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Run the block, which sends one body, and under a limit no two at a time.

        Several would share what there is, and each might be too slow for a server that ends what stalls.
        """
        if self.bytes_per_s is None:
            yield
            return
        async with self._one_at_a_time:
            yield

    async def take(self, size_bytes: int) -> None:
        """Return once *size_bytes* more may be sent."""
        limit = self.bytes_per_s
        if limit is None:
            return
        now_ms = self._clock.mono_ms()
        self._free_at_ms = max(self._free_at_ms, now_ms) + size_bytes * 1000 / limit
        await asyncio.sleep((self._free_at_ms - now_ms) / 1000)
