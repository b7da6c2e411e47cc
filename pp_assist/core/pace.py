"""How fast contents leave, as whoever sends them sees it."""

from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Protocol


class Pace(Protocol):
    """How fast contents may leave."""

    def piece_bytes(self, largest: int) -> int:
        """Return how much to send at a time."""
        ...

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Wait for the turn of one body, for the block."""
        ...

    async def take(self, size_bytes: int) -> None:
        """Return once so much may leave."""
        ...


class AsFastAsPossible:
    """No limit."""

    def piece_bytes(self, largest: int) -> int:
        """Return the largest."""
        return largest

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Let everybody go ahead."""
        return nullcontext()

    async def take(self, size_bytes: int) -> None:
        """Return at once."""


AT_ONCE = AsFastAsPossible()
