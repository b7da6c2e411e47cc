"""What a person told the daemon (watched folders, servers, whom to trust there), to be had again without the database.

A copy of it lies beside the database and is renewed with each change. Everything else in the database is found again by
looking at the disk and at the server.
"""

import base64
import hashlib
import json
import logging
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import aiosqlite

from pp_assist.store.db import Database, uri_of

log = logging.getLogger(__name__)

COLUMNS = {
    "servers": ("id", "name", "url", "username", "api_key", "is_default", "created_at_ms", "fingerprint", "ca_file"),
    "roots": (
        "id",
        "path",
        "shown",
        "recursive",
        "enabled",
        "device",
        "inode",
        "created_at_ms",
        "policy",
        "exclude",
        "file_system",
    ),
    "drop_folders": (
        "root_id",
        "password",
        "key_file",
        "passphrase",
        "host_key",
        "known_hosts",
        "after",
        "in_progress",
        "patterns",
        "interval_s",
        "rest_s",
        "announce",
    ),
    "receipt_keys": ("server_id", "key_id", "public_key", "trusted_by", "first_seen_ms"),
    "forgotten_roots": ("shown", "gen"),
    "excludes": ("id", "pattern", "created_at_ms"),
}
"""In an order in which they can be filled."""

_STANDING = {"servers": {"state": "ok"}, "roots": {"status": "healthy"}}
_VERSION = "SELECT value FROM daemon_state WHERE name = 'settings'"
_CHANGED = "UPDATE daemon_state SET value = value + 1 WHERE name = 'settings'"
_SET_VERSION = "UPDATE daemon_state SET value = MAX(value, ?) WHERE name = 'settings'"
_TOPS = "INSERT INTO directories (root_id, parent_id, path) SELECT id, NULL, x'' FROM roots"

Rows = list[dict[str, Any]]


@dataclass(slots=True)
class Keepsake:
    """All of it."""

    version: int = 0
    """Grows with each change; 0 also where not all could be read."""
    tables: dict[str, Rows] = field(default_factory=dict)


async def changed(tx: aiosqlite.Connection) -> None:
    """Note, in the transaction of the change, that the copy is to be renewed."""
    await tx.execute(_CHANGED)


async def read(db: Database) -> Keepsake:
    """Return what is in the database."""
    tables = {
        table: [dict(row) for row in await db.rows(f"SELECT {', '.join(columns)} FROM {table}")]  # noqa: S608 - constants
        for table, columns in COLUMNS.items()
    }
    return Keepsake(int(await db.value(_VERSION)), tables)


async def version(db: Database) -> int:
    """Return the number that grows with each change."""
    return int(await db.value(_VERSION))


def salvage(path: str) -> Keepsake:
    """Return what can still be read of the damaged database at *path*. Blocking."""
    found = Keepsake()
    if not os.path.exists(path):
        return found
    try:
        with closing(sqlite3.connect(f"file:{uri_of(path)}?mode=ro", uri=True)) as conn:
            conn.row_factory = sqlite3.Row
            whole = [_read_table(conn, table, columns, found) for table, columns in COLUMNS.items()]
            if all(whole):
                found.version = int(conn.execute(_VERSION).fetchone()[0])
    except (sqlite3.Error, TypeError, ValueError) as error:
        log.warning("not all of the damaged database can be read: %s", error)
    return found


def _read_table(conn: sqlite3.Connection, table: str, columns: tuple[str, ...], found: Keepsake) -> bool:
    """Add the rows of a table as far as they can be read; an older schema has fewer columns. False: not all."""
    rows = found.tables[table] = []
    try:
        there = {row["name"] for row in conn.execute(f"PRAGMA table_info({table})")}
        if wanted := ", ".join(column for column in columns if column in there):
            rows.extend(dict(row) for row in conn.execute(f"SELECT {wanted} FROM {table}"))  # noqa: S608 - constants
    except (sqlite3.Error, ValueError) as error:
        log.warning("of %s, only %d can be read in the damaged database: %s", table, len(rows), error)
        return False
    return True


async def restore(tx: aiosqlite.Connection, kept: Keepsake) -> None:
    """Write it into a new database; what cannot be meant is left out, and said."""
    for table, columns in COLUMNS.items():
        standing = _STANDING.get(table, {})
        for row in kept.tables.get(table, []):
            values = {column: row[column] for column in columns if column in row} | standing
            sql = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})"  # noqa: S608
            try:
                await tx.execute(sql, tuple(values.values()))
            except sqlite3.Error as error:
                log.error("a row of %s makes no sense any more, and is lost: %s", table, error)
    await tx.execute(_TOPS)
    await tx.execute(_SET_VERSION, (kept.version,))


def to_text(kept: Keepsake) -> str:
    """Return *kept* as ASCII text that `from_text` can tell from anything damaged."""
    tables = {
        table: [{name: _encoded(value) for name, value in row.items()} for row in rows]
        for table, rows in kept.tables.items()
    }
    body = json.dumps({"version": kept.version, "tables": tables})
    return f"{hashlib.sha256(body.encode()).hexdigest()}\n{body}\n"


def from_text(text: str) -> Keepsake | None:
    """Return what *text* stands for, or None where it is not whole."""
    digest, _, rest = text.partition("\n")
    body = rest.removesuffix("\n")
    if hashlib.sha256(body.encode()).hexdigest() != digest:
        return None
    told = json.loads(body)
    tables = {
        table: [{name: _decoded(value) for name, value in row.items()} for row in rows]
        for table, rows in told["tables"].items()
    }
    return Keepsake(told["version"], tables)


def _encoded(value: Any) -> Any:
    return {"b64": base64.b64encode(value).decode("ascii")} if isinstance(value, bytes) else value


def _decoded(value: Any) -> Any:
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value
