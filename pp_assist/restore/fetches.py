"""The orders of the local API to bring files back: in memory, two at a time, seen until newer ones take their place."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from pp_assist.core.errors import AssistError
from pp_assist.core.events import Event, Tell
from pp_assist.core.fetching import Fetch, FetchState, Order
from pp_assist.restore.fetch import fetch
from pp_assist.restore.source import Source
from pp_assist.restore.versions import versions
from pp_server.wire.names import display
from pp_server.wire.restore import TreeEntry

log = logging.getLogger(__name__)

AT_A_TIME = 2
MOST_KEPT = 100
MOST_WAITING = 1000
TELL_S = 0.25
"""Between two events that say how far one has come."""

_ENDED = (FetchState.DONE, FetchState.FAILED, FetchState.CANCELLED)

OpenSource = Callable[[], contextlib.AbstractAsyncContextManager[Source]]
"""Raises AssistError where there is no server."""


class TooMany(OverflowError):
    """So many wait already."""


class Fetches:
    """The component."""

    name = "fetches"

    def __init__(self, source: OpenSource, host_id: Callable[[], str], now_ms: Callable[[], int], tell: Tell) -> None:
        self._source = source
        self._host_id = host_id
        self._now_ms = now_ms
        self._tell = tell
        self._fetches: dict[int, Fetch] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._waiting: deque[Fetch] = deque()
        self._wake = asyncio.Event()
        self._last_id = 0

    # -- what callers ask

    def begin(self, order: Order) -> Fetch:
        """Put *order* in line; return it as it stands where the same is in line already, or on its way.

        Raises:
            TooMany: there are too many already.
        """
        for job in self._fetches.values():
            if job.order == order and job.state not in _ENDED:
                return job
        if len(self._waiting) >= MOST_WAITING:
            raise TooMany(f"{MOST_WAITING} wait already")
        self._last_id += 1
        job = Fetch(self._last_id, order, self._now_ms(), order.relative)
        self._fetches[job.id] = job
        self._waiting.append(job)
        self._wake.set()
        self._forget()
        return job

    def get(self, job_id: int) -> Fetch | None:
        """Return one of them; None: it is not known, or not any more."""
        return self._fetches.get(job_id)

    def all(self) -> list[Fetch]:
        """Return those that are known, newest first."""
        return list(self._fetches.values())[::-1]

    def cancel(self, job_id: int) -> Fetch | None:
        """Let it be, if it has not ended; return it. What there is of a large file is gone on with next time."""
        job = self._fetches.get(job_id)
        if job is not None and job.state not in _ENDED:
            if job in self._waiting:
                self._waiting.remove(job)
            self._end(job, FetchState.CANCELLED)
            if (task := self._tasks.get(job_id)) is not None:
                task.cancel()
        return job

    def _forget(self) -> None:
        ended = [job.id for job in self._fetches.values() if job.state in _ENDED]
        for job_id in ended[: max(0, len(self._fetches) - MOST_KEPT)]:
            del self._fetches[job_id]

    async def versions(self, filepath: bytes) -> tuple[list[TreeEntry], int]:
        """Return the newest versions that the server has of this path, oldest first, and how many there are in all.

        Raises:
            AssistError: it cannot be asked.
        """
        async with self._source() as source:
            return await versions(source, self._host_id(), filepath)

    # -- the work

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_A_TIME):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            job = self._waiting.popleft()
            task = self._tasks[job.id] = asyncio.create_task(self._fetch(job))
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                task.cancel()
                await asyncio.wait([task])
                raise
            finally:
                del self._tasks[job.id]

    async def _fetch(self, job: Fetch) -> None:
        await self._let_go_of(job)
        job.state = FetchState.RUNNING
        self._say(job, Event.FETCH_STARTED)
        try:
            async with self._source() as source:
                await fetch(source, self._host_id(), job, self._progress(job))
        except AssistError as error:
            job.problem = error.reason, str(error)
            log.info("not fetched: %s: %s", display(job.order.filepath), error)
            self._end(job, FetchState.FAILED)
        except Exception:
            job.problem = "internal", "something went wrong; the daemon's log says more"
            log.exception("fetching %s failed in a way nobody thought of", display(job.order.filepath))
            self._end(job, FetchState.FAILED)
        else:
            self._end(job, FetchState.DONE)

    async def _let_go_of(self, job: Fetch) -> None:
        """Wait for those who have ended over the same place, and are closing what they have open there."""
        others = [self._fetches[job_id] for job_id in self._tasks if job_id in self._fetches]
        ended = [each.id for each in others if each.state in _ENDED and _place(each) == _place(job)]
        if ended:
            await asyncio.wait([self._tasks[job_id] for job_id in ended])

    def _progress(self, job: Fetch) -> Callable[[], None]:
        loop, told_at_s = asyncio.get_running_loop(), 0.0

        def moved_on() -> None:
            nonlocal told_at_s
            if loop.time() - told_at_s >= TELL_S:
                told_at_s = loop.time()
                self._say(job, Event.FETCH_PROGRESS)

        return moved_on

    def _end(self, job: Fetch, state: FetchState) -> None:
        job.state, job.ended_at_ms = state, self._now_ms()
        self._forget()
        if state is FetchState.DONE:
            self._say(job, Event.FETCH_COMPLETE, outcome=job.outcome, to=display(job.to))
        else:
            code, text = job.problem or ("cancelled", "cancelled by the user")
            self._say(job, Event.FETCH_FAILED, text, reason=code)

    def _say(self, job: Fetch, event: Event, message: str | None = None, **details: Any) -> None:
        facts: dict[str, Any] = {"id": job.id, "bytes_done": job.bytes_done, "bytes_total": job.size_bytes}
        self._tell(event, job.order.filepath, message=message, **facts, **details)


def _place(job: Fetch) -> tuple[bytes, bytes]:
    return job.order.folder, job.order.relative
