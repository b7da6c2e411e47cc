"""Memory for what is being received, for the whole server: reserved before it is filled."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pp_server.core.errors import Overloaded

PATIENCE_S = 1.0
"""So long somebody waits for room before being sent away."""


class Held:
    """What one request holds of the budget."""

    def __init__(self, budget: "Budget") -> None:
        self._budget = budget
        self.size_bytes = 0

    async def grow(self, count: int) -> None:
        """Hold *count* bytes more; wait for room for a moment.

        Raises:
            Overloaded: there was none.
        """
        await self._budget._take(count, self.size_bytes)
        self.size_bytes += count

    def try_grow(self, count: int) -> bool:
        """Hold *count* bytes more if that leaves half of the budget to others; for what is only convenient."""
        if not self._budget._take_spare(count):
            return False
        self.size_bytes += count
        return True

    def shrink(self, count: int) -> None:
        """Hold *count* bytes less."""
        self.size_bytes -= count
        self._budget._give(count)


class Budget:
    """So many bytes at a time; whoever waits for room gets it in turn. For one event loop."""

    def __init__(self, limit_bytes: int, patience_s: float = PATIENCE_S) -> None:
        self._limit_bytes = limit_bytes
        self._patience_s = patience_s
        self._waiting: deque[tuple[int, int, asyncio.Future[None]]] = deque()
        """How many bytes, how many whoever waits holds already, and its turn."""
        self.used_bytes = 0

    @asynccontextmanager
    async def reserve(self, count: int) -> AsyncIterator[Held]:
        """Hold *count* bytes inside the block, and whatever is added to them there.

        Raises:
            Overloaded: there was no room, for a moment.
        """
        held = Held(self)
        try:
            await held.grow(count)
            yield held
        finally:
            held.shrink(held.size_bytes)

    def _fits(self, count: int, own: int) -> bool:
        """Say whether there is room for *count*. Who holds all that is held gets it: waiting would not help."""
        return self.used_bytes == own or self.used_bytes + count <= self._limit_bytes

    async def _take(self, count: int, own: int) -> None:
        if not self._waiting and self._fits(count, own):
            self.used_bytes += count
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((count, own, turn))
        try:
            async with asyncio.timeout(self._patience_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._give(count)  # it was our turn just then
            else:
                self._waiting.remove((count, own, turn))
                self._serve()
            if isinstance(error, TimeoutError):
                raise Overloaded("The server is receiving as much as it has memory for") from None
            raise

    def _take_spare(self, count: int) -> bool:
        if self._waiting or self.used_bytes + count > self._limit_bytes // 2:
            return False
        self.used_bytes += count
        return True

    def _give(self, count: int) -> None:
        self.used_bytes -= count
        self._serve()

    def _serve(self) -> None:
        while self._waiting:
            count, own, turn = self._waiting[0]
            if turn.done():  # cancelled, and about to remove itself
                return
            if not self._fits(count, own):
                return
            self._waiting.popleft()
            self.used_bytes += count
            turn.set_result(None)
