"""Sending one buffered file: ask what the server has, send the rest, stop at the first chunk that fails."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pp_assist.indexedcp.buffer import PENDING, ChunkStorage
from pp_assist.indexedcp.errors import ServerAsksToWait

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
    records: list[Record]
    send: Callable[[Record, bytes], Awaitable[str]]
    on_success: Callable[[Record], Awaitable[None]]
    parallel: int
    longest_wait_s: float
    server_name: str | None = None
    failure: Failure | None = None

    async def run(self, received: set[int], trusted: bool) -> None:
        """Send what is missing. *trusted*: what was received is of this very upload, and nothing else is there.

        A server that cannot be trusted so far may mean another file of this name: of what it lists, only that is left
        out which it took from us.
        """
        missing = [record for record in self.records if self._is_missing(record, received, trusted)]
        skipped = [record for record in self.records if record not in missing and record.get("status") == PENDING]
        if skipped:
            await self.storage.run(self.storage.note_uploaded, skipped)
        self.server_name = next((record["serverName"] for record in self.records if "serverName" in record), None)
        if trusted and not missing and self.server_name is None:
            missing = self.records[-1:]  # every answer was lost, and they name the file: ask once more
        waiting = iter(missing)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(max(1, self.parallel), len(missing))):
                group.create_task(self._some(waiting))

    @staticmethod
    def _is_missing(record: Record, received: set[int], trusted: bool) -> bool:
        if trusted:
            return record["chunkIndex"] not in received
        return bool(record.get("status", PENDING) == PENDING)

    async def _some(self, waiting: Any) -> None:
        for record in waiting:
            if self.failure is not None:
                return
            try:
                await self._one(record)
            except Exception as error:
                if self.failure is None:
                    self.failure = Failure(record, error)
                return

    async def _one(self, record: Record) -> None:
        data = await self.storage.run(self.storage.bytes_of, record)
        for attempt in range(WAITS + 1):
            try:
                self.server_name = await self.send(record, data)
                break
            except ServerAsksToWait as error:
                if attempt == WAITS or error.seconds > self.longest_wait_s:
                    raise
                await asyncio.sleep(error.seconds)
        await self.storage.run(self.storage.note_uploaded, [record], self.server_name)
        await self.on_success(record)
