"""uvicorn, as both programs run it: inside a loop of theirs, and still while nothing happens."""

import asyncio
import contextlib
from collections.abc import Iterator

import uvicorn

TICK_S = 1.0
"""So often uvicorn renews the `Date` of its answers."""


class Server(uvicorn.Server):
    """A uvicorn server that leaves signals to its program, and looks whether it is to end when it is told so.

    uvicorn looks ten times a second: in a daemon with nothing to do, that would be most of what it does.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        self._leaving = asyncio.Event()
        super().__init__(config)

    @property
    def should_exit(self) -> bool:
        """Say whether it is to end."""
        return self._leaving.is_set()

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        if value:  # it begins with False, and nobody takes it back
            self._leaving.set()

    async def main_loop(self) -> None:
        """Renew what is renewed each second, until it is to end."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._leaving.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield
