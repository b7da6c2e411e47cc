"""Hashing a staged file from its front while its chunks arrive, so that complete finds little left to read."""

import asyncio
from concurrent.futures import Executor

from pp_server.core.errors import StorageFailed
from pp_server.staging import Prefix
from pp_server.waiting import finish
from pp_server.wire.digest import Digest


class Follower:
    """Reads the staged file of one upload, chunk after chunk, as far as all before are recorded. For one event loop.

    What was read is not read again: recorded bytes stay as they are for the life of this process. Whoever makes a
    recorded chunk missing again has the follower begin anew.
    """

    def __init__(self, path: str, size_bytes: int, chunk_bytes: int, received: bytearray, executor: Executor) -> None:
        self._path = path
        self._size_bytes = size_bytes
        self._chunk_bytes = chunk_bytes
        self._received = received
        self._executor = executor
        self._prefix = Prefix(path)
        self._working: asyncio.Task[None] | None = None

    def follow(self) -> None:
        """Go on in a thread, unless one is at work already or nothing is there to go on with."""
        if self._working is None and self._end(self._prefix) > self._prefix.size_bytes:
            self._working = asyncio.create_task(self._go_on(self._prefix))

    async def digest(self) -> Digest | None:
        """Return the SHA-256 of all chunks, which are all recorded; None where the bytes are not there.

        Raises:
            StorageFailed: they cannot be read.
        """
        while self._working is not None:
            await finish(asyncio.wait([self._working]))
        prefix = self._prefix
        if await self._read_on(prefix) and prefix.size_bytes == self._size_bytes:
            return prefix.digest()
        self.begin_anew()
        return None

    def begin_anew(self) -> None:
        """What was recorded may be other bytes from here on; also where nobody needs to know any more."""
        self._prefix.stop()
        self._prefix = Prefix(self._path)

    async def _go_on(self, prefix: Prefix) -> None:
        went_well = False
        try:
            went_well = await self._read_on(prefix)
        except StorageFailed:
            """Whoever completes the upload will be told."""
        finally:
            self._working = None
        if went_well:
            self.follow()  # with what came too late for the thread to see
        elif prefix is self._prefix:
            self.begin_anew()

    async def _read_on(self, prefix: Prefix) -> bool:
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, prefix.read_on, lambda: self._end(prefix)
        )

    def _end(self, prefix: Prefix) -> int:
        """Return how far the next recorded chunk reaches, or where the prefix ends already."""
        number = prefix.size_bytes // self._chunk_bytes
        if number >= len(self._received) or not self._received[number]:
            return prefix.size_bytes
        return min((number + 1) * self._chunk_bytes, self._size_bytes)
