"""What every storage can do."""

import builtins
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, Self


class BaseStorage(ABC):
    """Dictionaries by key, durable once a method has returned. Everything but `initialize` needs it initialized."""

    @abstractmethod
    async def initialize(self) -> None:
        """Have it ready; again is fine."""

    @abstractmethod
    async def save(self, key: str, data: dict[str, Any]) -> None:
        """Keep *data* under *key*, in place of what was there."""

    @abstractmethod
    async def load(self, key: str) -> dict[str, Any] | None:
        """Return what is kept under *key*, or None."""

    @abstractmethod
    async def load_all(self) -> builtins.list[dict[str, Any]]:
        """Return everything, oldest first. All of it is in memory then."""

    @abstractmethod
    async def delete(self, key: str) -> bool:
        """Forget *key*; say whether it was there."""

    @abstractmethod
    async def exists(self, key: str) -> bool:
        """Say whether something is kept under *key*."""

    @abstractmethod
    async def list(self) -> builtins.list[str]:
        """Return all keys, oldest first."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of it; again is fine."""

    async def __aenter__(self) -> Self:
        await self.initialize()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
