"""Deletions that wait for a person's word: counting what would be lost, holding, approving, rejecting."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass

import aiosqlite

from pp_assist.core.guard import WINDOW_MS, enough, why_hold
from pp_assist.core.model import Claim, Kind
from pp_assist.store import held_tree, tree_moves
from pp_assist.store.db import Database
from pp_assist.store.observations import KEEP
from pp_assist.store.queue import WorkQueue

MINUTE_MS = 60_000
SAMPLE = 20

_IN_ROOT = "file_id IN (SELECT f.id FROM files f JOIN directories d ON d.id = f.directory_id WHERE d.root_id = ?)"
_ELSEWHERE = """(
    EXISTS (SELECT 1 FROM files t WHERE t.inode = f.inode AND t.device = f.device AND t.size_bytes = f.size_bytes
        AND t.mtime_ns = f.mtime_ns AND t.state IN ('discovered', 'ready_for_upload', 'completed', 'unchanged'))
    OR EXISTS (SELECT 1 FROM work t WHERE t.seen_inode = f.inode AND t.seen_device = f.device
        AND t.seen_size = f.size_bytes AND t.seen_mtime_ns = f.mtime_ns AND t.stage = 'checksum'))"""
_LOST = f"""
SELECT COUNT(*) FROM work w CROSS JOIN files f ON f.id = w.file_id CROSS JOIN directories d ON d.id = f.directory_id
WHERE w.stage = 'vanished' AND f.kind = 'file' AND d.root_id = ? AND NOT {_ELSEWHERE}"""  # noqa: S608 - CROSS: else every file of the root is looked at
_MOVED = f"SELECT f.id FROM files f WHERE f.id IN (SELECT value FROM json_each(?)) AND {_ELSEWHERE}"  # noqa: S608
_KNOWN = """
SELECT COUNT(*) FROM directories d CROSS JOIN files f ON f.directory_id = d.id LEFT JOIN work w ON w.file_id = f.id
WHERE f.kind = 'file' AND f.offered_gen IS NOT NULL AND f.state NOT IN ('excluded', 'unsupported')
AND (w.stage IS NULL OR w.stage <> 'deletion' OR w.state = 'held') AND d.root_id = ?"""
_KNOWN_AT_MOST = f"SELECT COUNT(*) FROM ({_KNOWN.replace('COUNT(*)', '1')} LIMIT ?)"  # noqa: S608 - constants
_IS_HELD = "SELECT 1 FROM held_deletions WHERE root_id = ?"
_TOLD = "SELECT COALESCE(SUM(count), 0) FROM passed_deletions WHERE root_id = ? AND minute > ?"
_COUNT_PASSED = """
INSERT INTO passed_deletions (root_id, minute, count) VALUES (?, ?, ?)
ON CONFLICT (root_id, minute) DO UPDATE SET count = count + excluded.count"""
_OLD = "DELETE FROM passed_deletions WHERE minute <= ?"
_BEGIN = "INSERT INTO held_deletions (root_id, reason, created_at_ms) VALUES (?, ?, ?) ON CONFLICT (root_id) DO NOTHING"
_HOLD = """
UPDATE work SET stage = 'deletion', state = 'held', eligible_at_ms = NULL, attempts = 0, reason = 'held',
    last_error = NULL
WHERE file_id = ? AND gen = ? AND stage = ?"""
_HOLD_WAITING = """
UPDATE work SET state = 'held', eligible_at_ms = NULL, reason = 'held'
WHERE stage = 'deletion' AND eligible_at_ms >= 0 AND state IN ('waiting', 'backoff') AND EXISTS (
    SELECT 1 FROM files f JOIN directories d ON d.id = f.directory_id
    WHERE f.id = work.file_id AND d.root_id = ?)"""  # only those that are held have no time: they are not read again
_LIST = """
SELECT h.id, h.root_id, h.reason, h.created_at_ms, r.shown,
       (SELECT COUNT(*) FROM work w JOIN files f ON f.id = w.file_id JOIN directories d ON d.id = f.directory_id
        WHERE w.stage = 'deletion' AND w.state = 'held' AND f.kind = 'file' AND d.root_id = h.root_id) AS count
FROM held_deletions h JOIN roots r ON r.id = h.root_id ORDER BY h.id"""
_SAMPLE = """
SELECT d.path, f.name FROM work w JOIN files f ON f.id = w.file_id JOIN directories d ON d.id = f.directory_id
WHERE w.stage = 'deletion' AND w.state = 'held' AND f.kind = 'file' AND d.root_id = ? ORDER BY w.queued_at_ms LIMIT ?"""
_RELEASE = f"""
UPDATE work SET state = 'waiting', eligible_at_ms = ?, reason = NULL
WHERE stage = 'deletion' AND state = 'held' AND {_IN_ROOT}"""  # noqa: S608 - constants
_HELD_FILES = """
    SELECT w.file_id FROM work w JOIN files f ON f.id = w.file_id JOIN directories d ON d.id = f.directory_id
    WHERE w.stage = 'deletion' AND w.state = 'held' AND d.root_id = ?"""
_KEEP_FILES = KEEP.format(which=f"f.id IN ({_HELD_FILES})")
_FORGET_FILES = f"DELETE FROM files WHERE id IN ({_HELD_FILES})"  # noqa: S608 - constants
_END = "DELETE FROM held_deletions WHERE id = ?"
_END_EMPTY = """
DELETE FROM held_deletions WHERE NOT EXISTS (
    SELECT 1 FROM work w JOIN files f ON f.id = w.file_id JOIN directories d ON d.id = f.directory_id
    WHERE w.stage = 'deletion' AND w.state = 'held' AND f.kind = 'file'
        AND d.root_id = held_deletions.root_id)"""
_LET_GO = """
UPDATE work SET state = 'waiting', eligible_at_ms = queued_at_ms, reason = NULL
WHERE stage = 'deletion' AND state = 'held' AND file_id IN (
    SELECT f.id FROM files f JOIN directories d ON d.id = f.directory_id
    WHERE d.root_id NOT IN (SELECT root_id FROM held_deletions))"""  # directories and links: the files are back
_ROOT_OF = "SELECT root_id FROM held_deletions WHERE id = ?"
_ANY_HELD = "SELECT 1 FROM held_deletions LIMIT 1"


@dataclass(frozen=True, slots=True)
class HeldSet:
    """The deletions of one root that wait for a person."""

    id: int
    root_id: int
    shown: bytes
    reason: str
    count: int
    known: int
    """Files of the root that a server may have, the missing ones included."""
    sample: tuple[bytes, ...]
    """Some of the missing files, relative to the root."""
    created_at_ms: int


class CountChanged(Exception):
    """Another number of files is held than the person was asked about; `count` is how many."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} files are held now")
        self.count = count


async def moved(tx: aiosqlite.Connection, gone: Sequence[Claim]) -> set[int]:
    """Return the ids of those files that are still there under another name: nothing is lost with them."""
    rows = await tx.execute_fetchall(_MOVED, (json.dumps([claim.file_id for claim in gone]),))
    return {row[0] for row in rows}


async def decide(tx: aiosqlite.Connection, root_id: int, gone: Sequence[Claim], now_ms: int) -> bool:
    """Hold *gone*, deletions of one root that are certain, where they are too many; say whether they may go ahead.

    Only files count; directories and links share what becomes of them.
    """
    await _end_empty(tx)
    held = list(await tx.execute_fetchall(_IS_HELD, (root_id,)))
    reason = None if held else await _why_hold(tx, root_id, now_ms)
    if not held and reason is None:
        files = sum(claim.kind is Kind.FILE for claim in gone)
        await tx.execute(_COUNT_PASSED, (root_id, now_ms // MINUTE_MS, files))
        return True
    await tx.execute(_BEGIN, (root_id, reason or "mass", now_ms))
    await tx.executemany(_HOLD, [(claim.file_id, claim.gen, claim.stage) for claim in gone])
    await tx.execute(_HOLD_WAITING, (root_id,))  # what passed just before, and has not been told yet
    return False


async def _end_empty(tx: aiosqlite.Connection) -> None:
    if (await tx.execute(_END_EMPTY)).rowcount:
        await tx.execute(_LET_GO)


async def _why_hold(tx: aiosqlite.Connection, root_id: int, now_ms: int) -> str | None:
    since = (now_ms - WINDOW_MS) // MINUTE_MS
    await tx.execute(_OLD, (since,))
    lost, told = await _one(tx, _LOST, (root_id,)), await _one(tx, _TOLD, (root_id, since))
    if why_hold(lost, 0, told) is None:  # so few that the size of the root does not matter
        return None
    return why_hold(lost, await _one(tx, _KNOWN_AT_MOST, (root_id, enough(lost, told))), told)


async def _one(tx: aiosqlite.Connection, sql: str, parameters: tuple[object, ...]) -> int:
    (row,) = await tx.execute_fetchall(sql, parameters)
    return int(row[0])


async def end_empty(db: Database, deletions: WorkQueue) -> None:
    """End the sets whose files are all back: directories and links held with them need not wait any longer."""
    if await db.value(_ANY_HELD) is None:
        return
    async with db.transaction() as tx:
        await _end_empty(tx)
    deletions.wake()


class HeldDeletions:
    """What the API asks about held deletions, and what a person says to them."""

    def __init__(self, db: Database, deletions: WorkQueue) -> None:
        self._db = db
        self._deletions = deletions
        """Woken where a set ends: what was held with it may be told by then."""

    async def all(self) -> list[HeldSet]:
        """Return every set, oldest first; one whose files are all back is gone."""
        await end_empty(self._db, self._deletions)
        found = []
        for row in await self._db.rows(_LIST):
            sample = await self._db.rows(_SAMPLE, (row["root_id"], SAMPLE))
            paths = tuple(b"/".join(part for part in each if part) for each in sorted(map(tuple, sample)))
            known = await self._db.value(_KNOWN, (row["root_id"],))
            found.append(HeldSet(known=known, sample=paths, **dict(row)))
        return found

    async def tree(self, held_id: int, path: bytes, limit: int) -> held_tree.HeldTree | None:
        """Return what of a set is in one folder (see `held_tree.tree`); None where there is no such set."""
        root_id = await self._db.value(_ROOT_OF, (held_id,))
        if root_id is None:
            return None

        def read() -> held_tree.HeldTree:
            with self._db.reading() as conn:
                return held_tree.tree(conn, int(root_id), path, limit)

        with self._db.damage_noted():
            return await asyncio.to_thread(read)

    async def approve(self, held_id: int, count: int, now_ms: int) -> int | None:
        """Let the deletions of a set go ahead; return how many, None where there is no such set.

        Raises:
            CountChanged: another number of files is held now.
        """
        async with self._db.transaction() as tx:
            held = await self._find(tx, held_id)
            if held is None:
                return None
            root_id, held_count = held
            if held_count != count:
                raise CountChanged(held_count)
            await tx.execute(_RELEASE, (now_ms, root_id))
            await tx.execute(_END, (held_id,))
        self._deletions.wake()
        return held_count

    async def reject(self, held_id: int) -> int | None:
        """Leave the files live on the server, and ask no more; return how many, None where there is no such set.

        Should a file return, it is found like a new one.
        """
        async with self._db.transaction() as tx:
            held = await self._find(tx, held_id)
            if held is None:
                return None
            root_id, held_count = held
            await tx.execute(_KEEP_FILES, (root_id,))
            await tree_moves.keep_sources(tx, {row[0] for row in await tx.execute_fetchall(_HELD_FILES, (root_id,))})
            await tx.execute(_FORGET_FILES, (root_id,))
            await tx.execute(_END, (held_id,))
            return held_count

    async def _find(self, tx: aiosqlite.Connection, held_id: int) -> tuple[int, int] | None:
        """Return (root id, number of files) of a set."""
        for row in await tx.execute_fetchall(_LIST):
            if row["id"] == held_id:
                return row["root_id"], row["count"]
        return None
