"""Patterns that a person added while the daemon runs, of what is left out in every watched folder."""

import sqlite3
from typing import NamedTuple

from pp_assist.store import keepsake
from pp_assist.store.db import Database

_ALL = "SELECT id, pattern, created_at_ms FROM excludes ORDER BY id"
_ADD = "INSERT INTO excludes (pattern, created_at_ms) VALUES (?, ?) RETURNING id"
_REMOVE = "DELETE FROM excludes WHERE id = ?"


class DuplicatePattern(Exception):
    """The pattern is there already."""


class Exclude(NamedTuple):
    """One of them."""

    id: int
    pattern: str
    created_at_ms: int


class ExcludesTable:
    """Adds, lists and removes patterns."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def all(self) -> list[Exclude]:
        """Return all, oldest first: later ones win."""
        return [Exclude(*row) for row in await self._db.rows(_ALL)]

    async def add(self, pattern: str, now_ms: int) -> Exclude:
        """Add a pattern, which was checked.

        Raises:
            DuplicatePattern: it is there already.
        """
        try:
            async with self._db.transaction() as tx:
                row = await (await tx.execute(_ADD, (pattern, now_ms))).fetchone()
                assert row is not None
                await keepsake.changed(tx)
        except sqlite3.IntegrityError as error:
            raise DuplicatePattern(pattern) from error
        await self._db.when_settings_change()
        return Exclude(row[0], pattern, now_ms)

    async def remove(self, exclude_id: int) -> bool:
        """Remove one; False if there is none."""
        async with self._db.transaction() as tx:
            removed = (await tx.execute(_REMOVE, (exclude_id,))).rowcount > 0
            await keepsake.changed(tx)
        if removed:
            await self._db.when_settings_change()
        return removed
