"""The newest of what happened, kept for a while."""

import json
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

import aiosqlite

from pp_assist.core.events import Event, Happened
from pp_assist.store.db import Database
from pp_assist.store.search import contains

MOST_KEPT = 10_000

_ADD = """
INSERT INTO activity (id, at_ms, event, root_id, filepath, count, message, details) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO NOTHING"""
_PRUNE = "DELETE FROM activity WHERE id <= (SELECT id FROM activity ORDER BY id DESC LIMIT 1 OFFSET ?)"
_RESERVED = "SELECT value FROM daemon_state WHERE name = 'activity_id'"
_RESERVE = "UPDATE daemon_state SET value = ? WHERE name = 'activity_id'"
_COLUMNS = "id, at_ms, event, root_id, filepath, count, message, details"
_IS = """
(?1 IS NULL OR event IN (SELECT value FROM json_each(?1))) AND (?2 IS NULL OR root_id = ?2)
AND (?3 IS NULL OR CAST(filepath AS TEXT) LIKE ?3 ESCAPE '!' OR message LIKE ?3 ESCAPE '!')"""
_NEWEST = f"SELECT {_COLUMNS} FROM activity WHERE id < ?4 AND {_IS} ORDER BY id DESC LIMIT ?5"  # noqa: S608
_AFTER = f"SELECT {_COLUMNS} FROM activity WHERE id > ?4 AND {_IS} ORDER BY id LIMIT ?5"  # noqa: S608
_OF_PATH = f"SELECT {_COLUMNS} FROM activity WHERE filepath = ? ORDER BY id DESC LIMIT ?"  # noqa: S608 - constants
_COUNT = f"SELECT COUNT(*) FROM activity WHERE {_IS}"  # noqa: S608 - constants


class About(NamedTuple):
    """Which of it is wanted."""

    events: frozenset[Event] | None = None
    root_id: int | None = None
    text: str | None = None
    """Part of the path or of the message; letters of ASCII match in either case."""

    @property
    def values(self) -> tuple[object, ...]:
        """What the statements are given."""
        return (
            None if self.events is None else json.dumps(sorted(self.events)),
            self.root_id,
            None if self.text is None else contains(self.text),
        )


async def keep(tx: aiosqlite.Connection, events: Sequence[Happened]) -> None:
    """Keep *events*, and forget the oldest. What is kept already stays: two may write down the same at a time, and one
    who was cancelled does not know whether it was written.
    """
    rows = [(e.id, e.at_ms, e.event, e.root_id, e.filepath, e.count, e.message, json.dumps(e.details)) for e in events]
    await tx.executemany(_ADD, rows)
    await tx.execute(_PRUNE, (MOST_KEPT,))


async def reserve(tx: aiosqlite.Connection, below_id: int) -> None:
    """Note that ids below *below_id* may be in use: the next start begins with it."""
    await tx.execute(_RESERVE, (below_id,))


async def first_free_id(db: Database) -> int:
    """Return the first id that no start has used."""
    return int(await db.value(_RESERVED))


async def newest(db: Database, about: About, limit: int, before_id: int = 2**63 - 1) -> list[Happened]:
    """Return the newest before *before_id*, newest first."""
    return [_happened(row) for row in await db.rows(_NEWEST, (*about.values, before_id, limit))]


async def after(db: Database, last_id: int, about: About, limit: int) -> list[Happened]:
    """Return the oldest after *last_id*, oldest first."""
    return [_happened(row) for row in await db.rows(_AFTER, (*about.values, last_id, limit))]


async def of_path(db: Database, filepath: bytes, limit: int) -> list[Happened]:
    """Return the newest that name a path, newest first: of many that went together, only the first is named."""
    return [_happened(row) for row in await db.rows(_OF_PATH, (filepath, limit))]


async def total(db: Database, about: About) -> int:
    """Return how many are kept."""
    return int(await db.value(_COUNT, about.values))


def _happened(row: sqlite3.Row) -> Happened:
    happened_id, at_ms, event, root_id, filepath, count, message, details = tuple(row)
    return Happened(happened_id, at_ms, Event(event), root_id, filepath, count, message, json.loads(details))
