"""The daemon's database: one file, one writing connection, whole batches per transaction."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
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


class DatabaseUnusable(Exception):
    """The database cannot be used as it is; the message says why."""


class DatabaseDamaged(DatabaseUnusable):
    """What is in the file is not, or not wholly, what was written there."""


class Database:
    """The connections to one state directory's database. Open with `open_database`."""

    def __init__(self, path: str, writer: aiosqlite.Connection, reader: aiosqlite.Connection) -> None:
        self._path = path
        self._writer = writer
        self._reader = reader
        self._idle_readers: list[sqlite3.Connection] = []
        self._is_closed = False
        self._writing = asyncio.Lock()
        self.damaged = asyncio.Event()
        """Set when damage comes to light while it is used; `damage` says what."""
        self.damage = ""
        self.commits = 0
        """Grows with everything that is written."""
        self.when_settings_change: Callable[[], Awaitable[None]] = _nothing
        """Called after each change of what a person told the daemon: see `keepsake`."""

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
                self.commits += 1
            except BaseException as error:
                self._note(error)
                with suppress(sqlite3.DatabaseError):  # what began all this is more telling
                    await asyncio.shield(self._writer.rollback())
                raise

    async def rows(self, sql: str, params: Params = ()) -> list[sqlite3.Row]:
        """Return all rows of a query, as of the last commit."""
        with self.damage_noted():
            return list(await self._reader.execute_fetchall(sql, params))

    async def value(self, sql: str, params: Params = ()) -> Any:
        """Return the first column of the only row of a query, or None without a row."""
        rows = await self.rows(sql, params)
        return rows[0][0] if rows else None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the block a connection that only reads, for one thread at a time, and blocks that thread."""
        conn = self._idle_readers.pop() if self._idle_readers else _reading(self._path)
        try:
            yield conn
        finally:
            if self._is_closed:
                conn.close()
            else:
                self._idle_readers.append(conn)

    @contextmanager
    def damage_noted(self) -> Iterator[None]:
        """Note damage that comes to light in the block."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            self._note(error)
            raise

    def _note(self, error: BaseException) -> None:
        if is_damage(error):
            self.damage = f"the database is damaged ({error})"
            self.damaged.set()

    async def close(self) -> None:
        """Close all connections: an open one would keep the process alive."""
        self._is_closed = True
        while self._idle_readers:
            self._idle_readers.pop().close()
        await self._reader.close()
        await self._writer.close()


@asynccontextmanager
async def open_database(path: str) -> AsyncIterator[Database]:
    """Open (or create) and migrate the database at *path* for the block.

    Raises:
        DatabaseDamaged: it is no database, not ours, or damaged.
        DatabaseUnusable: it was written by a newer version, or a migration failed.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # private from its first moment on
    writer = await aiosqlite.connect(path, isolation_level=None)
    try:
        try:
            await _check_ours(writer)
            await writer.executescript(_PRAGMAS)
            await _check(writer)
            await migrate(writer)
            await writer.executescript(_SCRATCH)
        except sqlite3.DatabaseError as error:
            kind = DatabaseDamaged if is_damage(error) else DatabaseUnusable
            raise kind(f"{path} cannot be used: {error}") from error
        writer.row_factory = sqlite3.Row
        reader = await aiosqlite.connect(_read_only(path), uri=True, isolation_level=None)
        reader.row_factory = sqlite3.Row
        database = Database(path, writer, reader)
    except BaseException:
        await writer.close()
        raise
    try:
        yield database
    finally:
        await database.close()


def is_damage(error: BaseException) -> bool:
    """Say whether *error* means that something else is in the file than was written there."""
    if not isinstance(error, sqlite3.DatabaseError):
        return False
    if "JSON cannot hold BLOB" in str(error):
        return True  # see `bulk`: bytes where we only ever wrote text and numbers
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return "decode to UTF-8" in str(error)  # Python's own: text that we never wrote
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


async def _nothing() -> None:
    pass


def _reading(path: str) -> sqlite3.Connection:
    return sqlite3.connect(_read_only(path), uri=True, isolation_level=None, check_same_thread=False)


def _read_only(path: str) -> str:
    return f"file:{uri_of(path)}?mode=ro"


def uri_of(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


async def _check_ours(conn: aiosqlite.Connection) -> None:
    """Make sure, before anything is changed, that it is new or one of ours."""
    ((application,),) = await conn.execute_fetchall("PRAGMA application_id")
    ((tables,),) = await conn.execute_fetchall("SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table'")
    if application != APPLICATION_ID and (tables or application):
        raise DatabaseDamaged("what stands in the place of the database is another one")


async def _check(conn: aiosqlite.Connection) -> None:
    """Look for damage after an unclean stop: a quarter second per 100 MB."""
    if not list(await conn.execute_fetchall("SELECT 1 FROM sqlite_schema WHERE name = 'daemon_state'")):
        if (await _version(conn)) > 0:
            raise DatabaseDamaged("the database has lost its tables")
        return
    clean = list(await conn.execute_fetchall("SELECT value FROM daemon_state WHERE name = 'clean_shutdown'"))
    if clean and clean[0][0]:
        return
    problems = list(await conn.execute_fetchall("PRAGMA quick_check(1)"))
    if problems[0][0] != "ok":
        raise DatabaseDamaged(f"the database is damaged ({problems[0][0]})")


async def migrate(conn: aiosqlite.Connection) -> None:
    """Bring the schema to the newest version, one numbered script and one transaction at a time.

    Foreign keys are off meanwhile: where a table is built anew, dropping the old one must not take other rows along.
    """
    version = await _version(conn)
    scripts = migrations()
    if version > len(scripts):
        raise DatabaseUnusable(f"the database is of a newer version ({version} > {len(scripts)}) of this program")
    await conn.execute("PRAGMA foreign_keys = OFF")
    for number, sql in enumerate(scripts[version:], start=version + 1):
        stamp = f"PRAGMA user_version = {number}; PRAGMA application_id = {APPLICATION_ID};"
        try:
            await conn.executescript(f"BEGIN IMMEDIATE;\n{sql}\n;{stamp}COMMIT;")
        except BaseException:
            if conn.in_transaction:
                await conn.rollback()
            raise
    await conn.execute("PRAGMA foreign_keys = ON")


async def _version(conn: aiosqlite.Connection) -> int:
    (row,) = await conn.execute_fetchall("PRAGMA user_version")
    return int(row[0])


def migrations() -> list[str]:
    """Return the migration scripts in order: number 1 first."""
    folder = resources.files("pp_assist.store") / "schema"
    return [
        entry.read_text() for entry in sorted(folder.iterdir(), key=lambda e: e.name) if entry.name.endswith(".sql")
    ]
