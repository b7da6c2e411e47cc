"""What stands in line, as a person sees it, and what he does with single files of it."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from pp_assist.clock import Clock
from pp_assist.core.aside import Steer
from pp_assist.core.model import Stage
from pp_assist.core.progress import Progress
from pp_assist.store import queue_page, queue_steering
from pp_assist.store.db import Database
from pp_assist.store.queue_page import Item
from pp_assist.store.queue_steering import Which
from pp_assist.store.queues import Queues


class Line:
    """All queues, seen as one."""

    def __init__(
        self,
        db: Database,
        queues: Queues,
        progress: Callable[[int], Progress | None],
        clock: Clock,
        threads: ThreadPoolExecutor,
    ) -> None:
        self._db = db
        self._queues = queues
        self.progress = progress
        """Id of a file → how far its upload by chunks has come; None: there is none under way."""
        self._clock = clock
        self._threads = threads

    async def page(self, stages: Sequence[Stage], state: str | None, limit: int, offset: int) -> tuple[list[Item], int]:
        """Return a page of it and how many there are in all: see `queue_page.page`."""
        return await queue_page.page(self._db, tuple(stages), state, self._clock.now_ms(), limit, offset)

    async def active(self, limit: int, offset: int) -> tuple[list[Item], int]:
        """Return a page of what is being hashed or sent, or is about to be, and how many: what goes by chunks first."""
        ids = sorted(self._queues.at_work, key=lambda each: (self.progress(each) is None, each))
        return await queue_page.some(self._db, ids[offset : offset + limit], self._clock.now_ms()), len(ids)

    def is_at_work(self, file_id: int) -> bool:
        """Say whether a file is being hashed or sent, or is about to be."""
        return self._queues.is_at_work(file_id)

    async def steer(self, how: Steer, which: Which) -> int:
        """Do that with the files that are meant, and return with how many of them it could be done.

        What is being sent stops at the end of a chunk where it is held or cancelled; a small file may be through.
        """

        def find() -> list[int]:
            with self._db.reading() as conn:
                return queue_steering.matching(conn, which)

        ids = await asyncio.get_running_loop().run_in_executor(self._threads, find)
        done = await queue_steering.steer(self._db, how, ids, self._clock.now_ms())
        if how in (Steer.HOLD, Steer.CANCEL):
            self._queues.withdraw(done)
        elif done:
            self._queues.wake()
        return len(done)
