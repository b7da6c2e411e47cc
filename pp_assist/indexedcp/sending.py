"""Sending one buffered file: ask what the server has, send the rest, stop at the first chunk that fails."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pp_assist.indexedcp import wire
from pp_assist.indexedcp.buffer import ChunkStorage, Plan
from pp_assist.indexedcp.errors import ServerAsksToWait, SourceChanged

Record = dict[str, Any]

WAITS = 5
"""So often in a row a chunk waits for a server that asks for it, before the file does."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The chunk at which a file stopped."""

    record: Record
    error: Exception


@dataclass(slots=True)
class Sending:
    """One file on its way. *send* sends a chunk and returns the server's name for the file."""

    storage: ChunkStorage
    plan: Plan
    send: Callable[[Record, bytes], Awaitable[str]]
    on_success: Callable[[Record], Awaitable[None]]
    parallel: int
    longest_wait_s: float
    with_digest: bool
    server_name: str | None = None
    failure: Failure | None = None
    _noting: "asyncio.Future[None] | None" = None

    async def run(self, received: set[int], is_trusted: bool) -> None:
        """Send what is missing. *is_trusted*: what was received is of this very upload, and nothing else is there.

        A server that cannot be trusted so far may mean another file of this name: of what it lists, only that is left
        out which it took from us.
        """
        plan, self.server_name = self.plan, self.plan.server_name
        there = received if is_trusted else plan.uploaded
        missing = [index for index in plan.indexes if index not in there]
        unnoted = (there - plan.uploaded).intersection(plan.indexes)
        if unnoted:
            await self.storage.run(self.storage.note_uploaded, plan, unnoted)
        if is_trusted and not missing and self.server_name is None:
            missing = plan.indexes[-1:]  # every answer was lost, and they name the file: ask once more
        waiting = iter(missing)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(max(1, self.parallel), len(missing))):
                group.create_task(self._some(waiting))
        try:
            await self._noted()
        except Exception as error:
            self.failure = self.failure or Failure(self._place(plan.indexes[-1]), error)

    async def _some(self, waiting: Iterator[int]) -> None:
        """Send one chunk after the other; the next is read, and hashed, while one is sent."""
        ahead = self._reading(waiting)
        try:
            while ahead is not None and self.failure is None:
                index, reading = ahead
                record = self._place(index)
                try:
                    record, data = await reading
                    ahead = self._reading(waiting)
                    await self._one(record, data)
                except Exception as error:
                    self.failure = self.failure or Failure(record, error)
        finally:
            if ahead is not None:
                ahead[1].cancel()
                ahead[1].add_done_callback(lambda read: read.cancelled() or read.exception())  # nobody wants it

    def _place(self, index: int) -> Record:
        return {"fileName": self.plan.name, "chunkIndex": index}

    def _reading(self, waiting: Iterator[int]) -> "tuple[int, asyncio.Future[tuple[Record, bytes]]] | None":
        """Begin to read the next chunk, if there is one."""
        index = next(waiting, None)
        if index is None:
            return None
        return index, self.storage.begin(self._read, index)

    def _read(self, index: int) -> tuple[Record, bytes]:
        """Return a chunk, ready to be sent. Blocking."""
        record, data = self.storage.chunk(self.plan.name, index)
        if self.with_digest:
            record[wire.DIGEST] = wire.content_digest(data)
        return record, data

    async def _one(self, record: Record, data: bytes) -> None:
        if record.get("uploadId") != self.plan.upload_id:
            raise SourceChanged(f"{self.plan.name} was added again, or removed, meanwhile")
        for attempt in range(WAITS + 1):
            try:
                self.server_name = await self.send(record, data)
                break
            except ServerAsksToWait as error:
                if attempt == WAITS or error.seconds > self.longest_wait_s:
                    raise
                await asyncio.sleep(error.seconds)
        await self._noted()
        uploaded = self.plan, [record["chunkIndex"]], self.server_name
        self._noting = self.storage.begin(self.storage.note_uploaded, *uploaded)
        await self.on_success(record)

    async def _noted(self) -> None:
        """Return once everything is noted that the server has; it is noted while the next chunk is sent."""
        while (noting := self._noting) is not None:
            await asyncio.shield(noting)
            if self._noting is noting:
                self._noting = None
