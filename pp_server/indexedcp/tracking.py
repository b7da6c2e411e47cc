"""What arrived, in an SQLite file that may lie in the upload folder, and may be deleted at any time.

What runs is in memory, too: where the file is gone, or is another one, a new one is written from there. Whatever waits
is committed together, so that a sync is shared.
"""

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from pp_server.core.errors import StorageFailed, StorageFull
from pp_server.durable import Durable

log = logging.getLogger(__name__)

Statement = tuple[str, tuple[Any, ...]]

SCHEMA = """
-- One upload of one file. Times are milliseconds since 1970; parts are the path below the folder, one component a line.
CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL, tag TEXT,
    parts TEXT NOT NULL, device INTEGER NOT NULL, inode INTEGER NOT NULL,
    chunk_bytes INTEGER, total_chunks INTEGER, file_sha256 TEXT,
    started_ms INTEGER NOT NULL, finished_ms INTEGER, size_bytes INTEGER, kept INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS uploads_by_name ON uploads (name, owner, tag);
-- One chunk that is on disk: where in the file, or (-1) in a file of its own until that is known.
CREATE TABLE IF NOT EXISTS chunks (
    upload TEXT NOT NULL, number INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,
    sha256 BLOB NOT NULL, PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;
-- What somebody called received, whether it was or not.
CREATE TABLE IF NOT EXISTS marks (name TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (name, number)) STRICT,
WITHOUT ROWID;
"""

_PRAGMAS = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000;"


class _Waiting:
    """Statements that somebody wants committed."""

    def __init__(self, statements: Iterable[Statement]) -> None:
        self.statements = list(statements)
        self.is_done = False
        self.error: Exception | None = None


class Tracking:
    """The database. *everything* says what must be in a new one. Blocking; for many threads."""

    def __init__(self, path: str, durable: Durable, everything: Callable[[], list[Statement]]) -> None:
        self.path = os.path.abspath(path)
        self._durable = durable
        self._everything = everything
        self._conn: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None
        self._queue: list[_Waiting] = []
        self._queueing = threading.Lock()
        self._committing = threading.RLock()

    def rows(self, sql: str, args: tuple[Any, ...] = ()) -> list[Any]:
        """Return all rows of a query."""
        with self._committing:
            return self._opened().execute(sql, args).fetchall()

    def write(self, statements: Iterable[Statement]) -> None:
        """Return once all of these are durable, or raise with none of them done.

        Raises:
            StorageFull, StorageFailed: the database cannot take it.
        """
        mine = _Waiting(statements)
        with self._queueing:
            self._queue.append(mine)
        with self._committing:
            if not mine.is_done:
                with self._queueing:
                    batch, self._queue = self._queue, []
                self._commit(batch)
        if mine.error is not None:
            raise mine.error

    def _commit(self, batch: list[_Waiting]) -> None:
        error: Exception | None = None
        try:
            conn = self._opened()
            conn.execute("BEGIN IMMEDIATE")
            try:
                for waiting in batch:
                    for sql, args in waiting.statements:
                        conn.execute(sql, args)
                self._durable.commit(conn.commit)
            except BaseException:
                if conn.in_transaction:
                    conn.execute("ROLLBACK")
                raise
        except sqlite3.Error as failed:
            full = getattr(failed, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
            error = StorageFull("No space left for the records") if full else StorageFailed("The records failed")
            error.__cause__ = failed
        except (StorageFull, StorageFailed) as failed:
            error = failed
        for waiting in batch:
            waiting.is_done, waiting.error = True, error

    def _opened(self) -> sqlite3.Connection:
        if self._conn is not None:
            if self._on_disk() == self._inode:
                return self._conn
            self._close()
            self._remove_journals()
            conn = self._open()
            self._fill(conn)
            return conn
        return self._open()

    def _on_disk(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def _remove_journals(self) -> None:
        """Those of a database that is gone mean nothing to the next one."""
        if not os.path.exists(self.path):
            for suffix in ("-wal", "-shm"):
                with suppress(FileNotFoundError):
                    os.unlink(self.path + suffix)

    def _open(self) -> sqlite3.Connection:
        try:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600))
            conn = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        except OSError as error:
            raise StorageFailed("The records cannot be opened") from error
        try:
            conn.executescript(_PRAGMAS + SCHEMA)
            self._durable.sync_dir(os.path.dirname(self.path))
        except sqlite3.DatabaseError as error:
            conn.close()
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise StorageFailed("The records cannot be used") from error
            aside = f"{self.path}.damaged-{time.time_ns()}"
            log.error("the records were damaged: they lie in %s now, and new ones begin", aside)
            os.rename(self.path, aside)
            return self._open()
        except BaseException:
            conn.close()
            raise
        self._conn, self._inode = conn, self._on_disk()
        return conn

    def _fill(self, conn: sqlite3.Connection) -> None:
        conn.execute("BEGIN IMMEDIATE")
        for sql, args in self._everything():
            conn.execute(sql, args)
        conn.execute("COMMIT")

    def close(self) -> None:
        """Let go of it; the next use opens it again."""
        with self._committing:
            self._close()

    def _close(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = self._inode = None
