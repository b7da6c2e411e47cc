"""The watched folders."""

import json
import sqlite3
from collections.abc import Awaitable, Callable, Sequence

import aiosqlite

from pp_assist.clock import Clock
from pp_assist.core.identity import Identity
from pp_assist.core.model import Root
from pp_assist.store import keepsake, tree_moves
from pp_assist.store.db import Database

_COLUMNS = """id, path, shown, recursive, enabled, device, inode, created_at_ms, last_scanned_at_ms, status, reason,
    policy, exclude, file_system"""
_ALL = f"SELECT {_COLUMNS} FROM roots ORDER BY id"  # noqa: S608 - constants
_ADD = """
INSERT INTO roots (path, shown, recursive, enabled, device, inode, file_system, created_at_ms, policy, exclude, status)
VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?, ?, 'healthy') RETURNING id"""
_ADD_TOP = "INSERT INTO directories (root_id, parent_id, path) VALUES (?, NULL, x'')"
_REMEMBER = """
INSERT INTO forgotten_roots (shown, gen)
SELECT shown, (SELECT value FROM daemon_state WHERE name = 'gen') FROM roots WHERE id = ?
ON CONFLICT (shown) DO UPDATE SET gen = excluded.gen"""
_REMOVE = "DELETE FROM roots WHERE id = ?"
_SCANNED = """
UPDATE roots SET last_scanned_at_ms = COALESCE(?, last_scanned_at_ms), status = 'healthy', reason = NULL WHERE id = ?"""
_UNHEALTHY = "UPDATE roots SET status = 'unhealthy', reason = ? WHERE id = ?"
_FILE_COUNTS = "SELECT id, file_count FROM roots"


class RootsTable:
    """Registers, lists and forgets roots. Forgetting is local: the server keeps everything."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.looked_through: set[int] = set()
        """Ids of the roots that were scanned as a whole since the start."""
        self.when_looked_through: Callable[[], None] = lambda: None

    async def all(self) -> list[Root]:
        """Return every root, oldest first."""
        return [_root(row) for row in await self._db.rows(_ALL)]

    async def get(self, root_id: int) -> Root | None:
        """Return one root, or None."""
        return next((root for root in await self.all() if root.id == root_id), None)

    async def add(
        self,
        path: bytes,
        shown: bytes,
        recursive: bool,
        identity: tuple[int, int] | Identity,
        now_ms: int,
        policy: str = "mirror",
        exclude: Sequence[str] = (),
        also: Callable[[aiosqlite.Connection, int], Awaitable[None]] | None = None,
    ) -> Root:
        """Register a folder and return it; *also* writes more about it, in the same transaction."""
        async with self._db.transaction() as tx:
            values = (path, shown, recursive, *Identity(*identity), now_ms, policy, json.dumps(list(exclude)))
            row = await (await tx.execute(_ADD, values)).fetchone()
            assert row is not None
            await tx.execute(_ADD_TOP, (row[0],))
            if also is not None:
                await also(tx, row[0])
            await keepsake.changed(tx)
        await self._db.when_settings_change()
        root = await self.get(row[0])
        assert root is not None
        return root

    async def remove(self, root_id: int) -> bool:
        """Forget a root with everything known about its files; False if there is none."""
        async with self._db.transaction() as tx:
            await tx.execute(_REMEMBER, (root_id,))
            await tree_moves.source_forgotten(tx, root_id, Clock().now_ms())
            removed = (await tx.execute(_REMOVE, (root_id,))).rowcount > 0
            await keepsake.changed(tx)
        await self._db.when_settings_change()
        return removed

    async def scanned(self, root_id: int, now_ms: int | None) -> None:
        """Note that the root is there; and, with a time, that a scan of the whole of it has ended."""
        async with self._db.transaction() as tx:
            await tx.execute(_SCANNED, (now_ms, root_id))
        if now_ms is not None:
            self.looked_through.add(root_id)
            self.when_looked_through()

    async def unhealthy(self, root_id: int, reason: str) -> None:
        """Note that the root is not there. Nothing else about it changes."""
        async with self._db.transaction() as tx:
            await tx.execute(_UNHEALTHY, (reason, root_id))

    async def file_counts(self) -> dict[int, int]:
        """Return root id → files in it that must be stored."""
        return {row[0]: row[1] for row in await self._db.rows(_FILE_COUNTS)}


def _root(row: sqlite3.Row) -> Root:
    fields = dict(row)
    fields |= {name: bool(fields[name]) for name in ("recursive", "enabled")}
    return Root(**(fields | {"exclude": tuple(json.loads(fields["exclude"]))}))
