"""The SQLite engine: one writing connection in one thread, a few reading ones in theirs.

Statements are synchronous functions over a connection. The writer drains whatever is waiting, runs each operation in a
savepoint so that one failure does not touch its neighbours, and commits them together: the sync is shared. Whoever
waits may be cancelled; the operation itself is never split.
"""

import asyncio
import queue
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import sqlalchemy as sa

from pp_server.core.errors import ServerError, StorageFailed, StorageFull
from pp_server.durable import Durable

T = TypeVar("T")

MAX_BATCH = 256
READERS = 2

_PRAGMAS = (
    "PRAGMA busy_timeout = 10000",
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
    "PRAGMA mmap_size = 0",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -16384",
)
_WRITER_PRAGMAS = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA wal_autocheckpoint = 2000")
_READER_PRAGMAS = ("PRAGMA query_only = ON", "PRAGMA wal_autocheckpoint = 0")


@dataclass(slots=True)
class Transaction:
    """What a writing operation gets: the connection, and counters that are saved with the commit."""

    conn: sa.Connection
    counts: Counter[str] = field(default_factory=Counter)


Write = Callable[[Transaction], T]
Read = Callable[[sa.Connection], T]
Waiting = tuple[Write[Any], "asyncio.Future[Any]"]


def _engine(path: str, writing: bool) -> sa.Engine:
    """Return an engine whose every connection is set up the same way; BEGIN is ours, not the driver's."""
    mode = "rwc" if writing else "ro"
    uri = f"file:{_uri_path(path)}?mode={mode}"

    def connect() -> sqlite3.Connection:
        raw = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        for pragma in (*_PRAGMAS, *(_WRITER_PRAGMAS if writing else _READER_PRAGMAS)):
            raw.execute(pragma)
        return raw

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.NullPool)
    begin = "BEGIN IMMEDIATE" if writing else "BEGIN"
    sa.event.listen(engine, "begin", lambda conn: conn.exec_driver_sql(begin))
    return engine


def _uri_path(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def writing_engine(path: str) -> sa.Engine:
    """Return the engine for the one writing connection."""
    return _engine(path, writing=True)


class Readers:
    """A few threads, each with its own read-only connection."""

    def __init__(self, path: str) -> None:
        self._engine = _engine(path, writing=False)
        self._local = threading.local()
        self._connections: list[sa.Connection] = []
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="metadata-read")

    async def run(self, read: Read[T]) -> T:
        """Return what *read* finds, in one consistent view of the database."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._read, read)

    def _read(self, read: Read[T]) -> T:
        try:
            conn = self._connection()
            with conn.begin():
                return read(conn)
        except sa.exc.DBAPIError as error:
            raise storage_error(error) from error

    def _connection(self) -> sa.Connection:
        conn: sa.Connection | None = getattr(self._local, "conn", None)
        if conn is None:
            conn = self._local.conn = self._engine.connect()
            self._connections.append(conn)
        return conn

    def close(self) -> None:
        """Wait for what is being read, then close."""
        self._pool.shutdown(wait=True)
        for conn in self._connections:
            conn.close()
        self._engine.dispose()


class Writer:
    """The one thread that writes. *save_counts* stores the counters of a batch just before its commit."""

    def __init__(
        self, engine: sa.Engine, durable: Durable, save_counts: Callable[[sa.Connection, Counter[str]], None]
    ) -> None:
        self._engine = engine
        self._durable = durable
        self._save_counts = save_counts
        self._waiting: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._open = threading.Lock()
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._conn: sa.Connection | None = None
        self._thread = threading.Thread(target=self._work, name="metadata-write", daemon=True)
        self._thread.start()

    async def run(self, write: Write[T]) -> T:
        """Return what *write* says once it is committed. Cancelling only stops the waiting."""
        future: asyncio.Future[T] = self._loop.create_future()
        with self._open:
            if self._closed:
                raise StorageFailed("the server is stopping")
            self._waiting.put((write, future))
        return await future

    def close(self) -> None:
        """Finish what is waiting, then close; from now on nothing more is taken. Blocking."""
        with self._open:
            self._closed = True
            self._waiting.put(None)
        self._thread.join()
        if self._conn is not None:
            self._conn.close()
        self._engine.dispose()

    def _work(self) -> None:
        stopping = False
        while not stopping:
            batch = self._next_batch()
            stopping = batch[-1] is None
            jobs = [job for job in batch if job is not None]
            if jobs:
                self._answer(jobs, self._commit_together(jobs))

    def _next_batch(self) -> list[Waiting | None]:
        batch = [self._waiting.get()]
        while batch[-1] is not None and len(batch) < MAX_BATCH:
            try:
                batch.append(self._waiting.get_nowait())
            except queue.Empty:
                break
        return batch

    def _commit_together(self, jobs: list[Waiting]) -> list[Any]:
        """Return each job's result or exception; all of them the same exception where the commit failed."""
        try:
            if self._conn is None:
                self._conn = self._engine.connect()
            self._conn.begin()
            outcomes = self._run_all(Transaction(self._conn), jobs)
            self._durable.commit(self._conn.commit)
        except Exception as error:
            failure = error if isinstance(error, ServerError) else storage_error(error)
            self._reopen()
            return [failure] * len(jobs)
        return outcomes

    def _run_all(self, tx: Transaction, jobs: list[Waiting]) -> list[Any]:
        total: Counter[str] = Counter(fsyncs=self._durable.take_fsyncs())
        outcomes: list[Any] = []
        for write, _ in jobs:
            tx.counts = Counter()
            outcomes.append(_run_one(tx, write) if len(jobs) > 1 else _run_only(tx, write))
            total.update(tx.counts)
        self._save_counts(tx.conn, total)
        return outcomes

    def _reopen(self) -> None:
        """After a failed commit nothing the connection says can be trusted: the next batch opens another."""
        conn, self._conn = self._conn, None
        if conn is not None:
            with suppress(Exception):  # it failed already, and that was reported
                conn.close()

    def _answer(self, jobs: list[Waiting], outcomes: list[Any]) -> None:
        try:
            self._loop.call_soon_threadsafe(_resolve, [future for _, future in jobs], outcomes)
        except RuntimeError:
            return  # the loop is gone, and with it everyone who waited


def _run_only(tx: Transaction, write: Write[Any]) -> Any:
    """Return the result; a failure undoes the whole transaction and begins another."""
    try:
        return write(tx)
    except Exception as error:
        tx.conn.rollback()
        tx.conn.begin()
        tx.counts.clear()
        return storage_error(error) if isinstance(error, sa.exc.DBAPIError) else error


def _run_one(tx: Transaction, write: Write[Any]) -> Any:
    """Return the result, or the exception after undoing what was done for it."""
    raw = tx.conn.connection.driver_connection  # SQLAlchemy compiles a savepoint anew each time, at 50 times the cost
    assert raw is not None
    raw.execute("SAVEPOINT job")
    try:
        result = write(tx)
    except Exception as error:
        raw.execute("ROLLBACK TO job")
        raw.execute("RELEASE job")
        tx.counts.clear()
        return storage_error(error) if isinstance(error, sa.exc.DBAPIError) else error
    raw.execute("RELEASE job")
    return result


def _resolve(futures: list["asyncio.Future[Any]"], outcomes: list[Any]) -> None:
    for future, outcome in zip(futures, outcomes, strict=True):
        if future.done():
            continue
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def storage_error(error: Exception) -> StorageFull | StorageFailed:
    """Return the domain error for a failure of the engine."""
    said = str(getattr(error, "orig", error))  # without the statement, whose parameters may say anything
    failure = StorageFull("No space left for this") if "full" in said else StorageFailed("The database failed")
    failure.__cause__ = error
    return failure
