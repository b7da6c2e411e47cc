"""One thread, and time that passes only when nobody has anything to do: everything that is asynchronous becomes cheap,
and the same again for the same decisions.

What the programs hand to threads (hashing, reading, SQLite) is done by the event loop itself, in order, and its result
is handed back a few turns later: how many is the dice's to say, so that what ran beside each other in threads still
overtakes each other here.
"""

import asyncio
import queue
import random
import selectors
import sqlite3
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import aiosqlite

from pp_assist.clock import Clock
from pp_server.durable import Durable
from pp_server.metadata.engine import Writer, _resolve

MOST_TURNS = 1_000_000
LATEST_TURNS = 3


class Stuck(AssertionError):
    """Nothing will ever happen again, or things happen for ever without any time passing."""


class _NoWaiting(selectors.BaseSelector):
    """Waits for nobody: lets the loop's time jump to its next timer instead."""

    def __init__(self) -> None:
        self._inner = selectors.DefaultSelector()
        self.now_s = 0.0
        self.turns = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        self.turns += 1
        if self.turns > MOST_TURNS:
            raise Stuck(f"{MOST_TURNS} turns of the event loop, and no end")
        ready = self._inner.select(0) if self.turns % 8 == 0 or timeout is None else []
        if not ready and timeout is None:
            raise Stuck("everybody waits, and nobody will wake them")
        if not ready and timeout:
            self.now_s += timeout
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.modify(fileobj, events, data)

    def get_map(self) -> Any:
        return self._inner.get_map()

    def close(self) -> None:
        self._inner.close()


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with its own time and without threads. *dice* may be replaced at any time."""

    def __init__(self) -> None:
        self._patience = _NoWaiting()
        super().__init__(self._patience)
        self.dice = random.Random(0)

    def time(self) -> float:
        return self._patience.now_s

    def begin(self, seed: int) -> None:
        """Begin anew at no time, with other dice; nothing may be left to be done."""
        self.dice.seed(seed)
        self._patience.now_s = 0.0

    def run(self, work: Any) -> Any:
        """Run one coroutine to its end, others beside it."""
        self._patience.turns = 0
        return self.run_until_complete(work)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        future = self.create_future()
        self.call_soon(self.do, future, partial(func, *args))
        return future

    def do(self, future: "asyncio.Future[Any] | None", work: Callable[[], Any]) -> None:
        """Do *work* now; let *future* know what came of it a little later."""
        if future is not None and future.cancelled():
            return
        try:
            result, error = work(), None
        except BaseException as raised:
            result, error = None, raised
        if future is not None:
            self._hand_over(self.dice.randrange(LATEST_TURNS), future, result, error)

    def _hand_over(self, turns: int, future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
        if turns:
            self.call_soon(self._hand_over, turns - 1, future, result, error)
        elif future.done():
            return
        elif error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


class VirtualClock(Clock):
    """The daemon's clock, and the server's: the loop's time, on top of a moment after which no file was touched."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.base_ms = 0
        self.set_ms = 0
        """By how much a person has set the clock."""

    def now_ms(self) -> int:
        return self.base_ms + self.set_ms + int(self._loop.time() * 1000)

    def mono_ms(self) -> int:
        return int(self._loop.time() * 1000)

    def asleep_ms(self) -> int:
        return 0

    def time_ns(self) -> int:
        return self.now_ms() * 1_000_000


# -- the daemon's SQLite


class Killed(sqlite3.OperationalError):
    """The process that asked does not exist any more."""


class _InOrder:
    """Takes the place of the queue of aiosqlite's thread: does what is put in, in order."""

    def __init__(self, loop: VirtualLoop, after: Callable[[sqlite3.Connection], None]) -> None:
        self._loop = loop
        self._after = after
        self.dead = False
        self.raw: sqlite3.Connection | None = None

    def put_nowait(self, item: "tuple[asyncio.Future[Any] | None, Callable[[], Any]]") -> None:
        future, work = item
        self._loop.call_soon(self._loop.do, future, partial(self._do, work))

    def _do(self, work: Callable[[], Any]) -> Any:
        if self.dead and isinstance(work, partial):
            if work.func.__name__ in ("close", "rollback"):
                return None
            raise Killed("killed")
        result = work()
        if isinstance(result, sqlite3.Connection):
            self.raw = result
        elif self.raw is not None and isinstance(work, partial) and work.func.__name__ != "close":
            self._after(self.raw)
        return result


class Connections:
    """Opens SQLite for one life of a daemon (takes the place of the module aiosqlite), and can end that life."""

    Connection = aiosqlite.Connection

    def __init__(self, loop: VirtualLoop, committed: Callable[[], None]) -> None:
        self._loop = loop
        self._committed = committed
        self._opened: list[_InOrder] = []
        self._was_in_transaction = False

    def connect(self, path: str, **options: Any) -> aiosqlite.Connection:
        def opened() -> sqlite3.Connection:
            raw = sqlite3.connect(path, **options)
            raw.execute("PRAGMA wal_autocheckpoint = 0")
            return raw

        connection = aiosqlite.Connection(opened, 64)
        in_order = _InOrder(self._loop, self._watch if "uri" not in options else lambda raw: None)
        connection._tx = in_order  # type: ignore[assignment]
        connection._thread = SimpleNamespace(start=lambda: None)  # type: ignore[assignment]
        self._opened.append(in_order)
        return connection

    def _watch(self, raw: sqlite3.Connection) -> None:
        if self._was_in_transaction and not raw.in_transaction:
            self._committed()
        self._was_in_transaction = raw.in_transaction

    def read(self, sql: str) -> list[tuple[Any, ...]]:
        """Return rows as of the last commit."""
        reader = self._opened[-1].raw
        assert reader is not None
        return [tuple(row) for row in reader.execute(sql)]

    def cut(self) -> None:
        """Let nothing more be read or written; what was not committed is gone."""
        for in_order in self._opened:
            in_order.dead = True
            if in_order.raw is not None:
                in_order.raw.close()


# -- the server's disk and SQLite


class Crashed(BaseException):
    """The server ended here."""


class Fragile(Durable):
    """The server's way to the disk: it ends at the k-th step. What its code still does afterwards changes nothing."""

    def __init__(self, died: Callable[[str], None]) -> None:
        super().__init__()
        self._died = died
        self.steps_left: int | None = None
        self.dead = False
        self.writers: list[InlineWriter] = []

    def bury(self) -> None:
        """Close what a server has left open that ended while it was stopping."""
        for writer in self.writers:
            writer.bury()
        self.writers.clear()

    def step(self, name: str) -> None:
        if self.steps_left is None or self.dead:
            return
        self.steps_left -= 1
        if self.steps_left <= 0:
            self.steps_left, self.dead = None, True
            self._died(name)
            raise Crashed(name)


def _unless_dead(name: str) -> Callable[..., Any]:
    alive = getattr(Durable, name)

    def operation(self: Fragile, *args: Any) -> Any:
        return None if self.dead else alive(self, *args)

    return operation


for _name in ("write", "sync", "datasync", "link", "rename", "unlink", "mkdir", "sync_dir", "commit"):
    setattr(Fragile, _name, _unless_dead(_name))


class InlineWriter(Writer):
    """The server's writer without its thread: what is waiting is still committed together."""

    def __init__(self, engine: Any, durable: Fragile, save_counts: Any) -> None:
        self._engine = engine
        self._durable = durable
        self._save_counts = save_counts
        self._waiting = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._conn = None
        durable.writers.append(self)

    async def run(self, write: Any) -> Any:
        future = self._loop.create_future()
        self._waiting.put((write, future))
        self._loop.call_soon(self._drain)
        return await future

    def _drain(self) -> None:
        if self._waiting.empty():
            return
        jobs = [job for job in self._next_batch() if job is not None]
        try:
            outcomes = [None] * len(jobs) if self._durable.dead else self._commit_together(jobs)  # type: ignore[attr-defined]
        except Crashed as crash:
            outcomes = [crash] * len(jobs)
        self._answer(jobs, outcomes)

    def _next_batch(self) -> list[Any]:
        batch = []
        while not self._waiting.empty():
            batch.append(self._waiting.get_nowait())
        return batch

    def _answer(self, jobs: list[Any], outcomes: list[Any]) -> None:
        self._loop.call_soon(_resolve, [future for _, future in jobs], outcomes)

    def close(self) -> None:
        self._drain()
        if self._conn is not None:
            self._conn.close()
        self._engine.dispose()

    def bury(self) -> None:
        """Close the connection, if it is open; what was not committed is gone."""
        conn, self._conn = self._conn, None
        if conn is not None and not conn.closed:
            conn.close()
