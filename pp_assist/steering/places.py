"""How many may work at a time: a number that can change while they do."""

import asyncio


class Places:
    """A semaphore whose size can change. Where there are fewer places than are taken, those who work finish first."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._taken = 0
        self._freed = asyncio.Event()

    def resize(self, count: int) -> None:
        """Have so many places from here on."""
        self.count = count
        self._freed.set()

    async def acquire(self) -> None:
        """Return once there is a place, and take it."""
        while self._taken >= self.count:
            self._freed.clear()
            await self._freed.wait()
        self._taken += 1

    def release(self) -> None:
        """Give a place back."""
        self._taken -= 1
        self._freed.set()

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(self, *_: object) -> None:
        self.release()
