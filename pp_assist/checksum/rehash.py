"""Hashing again, slowly, what was hashed long ago: some changes leave no trace in a file's times."""

import asyncio

from pp_assist.clock import Clock
from pp_assist.store import rehash
from pp_assist.store.db import Database
from pp_assist.store.queues import Queues

PAUSE_S = 60.0
FILES_AT_A_TIME = 1000
BYTES_AT_A_TIME = 256 << 20
"""About 4 MiB a second: ten terabytes in a month, and nobody notices."""

DAY_MS = 86_400_000


class Rehash:
    """Puts stored files in line to be hashed, when their time has come; see `store.rehash`."""

    def __init__(self, db: Database, queues: Queues, clock: Clock, days: float) -> None:
        self._db = db
        self._queues = queues
        self._clock = clock
        self._after_ms = int(days * DAY_MS)

    async def run(self) -> None:
        """Work until cancelled."""
        while self._after_ms:
            if await self.some():
                self._queues.wake_checksums()
            await asyncio.sleep(PAUSE_S)

    async def some(self) -> int:
        """Put the files that wait longest in line, as many as a minute allows; return how many."""
        now_ms = self._clock.now_ms()
        due = await rehash.due(self._db, now_ms - self._after_ms, FILES_AT_A_TIME)
        chosen: list[int] = []
        total = 0
        for file_id, size_bytes in due:
            total += size_bytes
            if chosen and total > BYTES_AT_A_TIME:
                break
            chosen.append(file_id)
        if chosen:
            async with self._db.transaction() as tx:
                await rehash.queue_again(tx, chosen, now_ms)
        return len(chosen)
