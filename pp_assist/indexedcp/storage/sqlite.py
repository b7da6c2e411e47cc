"""A storage in one table of an SQLite file. Several tables in one file do not mix.

A row is a key, the dictionary as JSON, when it came and when it last changed (seconds since 1970). Where a dictionary
has a long string of hexadecimal digits under ``data``, as chunks of files do, that lies as bytes in a table beside it,
``TABLE_data``: half the size, and what is noted about a row does not write its bytes again. Pages of 16 KiB (where the
file is new) cost a chunk of 1 MiB half of the processor time that those of 4 KiB do.
"""

import asyncio
import builtins
import errno
import json
import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from pp_assist.indexedcp.logger import create_logger
from pp_assist.indexedcp.storage.base import BaseStorage

T = TypeVar("T")

_TABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_HEX = re.compile(r"(?:[0-9a-f]{2})+", re.ASCII)
_LONG_HEX = 64

_PRAGMAS = """
PRAGMA page_size = 16384;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA trusted_schema = OFF;
PRAGMA secure_delete = OFF;
PRAGMA busy_timeout = 10000;
"""


class SQLiteStorage(BaseStorage):
    """See the module. *connection* is a plain sqlite3 connection while it is open; threads may share it."""

    def __init__(
        self, db_path: str = "./indexedcp.db", table_name: str = "storage", log_level: str | int | None = None
    ) -> None:
        if not _TABLE_NAME.fullmatch(table_name):
            raise ValueError(f"Invalid table name: {table_name!r}")
        self.db_path = os.path.abspath(os.path.expanduser(db_path))
        self.table_name = table_name
        self.logger = create_logger("IndexedCP.Storage", log_level)
        self.connection: sqlite3.Connection | None = None
        self._lock = threading.RLock()
        self._thread: ThreadPoolExecutor | None = None

    async def initialize(self) -> None:
        """See `BaseStorage`."""
        if self.connection is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="indexedcp-db")
            try:
                await self.run(self._open)
            except BaseException:
                await self.close()
                raise

    def _open(self) -> None:
        os.makedirs(os.path.dirname(self.db_path), mode=0o700, exist_ok=True)
        os.close(os.open(self.db_path, os.O_RDWR | os.O_CREAT, 0o600))  # private from its first moment on
        self.connection = sqlite3.connect(self.db_path, isolation_level=None, check_same_thread=False)
        self.connection.executescript(_PRAGMAS)
        with self.transaction() as conn:
            self._create(conn)
        self.logger.debug("opened table %s of %s", self.table_name, self.db_path)

    def _create(self, conn: sqlite3.Connection) -> None:
        table = self.table_name
        conn.execute(
            f"CREATE TABLE IF NOT EXISTS {table} (key TEXT PRIMARY KEY, value TEXT NOT NULL,"
            " created_at REAL NOT NULL, updated_at REAL NOT NULL)"
        )
        conn.execute(f"CREATE TABLE IF NOT EXISTS {table}_data (key TEXT PRIMARY KEY, data BLOB NOT NULL)")
        conn.execute(
            f"CREATE TRIGGER IF NOT EXISTS {table}_forget AFTER DELETE ON {table}"
            f" BEGIN DELETE FROM {table}_data WHERE key = old.key; END"
        )

    @property
    def _joined(self) -> str:
        return f"{self.table_name} t LEFT JOIN {self.table_name}_data USING (key)"

    def begin(self, work: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
        """Have blocking work on the database done in its thread, one after the other; to be awaited, or not."""
        if self._thread is None:
            raise RuntimeError("Storage not initialized. Call initialize() first.")
        return asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        """Return what blocking work on the database returns."""
        return await self.begin(work, *args)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run the block as one atomic, durable write. Blocking.

        Raises:
            OSError: ENOSPC where the disk is full; nothing has changed.
        """
        with self._lock:
            conn = self._opened()
            conn.execute("BEGIN IMMEDIATE")
            try:
                yield conn
                conn.execute("COMMIT")
            except BaseException as error:
                if conn.in_transaction:
                    conn.execute("ROLLBACK")
                if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                    raise OSError(errno.ENOSPC, "No space left for the buffer", self.db_path) from error
                raise

    def rows(self, sql: str, *args: Any) -> builtins.list[Any]:
        """Return all rows of a query. Blocking."""
        with self._lock:
            return self._opened().execute(sql, args).fetchall()

    def _opened(self) -> sqlite3.Connection:
        if self.connection is None:
            raise RuntimeError("Storage not initialized. Call initialize() first.")
        return self.connection

    async def save(self, key: str, data: dict[str, Any]) -> None:
        """See `BaseStorage`. When *key* first came stays as it was."""

        def save() -> None:
            with self.transaction() as conn:
                self.put(conn, key, data)

        await self.run(save)

    def put(self, conn: sqlite3.Connection, key: str, record: dict[str, Any], data: bytes | None = None) -> None:
        """Write one row within a transaction; *data* are the bytes for ``data``, where they are at hand."""
        if data is None:
            record, data = apart(record)
        table, now, name = self.table_name, time.time(), as_text(key)
        conn.execute(
            f"INSERT INTO {table} (key, value, created_at, updated_at) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
            (name, json.dumps(record), now, now),
        )
        if data is None:
            conn.execute(f"DELETE FROM {table}_data WHERE key = ?", (name,))
        else:
            conn.execute(f"INSERT OR REPLACE INTO {table}_data (key, data) VALUES (?, ?)", (name, data))

    async def load(self, key: str) -> dict[str, Any] | None:
        """See `BaseStorage`."""
        found = await self.run(self.rows, f"SELECT value, data FROM {self._joined} WHERE key = ?", as_text(key))
        return together(*found[0]) if found else None

    async def load_all(self) -> builtins.list[dict[str, Any]]:
        """See `BaseStorage`."""
        found = await self.run(self.rows, f"SELECT value, data FROM {self._joined} ORDER BY created_at, t.rowid")
        return [together(value, data) for value, data in found]

    async def delete(self, key: str) -> bool:
        """See `BaseStorage`."""
        return await self.run(self._delete, f"DELETE FROM {self.table_name} WHERE key = ?", as_text(key)) > 0

    async def exists(self, key: str) -> bool:
        """See `BaseStorage`."""
        return bool(await self.run(self.rows, f"SELECT 1 FROM {self.table_name} WHERE key = ?", as_text(key)))

    async def list(self) -> builtins.list[str]:
        """See `BaseStorage`."""
        found = await self.run(self.rows, f"SELECT key FROM {self.table_name} ORDER BY created_at, rowid")
        return [from_text(key) for (key,) in found]

    async def count(self) -> int:
        """Return how many keys there are."""
        [(number,)] = await self.run(self.rows, f"SELECT COUNT(*) FROM {self.table_name}")
        return int(number)

    async def cleanup_old(self, max_age_seconds: float) -> int:
        """Forget what came longer ago than that; return how many."""
        sql = f"DELETE FROM {self.table_name} WHERE created_at < ?"
        return await self.run(self._delete, sql, time.time() - max_age_seconds)

    def _delete(self, sql: str, *args: Any) -> int:
        with self.transaction() as conn:
            return conn.execute(sql, args).rowcount

    async def close(self) -> None:
        """See `BaseStorage`."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(thread, self._close)
            thread.shutdown()

    def _close(self) -> None:
        with self._lock:
            conn, self.connection = self.connection, None
            if conn is not None:
                conn.close()


def apart(record: dict[str, Any]) -> tuple[dict[str, Any], bytes | None]:
    """Return *record* without a long hexadecimal ``data``, and that as bytes."""
    data = record.get("data")
    if isinstance(data, str) and len(data) >= _LONG_HEX and _HEX.fullmatch(data):
        return {**record, "data": None}, bytes.fromhex(data)
    return record, None


def together(value: str, data: bytes | None) -> dict[str, Any]:
    """Return what `apart` took apart."""
    record: dict[str, Any] = json.loads(value)
    if data is not None:
        record["data"] = data.hex()
    return record


def as_text(key: str) -> str | bytes:
    """Return *key* as it lies in the database: a file name that is no Unicode is bytes there."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return key.encode("utf-8", "surrogateescape")
    return key


def from_text(key: str | bytes) -> str:
    """Return what `as_text` stored."""
    return key if isinstance(key, str) else key.decode("utf-8", "surrogateescape")
