"""The newest of what happened, kept for a while."""

import json
import sqlite3
from collections.abc import Sequence

import aiosqlite

from pp_assist.core.events import Event, Happened
from pp_assist.store.db import Database

MOST_KEPT = 10_000

_ADD = """
INSERT INTO activity (id, at_ms, event, root_id, filepath, count, message, details) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO NOTHING"""
_PRUNE = "DELETE FROM activity WHERE id <= (SELECT id FROM activity ORDER BY id DESC LIMIT 1 OFFSET ?)"
_RESERVED = "SELECT value FROM daemon_state WHERE name = 'activity_id'"
_RESERVE = "UPDATE daemon_state SET value = ? WHERE name = 'activity_id'"
_COLUMNS = "id, at_ms, event, root_id, filepath, count, message, details"
_NEWEST = f"SELECT {_COLUMNS} FROM activity WHERE (?1 IS NULL OR event = ?1) ORDER BY id DESC LIMIT ?2"  # noqa: S608
_AFTER = f"""
SELECT {_COLUMNS} FROM activity WHERE id > ?3 AND (?1 IS NULL OR event = ?1) ORDER BY id LIMIT ?2"""  # noqa: S608
_OF_PATH = f"SELECT {_COLUMNS} FROM activity WHERE filepath = ? ORDER BY id DESC LIMIT ?"  # noqa: S608 - constants
_COUNT = "SELECT COUNT(*) FROM activity WHERE ?1 IS NULL OR event = ?1"


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


async def newest(db: Database, event: Event | None, limit: int) -> list[Happened]:
    """Return the newest, newest first."""
    return [_happened(row) for row in await db.rows(_NEWEST, (event, limit))]


async def after(db: Database, last_id: int, event: Event | None, limit: int) -> list[Happened]:
    """Return the oldest after *last_id*, oldest first."""
    return [_happened(row) for row in await db.rows(_AFTER, (event, limit, last_id))]


async def of_path(db: Database, filepath: bytes, limit: int) -> list[Happened]:
    """Return the newest that name a path, newest first: of many that went together, only the first is named."""
    return [_happened(row) for row in await db.rows(_OF_PATH, (filepath, limit))]


async def total(db: Database, event: Event | None) -> int:
    """Return how many are kept."""
    return int(await db.value(_COUNT, (event,)))


def _happened(row: sqlite3.Row) -> Happened:
    happened_id, at_ms, event, root_id, filepath, count, message, details = tuple(row)
    return Happened(happened_id, at_ms, Event(event), root_id, filepath, count, message, json.loads(details))
