"""What became of each file of a drop folder, durably, in a database of its own; and what is to be announced (`outbox`).

One transaction each: a file is in exactly one state and, once settled, in exactly one announcement. Blocking; may be
used from many threads.
"""

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from enum import StrEnum
from typing import NamedTuple
from uuid import uuid4

from pp_assist.sftp.polling import Seen

log = logging.getLogger(__name__)

KEEP_MS = 90 * 86_400_000
"""What was announced and is not on the SFTP server any more is remembered for that long."""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_SCHEMA = """
-- One version of one file that arrived in a drop folder. Its id goes with it to whoever is told of it.
CREATE TABLE IF NOT EXISTS arrivals (
    id            TEXT PRIMARY KEY,
    source        TEXT    NOT NULL,  -- the drop folder
    name          BLOB    NOT NULL,  -- below it
    size_bytes    INTEGER NOT NULL,
    mtime_s       INTEGER NOT NULL,
    state         TEXT    NOT NULL,
    target        BLOB,              -- where it is moved to on the SFTP server, written down before it is
    is_left       INTEGER NOT NULL DEFAULT 0,  -- 1: it stays there, and is known by this row
    sha256        TEXT,              -- of its receipt
    batch         TEXT REFERENCES outbox (id),
    changed_at_ms INTEGER NOT NULL
) STRICT;

DROP INDEX IF EXISTS arrivals_open;
CREATE INDEX IF NOT EXISTS arrivals_by_state ON arrivals (source, state, batch);
CREATE INDEX IF NOT EXISTS arrivals_left ON arrivals (source, name) WHERE is_left = 1;
CREATE INDEX IF NOT EXISTS arrivals_named ON arrivals (source, name);

-- An announcement, exactly as it is sent each time.
CREATE TABLE IF NOT EXISTS outbox (
    id             TEXT PRIMARY KEY,
    source         TEXT    NOT NULL,
    url            TEXT    NOT NULL,
    secret         TEXT    NOT NULL,
    body           BLOB    NOT NULL,
    created_at_ms  INTEGER NOT NULL,
    attempts       INTEGER NOT NULL DEFAULT 0,
    eligible_at_ms INTEGER NOT NULL,
    problem        TEXT,
    sent_at_ms     INTEGER
) STRICT;

CREATE INDEX IF NOT EXISTS outbox_due ON outbox (eligible_at_ms) WHERE sent_at_ms IS NULL;
"""


class State(StrEnum):
    """How far a file has come."""

    FOUND = "found"  # complete, to be fetched
    FETCHED = "fetched"  # here; the server's receipt is awaited
    STORED = "stored"  # the receipt is there: now it may be moved or removed
    MOVING = "moving"  # it is being moved, or was
    SETTLED = "settled"  # to be announced, or announced


OPEN = "state IN ('found', 'fetched', 'stored', 'moving')"
_UNTOUCHED = f"{OPEN} AND target IS NULL"


class Arrival(NamedTuple):
    """A row of `arrivals`."""

    id: str
    name: bytes
    seen: Seen
    state: State
    target: bytes | None
    sha256: str | None


class Ledger:
    """The database."""

    def __init__(self, path: str) -> None:
        self._lock = threading.RLock()
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        try:
            self._conn = _opened(path)
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
                raise  # the disk is full, somebody else has it: what is in it is as good as before
            aside = f"{path}.damaged-{time.time_ns()}"
            log.error("%s is damaged (%s) and begun anew: what is left of it is %s", path, error, aside)
            for suffix in ("-wal", "-shm", ""):
                with suppress(FileNotFoundError):
                    os.replace(path + suffix, aside + suffix)
            self._conn = _opened(path)
        with self.transaction() as tx:
            before_ms = now_ms() - KEEP_MS
            tx.execute(_FORGET_SETTLED, (before_ms,))
            tx.execute(
                "DELETE FROM outbox WHERE sent_at_ms < ? AND id NOT IN"
                " (SELECT batch FROM arrivals WHERE batch IS NOT NULL)",
                (before_ms,),
            )

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run the block as one durable write."""
        with self._lock:
            self._conn.execute("BEGIN IMMEDIATE")
            try:
                yield self._conn
                self._conn.execute("COMMIT")
            except BaseException:
                if self._conn.in_transaction:
                    self._conn.execute("ROLLBACK")
                raise

    def rows(self, sql: str, params: Sequence[object] = ()) -> list[sqlite3.Row]:
        """Return what a question finds."""
        with self._lock, closing(self._conn.execute(sql, params)) as cursor:
            return cursor.fetchall()

    def close(self) -> None:
        """Close it."""
        with self._lock:
            self._conn.close()

    # -- arrivals

    def add(self, source: str, files: Iterable[tuple[bytes, Seen]], state: State = State.FOUND) -> None:
        """Write down that files are complete."""
        with self.transaction() as tx:
            tx.executemany(
                "INSERT INTO arrivals (id, source, name, size_bytes, mtime_s, state, changed_at_ms)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(uuid4().hex, source, name, *seen, state, now_ms()) for name, seen in files],
            )

    def open(self, source: str) -> list[Arrival]:
        """Return what is not settled yet, in the order of its coming."""
        return self._some(f"source = ? AND {OPEN}", (source,))

    def open_count(self, source: str) -> int:
        """Return how many files are not settled yet."""
        [(count,)] = self.rows(f"SELECT COUNT(*) FROM arrivals WHERE source = ? AND {OPEN}", (source,))  # noqa: S608
        return int(count)

    def last(self, source: str, name: bytes) -> Arrival | None:
        """Return what became of the last version of a file that arrived."""
        return next(reversed(self._some("source = ? AND name = ?", (source, name))), None)

    def in_state(self, source: str, state: State) -> list[Arrival]:
        """Return what is in a state, in the order of its coming."""
        return self._some("source = ? AND state = ?", (source, state))

    def unannounced(self, source: str) -> list[Arrival]:
        """Return what is settled, and in no announcement."""
        return self._some("source = ? AND state = 'settled' AND batch IS NULL", (source,))

    def left(self, source: str) -> dict[bytes, Seen]:
        """Return what stays on the SFTP server although it is dealt with."""
        sql = "SELECT name, size_bytes, mtime_s FROM arrivals WHERE source = ? AND is_left = 1 ORDER BY rowid"
        return {row[0]: Seen(row[1], row[2]) for row in self.rows(sql, (source,))}

    def still_left(self, source: str, names: Iterable[bytes]) -> None:
        """Note which of the files that stay on the SFTP server are there still; forget what has long been gone."""
        with self.transaction() as tx:
            tx.executemany(
                "UPDATE arrivals SET changed_at_ms = ? WHERE source = ? AND name = ? AND is_left = 1",
                [(now_ms(), source, name) for name in names],
            )
            gone = (source, now_ms() - KEEP_MS)
            tx.execute("UPDATE arrivals SET is_left = 0 WHERE source = ? AND is_left = 1 AND changed_at_ms < ?", gone)

    def counts(self, source: str) -> dict[str, int]:
        """Return how many there are in each state."""
        found = dict.fromkeys((state.value for state in State), 0)
        sql = "SELECT state, COUNT(*) FROM arrivals WHERE source = ? GROUP BY state"
        return found | {row[0]: row[1] for row in self.rows(sql, (source,))}

    def advance(self, ids: Iterable[str], state: State) -> None:
        """Note that files have come that far."""
        with self.transaction() as tx:
            tx.executemany(
                "UPDATE arrivals SET state = ?, changed_at_ms = ? WHERE id = ?",
                [(state, now_ms(), each) for each in ids],
            )

    def stored(self, digests: Iterable[tuple[str, str]]) -> None:
        """Note, as (id, SHA-256), that the server has given its receipt."""
        with self.transaction() as tx:
            tx.executemany(
                "UPDATE arrivals SET state = 'stored', sha256 = ?, changed_at_ms = ? WHERE id = ?",
                [(digest, now_ms(), each) for each, digest in digests],
            )

    def moving(self, arrival: str, target: bytes | None) -> None:
        """Note where a file is about to be moved; None: it did not go there."""
        with self.transaction() as tx:
            tx.execute(
                "UPDATE arrivals SET state = 'moving', target = ?, changed_at_ms = ? WHERE id = ?",
                (target, now_ms(), arrival),
            )

    def settle(self, ids: Iterable[str], is_left: bool = False, moved: bool = False) -> None:
        """Note that nothing is left to be done with files on the SFTP server."""
        ids = list(ids)
        with self.transaction() as tx:
            if is_left:
                tx.executemany(_EARLIER_IS_NOT_LEFT, [(each,) for each in ids])
            tx.executemany(
                "UPDATE arrivals SET state = 'settled', is_left = ?, changed_at_ms = ?,"
                " target = CASE WHEN ? THEN target END WHERE id = ?",
                [(is_left, now_ms(), moved, each) for each in ids],
            )

    def forget(self, ids: Iterable[str]) -> None:
        """Forget files that were not ours after all: another version is there, or none."""
        with self.transaction() as tx:
            tx.executemany("DELETE FROM arrivals WHERE id = ?", [(each,) for each in ids])

    def forget_open(self, source: str, but: Iterable[str] = ()) -> None:
        """Forget what of a source is not settled, but those ids: nothing was done about it on the SFTP server.

        Where something was begun, it is found once more, with where it went.
        """
        kept = set(but)
        with self.transaction() as tx:
            rows = tx.execute(f"SELECT id FROM arrivals WHERE source = ? AND {_UNTOUCHED}", (source,))  # noqa: S608
            gone = [(row[0],) for row in rows if row[0] not in kept]
            tx.executemany("DELETE FROM arrivals WHERE id = ?", gone)
            tx.execute(_FOUND_ONCE_MORE, (source,))

    def _some(self, where: str, params: Sequence[object]) -> list[Arrival]:
        sql = f"SELECT id, name, size_bytes, mtime_s, state, target, sha256 FROM arrivals WHERE {where} ORDER BY rowid"  # noqa: S608
        return [
            Arrival(row[0], row[1], Seen(row[2], row[3]), State(row[4]), row[5], row[6])
            for row in self.rows(sql, params)
        ]


_EARLIER_IS_NOT_LEFT = """
UPDATE arrivals SET is_left = 0
WHERE is_left = 1 AND (source, name) = (SELECT source, name FROM arrivals WHERE id = ?)"""
_FOUND_ONCE_MORE = "UPDATE arrivals SET state = 'found' WHERE source = ? AND state = 'moving'"
_FORGET_SETTLED = """
DELETE FROM arrivals WHERE state = 'settled' AND is_left = 0 AND changed_at_ms < ?
AND (batch IS NULL OR batch IN (SELECT id FROM outbox WHERE sent_at_ms IS NOT NULL))"""


def now_ms() -> int:
    """Return milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def _opened(path: str) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    conn = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    try:
        conn.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")
        if (said := conn.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            damage = sqlite3.DatabaseError(said)
            damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise damage
        conn.executescript(_SCHEMA)
    except BaseException:
        conn.close()
        raise
    return conn
