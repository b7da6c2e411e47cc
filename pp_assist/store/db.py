"""The daemon's database: one file, one writing connection, whole batches per transaction."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any

import aiosqlite

APPLICATION_ID = 0x50504153  # "PPAS"

_PRAGMAS = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA foreign_keys = ON;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
PRAGMA busy_timeout = 10000;
"""

_SCRATCH = """
CREATE TEMP TABLE looked (position INTEGER PRIMARY KEY, path BLOB NOT NULL, whole INTEGER NOT NULL,
    first BLOB NOT NULL, end BLOB NOT NULL, is_part INTEGER NOT NULL, first_path BLOB NOT NULL, end_path BLOB NOT NULL);
CREATE TEMP TABLE asked (position INTEGER NOT NULL, name BLOB NOT NULL, path BLOB NOT NULL);
CREATE TEMP TABLE listed (position INTEGER PRIMARY KEY, directory BLOB NOT NULL, name BLOB NOT NULL);
CREATE TEMP TABLE doubtful (file_id INTEGER PRIMARY KEY, gen INTEGER NOT NULL);
"""
"""Which directories, and which names in them, one transaction of the scanner is about: bytes that SQL can join. Then a
page of what a server has, and the files of which it is not sure yet that it has them (see `reconciling`)."""

Params = Sequence[Any]


class DatabaseDamaged(Exception):
    """The database cannot be trusted; the message says what to do."""


class Database:
    """The connections to one state directory's database. Open with `open_database`."""

    def __init__(self, writer: aiosqlite.Connection, reader: aiosqlite.Connection) -> None:
        self._writer = writer
        self._reader = reader
        self._writing = asyncio.Lock()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """Run the block as one atomic, durable write; roll back on any exception, cancellation included.

        For batches of rows: every await in it costs more than its SQL. Never await the network in it.
        """
        async with self._writing:
            try:
                await self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                await self._writer.commit()
            except BaseException:
                await asyncio.shield(self._writer.rollback())
                raise

    async def rows(self, sql: str, params: Params = ()) -> list[sqlite3.Row]:
        """Return all rows of a query, as of the last commit."""
        return list(await self._reader.execute_fetchall(sql, params))

    async def value(self, sql: str, params: Params = ()) -> Any:
        """Return the first column of the only row of a query, or None without a row."""
        rows = await self.rows(sql, params)
        return rows[0][0] if rows else None

    async def close(self) -> None:
        """Close both connections: an open one would keep the process alive."""
        await self._reader.close()
        await self._writer.close()


@asynccontextmanager
async def open_database(path: str) -> AsyncIterator[Database]:
    """Open (or create) and migrate the database at *path* for the block.

    Raises:
        DatabaseDamaged: it is no database, is damaged, or was written by a newer version.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # private from its first moment on
    writer = await aiosqlite.connect(path, isolation_level=None)
    try:
        try:
            await writer.executescript(_PRAGMAS)
            await _check(writer)
            await migrate(writer)
            await writer.executescript(_SCRATCH)
        except sqlite3.DatabaseError as error:
            raise DatabaseDamaged(f"{path} cannot be used: {error}") from error
        writer.row_factory = sqlite3.Row
        reader = await aiosqlite.connect(f"file:{_uri(path)}?mode=ro", uri=True, isolation_level=None)
        reader.row_factory = sqlite3.Row
        database = Database(writer, reader)
    except BaseException:
        await writer.close()
        raise
    try:
        yield database
    finally:
        await database.close()


def _uri(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


async def _check(conn: aiosqlite.Connection) -> None:
    """Look for damage after an unclean stop: a quarter second per 100 MB."""
    tables = await conn.execute_fetchall("SELECT 1 FROM sqlite_schema WHERE name = 'daemon_state'")
    if not list(tables):
        return
    clean = list(await conn.execute_fetchall("SELECT value FROM daemon_state WHERE name = 'clean_shutdown'"))
    if clean and clean[0][0]:
        return
    problems = list(await conn.execute_fetchall("PRAGMA quick_check(1)"))
    if problems[0][0] != "ok":
        raise DatabaseDamaged(f"the database is damaged ({problems[0][0]}); move it away: a scan builds it anew")


async def migrate(conn: aiosqlite.Connection) -> None:
    """Bring the schema to the newest version, one numbered script and one transaction at a time."""
    (row,) = await conn.execute_fetchall("PRAGMA user_version")
    version = int(row[0])
    scripts = migrations()
    if version > len(scripts):
        raise DatabaseDamaged(f"the database is of a newer version ({version} > {len(scripts)}) of this program")
    for number, sql in enumerate(scripts[version:], start=version + 1):
        stamp = f"PRAGMA user_version = {number}; PRAGMA application_id = {APPLICATION_ID};"
        try:
            await conn.executescript(f"BEGIN IMMEDIATE;\n{sql}\n;{stamp}COMMIT;")
        except BaseException:
            if conn.in_transaction:
                await conn.rollback()
            raise


def migrations() -> list[str]:
    """Return the migration scripts in order: number 1 first."""
    folder = resources.files("pp_assist.store") / "schema"
    return [
        entry.read_text() for entry in sorted(folder.iterdir(), key=lambda e: e.name) if entry.name.endswith(".sql")
    ]
