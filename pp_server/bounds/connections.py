"""All connections of one port: how many there may be, and which of them have to go.

Places are given to whoever comes: where there is none left, the connection that has been without a request for longest
makes room. Only where all of them are at work is the newcomer refused.
"""

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Protocol

MAX_REFUSED = 64
"""Refused connections that are kept for a moment, so that they can read why; beyond that they are cut at once."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What a connection may do, and how many there may be."""

    max_connections: int = 2048
    max_per_address: int = 1024
    head_seconds: float = 10.0
    """For the head of a request, from its first byte (of the first one: from the connection) on."""
    idle_seconds: float = 75.0
    """Between two requests."""
    min_rate_bytes: float = 1024.0
    """Bytes per second, of a request's body and of an answer that does not fit into the sockets' buffers."""
    body_window_seconds: float = 10.0
    answer_window_seconds: float = 60.0
    places_for_strangers: bool = True
    """Whether a request keeps its place before the application has said that it knows who asks."""

    @property
    def tick_seconds(self) -> float:
        """How often connections are looked at."""
        shortest = min(self.head_seconds, self.idle_seconds, self.body_window_seconds, self.answer_window_seconds)
        return min(1.0, shortest / 4)


class Connection(Protocol):
    """One of the connections."""

    address: str | None
    """Whose it is; None where that means nothing, as for a local socket."""

    def cut(self) -> None:
        """End at once."""

    def judge(self, now: float) -> None:
        """End if a deadline has passed."""


class Connections:
    """The connections of one port."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._all: dict[Connection, None] = {}
        self._per_address: Counter[str] = Counter()
        self._waiting: dict[Connection, None] = {}
        """Those without a request, longest first."""
        self._waiting_at: defaultdict[str, dict[Connection, None]] = defaultdict(dict)
        self._refused: dict[Connection, None] = {}
        self._sweeping: asyncio.TimerHandle | None = None
        self._late = False

    def __len__(self) -> int:
        return len(self._all)

    def admit(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> bool:
        """Give the newcomer a place, if need be that of one that waits; False where there is none."""
        address = connection.address
        if address is not None and self._per_address[address] >= self.limits.max_per_address:
            self._make_room(self._waiting_at.get(address))
        elif len(self._all) >= self.limits.max_connections:
            self._make_room(self._waiting)
        if self._sweeping is None:
            self._plan(loop)
        if len(self._all) >= self.limits.max_connections or (
            address is not None and self._per_address[address] >= self.limits.max_per_address
        ):
            self._refuse(connection)
            return False
        self._all[connection] = None
        if address is not None:
            self._per_address[address] += 1
        return True

    def _make_room(self, waiting: dict[Connection, None] | None) -> None:
        if waiting:
            longest = next(iter(waiting))
            self.remove(longest)
            longest.cut()

    def _refuse(self, connection: Connection) -> None:
        if len(self._refused) >= MAX_REFUSED:
            longest = next(iter(self._refused))
            self.remove(longest)
            longest.cut()
        self._refused[connection] = None

    def remove(self, connection: Connection) -> None:
        """Its place is free; to say it twice is fine."""
        self.busy(connection)
        self._refused.pop(connection, None)
        if connection not in self._all:
            return
        del self._all[connection]
        if connection.address is not None:
            self._per_address[connection.address] -= 1
            if not self._per_address[connection.address]:
                del self._per_address[connection.address]

    def waits(self, connection: Connection) -> None:
        """It has no request from here on."""
        if connection not in self._all:
            return
        self.busy(connection)
        self._waiting[connection] = None
        if connection.address is not None:
            self._waiting_at[connection.address][connection] = None

    def busy(self, connection: Connection) -> None:
        """It has a request from here on."""
        if connection not in self._waiting:
            return
        del self._waiting[connection]
        if connection.address is None:
            return
        waiting = self._waiting_at[connection.address]
        waiting.pop(connection, None)
        if not waiting:
            del self._waiting_at[connection.address]

    def _plan(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + self.limits.tick_seconds
        self._sweeping = loop.call_at(due, self._sweep, loop, due)

    def _sweep(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        """Judge everybody, but not twice in a row late: what arrived while we were busy is not read yet."""
        now = loop.time()
        self._late = not self._late and now - due > self.limits.tick_seconds
        try:
            if not self._late:
                for connection in [*self._all, *self._refused]:
                    connection.judge(now)
        finally:  # one that cannot be judged must not be the last
            self._sweeping = None
            if self._all or self._refused:
                self._plan(loop)
