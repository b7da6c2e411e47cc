"""Directories that were moved with everything in them: found by their identity, renamed here at once, told later.

Between the two, a row of `tree_moves` stands for all of it. Functions that change something take the transaction they
belong to.
"""

import asyncio
import json
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import aiosqlite

from pp_assist.store import generations, versions
from pp_assist.store.db import Database
from pp_assist.store.observations import join
from pp_server.wire.names import below
from pp_server.wire.trees import Entry, is_beneath, placed

CHILDREN = 5
PAUSE_S = 0.1

_KNOWN = """
SELECT json_extract(a.value, '$[0]'), f.id, d.root_id, d.path, f.name, f.mtime_ns
FROM json_each(?) a JOIN files f ON f.inode = json_extract(a.value, '$[1]') AND f.device = json_extract(a.value, '$[2]')
JOIN directories d ON d.id = f.directory_id
WHERE f.kind = 'dir' AND f.stored_kind = 'dir' AND f.stored_gen IS NOT NULL"""
_CHILDREN = """
SELECT f.name, f.inode, f.device FROM directories d JOIN files f ON f.directory_id = d.id
WHERE d.root_id = ? AND d.path = ? AND f.inode IS NOT NULL LIMIT ?"""
_PLACE = "SELECT d.root_id, d.path, f.name FROM files f JOIN directories d ON d.id = f.directory_id WHERE f.id = ?"
_DIRECTORY = "SELECT id FROM directories WHERE root_id = ? AND path = ?"
_TAKEN = """
SELECT EXISTS (SELECT 1 FROM directories WHERE root_id = ?1 AND (path = ?2 OR (path >= ?3 AND path < ?4)))
OR EXISTS (SELECT 1 FROM directories d JOIN files f ON f.directory_id = d.id
           WHERE d.root_id = ?1 AND d.path = ?5 AND f.name = ?6)"""
_THERE = """
INSERT INTO directories (root_id, parent_id, path)
VALUES (?1, (SELECT id FROM directories WHERE root_id = ?1 AND path = ?2), ?3)
ON CONFLICT (root_id, path) DO UPDATE SET gone = 0"""
_IN_IT = """
SELECT f.id FROM directories d JOIN files f ON f.directory_id = d.id
WHERE d.root_id = ?1 AND (d.path = ?2 OR (d.path >= ?3 AND d.path < ?4)) UNION ALL SELECT ?5"""
_UNSETTLED = f"""
SELECT EXISTS (SELECT 1 FROM files WHERE offered_gen > COALESCE(stored_gen, 0) AND id IN ({_IN_IT}))
OR EXISTS (SELECT 1 FROM work WHERE stage = 'deletion' AND state <> 'held' AND file_id IN ({_IN_IT}))"""  # noqa: S608
_BACK = f"""
UPDATE files SET state = CASE
    WHEN stored_gen IS NULL OR stored_snapshot = 1 OR (kind, sha256, link_target, mtime_ns, mode, uid, gid)
      IS NOT (stored_kind, stored_sha256, stored_target, stored_mtime_ns, stored_mode, stored_uid, stored_gid)
    THEN 'discovered' WHEN stored_sent = 1 THEN 'completed' ELSE 'unchanged' END
WHERE state = 'vanished' AND id IN ({_IN_IT})"""  # noqa: S608 - constants
_NOT_MISSING = f"""
DELETE FROM work WHERE stage IN ('vanished', 'deletion') AND file_id IN ({_IN_IT})"""  # noqa: S608 - constants
_BUSY = f"SELECT file_id FROM work WHERE file_id IN ({_IN_IT})"  # noqa: S608 - constants
_RENEW = ("UPDATE files SET gen = ? WHERE id = ?", "UPDATE work SET gen = ? WHERE file_id = ?")
_MOVE_ITSELF = "UPDATE files SET directory_id = ?, name = ? WHERE id = ?"
_MOVE_DIRECTORY = "UPDATE directories SET parent_id = ? WHERE id = ?"
_MOVE_BELOW = """
UPDATE directories SET root_id = ?1, path = CAST(?2 || substr(path, ?3) AS BLOB), gone = 0
WHERE root_id = ?4 AND (path = ?5 OR (path >= ?6 AND path < ?7))"""
_NOTE = "INSERT INTO tree_moves (directory_id, file_id, from_root, from_path, gen) VALUES (?, ?, ?, ?, ?)"

_PENDING = """
SELECT m.id, m.directory_id, m.file_id, m.gen, m.from_root, m.from_path, o.shown AS from_shown,
       d.root_id AS to_root, d.path AS to_path, r.shown AS to_shown
FROM tree_moves m JOIN directories d ON d.id = m.directory_id JOIN roots r ON r.id = d.root_id
JOIN roots o ON o.id = m.from_root ORDER BY m.id"""
_ANY = "SELECT 1 FROM tree_moves LIMIT 1"
_CAME_ALONG = """
SELECT 1 FROM json_each(?3) up CROSS JOIN directories d ON d.root_id = ?1 AND d.path = substr(?2, 1, up.value)
CROSS JOIN tree_moves m ON m.directory_id = d.id LIMIT 1"""  # CROSS: in this order and no other
_ENTRIES = """
SELECT f.id, d.path, f.name, f.stored_kind, f.stored_sha256, f.stored_size FROM directories d
JOIN files f ON f.directory_id = d.id
WHERE f.stored_gen IS NOT NULL AND d.root_id = ?1 AND (d.path = ?2 OR (d.path >= ?3 AND d.path < ?4))"""
_ITSELF = "SELECT id, stored_kind, stored_sha256, stored_size FROM files WHERE id = ? AND stored_gen IS NOT NULL"
_OWNER = "SELECT t.owner FROM files f JOIN receipt_trees t ON t.id = f.stored_tree WHERE f.id = ?"
_TOLD = """
UPDATE files SET stored_gen = ?1, offered_gen = MAX(COALESCE(offered_gen, 0), ?1), stored_sequence = ?2,
    stored_at = ?3, stored_at_ms = ?4, stored_tree = ?5, stored_leaf = ?6,
    gen = CASE WHEN EXISTS (SELECT 1 FROM work WHERE file_id = files.id) THEN gen ELSE ?1 END
WHERE id = ?7 AND COALESCE(stored_gen, 0) < ?1"""
_DONE = "DELETE FROM tree_moves WHERE id = ?"

_OFFERED_IN_IT = f"""
SELECT f.id, d.path, f.name FROM files f JOIN directories d ON d.id = f.directory_id
WHERE f.offered_gen IS NOT NULL AND f.id IN ({_IN_IT})"""  # noqa: S608 - constants
_GONE_DIRECTORY = """
INSERT INTO directories (root_id, parent_id, path, gone)
VALUES (?1, (SELECT id FROM directories WHERE root_id = ?1 AND path = ?2), ?3, 1)
ON CONFLICT (root_id, path) DO NOTHING"""
_LEFT_BEHIND = """
INSERT INTO files (directory_id, name, kind, state, gen, size_bytes, mtime_ns, ctime_ns, inode, device, mode, uid, gid,
                   sha256, link_target, offered_gen, stored_kind, stored_sha256, stored_target, discovered_at_ms)
SELECT d.id, ?1, f.kind, 'vanished', ?2, f.size_bytes, f.mtime_ns, f.ctime_ns, f.inode, f.device, f.mode, f.uid, f.gid,
       f.sha256, f.link_target, f.offered_gen, f.stored_kind, f.stored_sha256, f.stored_target, f.discovered_at_ms
FROM files f, directories d WHERE f.id = ?3 AND d.root_id = ?4 AND d.path = ?5
ON CONFLICT (directory_id, name) DO UPDATE SET
    offered_gen = MAX(COALESCE(files.offered_gen, 0), COALESCE(excluded.offered_gen, 0))"""
_LOOK_FOR = """
INSERT INTO work (file_id, stage, gen, queued_at_ms, eligible_at_ms)
SELECT f.id, 'vanished', f.gen, ?1, ?2 FROM directories d JOIN files f ON f.directory_id = d.id
WHERE d.root_id = ?3 AND d.path = ?4 AND f.name = ?5 AND f.gen = ?6 AND f.state = 'vanished'
ON CONFLICT (file_id) DO NOTHING"""
_ANEW = """
UPDATE files SET stored_gen = NULL, offered_gen = NULL, gen = ?,
    state = CASE WHEN state IN ('completed', 'unchanged') THEN 'ready_for_upload' ELSE state END WHERE id = ?"""
_SEND = versions.SEND.format(which="id = ?2 AND ")
_KEEP_SOURCE = """
INSERT INTO kept_files (root_id, directory, name, gen) VALUES (?, ?, ?, ?)
ON CONFLICT (root_id, directory, name) DO UPDATE SET gen = MAX(gen, excluded.gen)"""


_SLASH = ord("/")


class Place(NamedTuple):
    """A path below a root."""

    root_id: int
    path: bytes

    @property
    def parts(self) -> tuple[bytes, bytes]:
        """Directory and name."""
        directory, _, name = self.path.rpartition(b"/")
        return directory, name

    def range(self) -> tuple[object, ...]:
        """Return the place as statements want it that are about everything at and below it."""
        return self.root_id, self.path, *below(self.path)


@dataclass(frozen=True, slots=True)
class KnownDirectory:
    """A directory that is known, and stored, under some path."""

    file_id: int
    place: Place
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class TreeMove:
    """A move that the server is still to be told of."""

    id: int
    file_id: int
    gen: int
    source: Place
    target: Place
    source_path: bytes
    """In full, as the server knows it."""
    target_path: bytes


# -- noticing


async def known(db: Database, identities: Sequence[tuple[int, int]]) -> list[tuple[int, KnownDirectory]]:
    """Return the stored directories with one of these identities (inode, device): (which of them, directory)."""
    asked = json.dumps([(number, *identity) for number, identity in enumerate(identities)])
    return [
        (row[0], KnownDirectory(row[1], Place(row[2], join(row[3], row[4])), row[5]))
        for row in await db.rows(_KNOWN, (asked,))
    ]


async def children(db: Database, place: Place) -> list[tuple[bytes, int, int]]:
    """Return some names that are known in a directory, with their identities (inode, device)."""
    return [(row[0], row[1], row[2]) for row in await db.rows(_CHILDREN, (*place, CHILDREN))]


async def rename(tx: aiosqlite.Connection, directory: KnownDirectory, target: Place) -> bool:
    """Give *directory*, and all that is known below it, its new place, and note that the server is to be told.

    False where that cannot be done in one step, and nothing was changed: something is known at the new place, another
    move of either place is still to be told, or the server may have versions that we have no receipt for.
    """
    source, (to_directory, to_name) = directory.place, target.parts
    places = [Place(row[0], join(row[1], row[2])) for row in await tx.execute_fetchall(_PLACE, (directory.file_id,))]
    own = list(await tx.execute_fetchall(_DIRECTORY, source))
    if places != [source] or not own:
        return False
    if await _one(tx, _TAKEN, (*target.range(), to_directory, to_name)) or await _overlaps(tx, (source, target)):
        return False
    here = (*source.range(), directory.file_id)
    if await _one(tx, _UNSETTLED, here):
        return False
    (gen,) = await generations.take(tx, 1)
    await tx.execute(_BACK, here)
    await tx.execute(_NOT_MISSING, here)
    busy = [row[0] for row in await tx.execute_fetchall(_BUSY, here)]
    gens = list(zip(await generations.take(tx, len(busy)), busy, strict=True))
    for sql in _RENEW:
        await tx.executemany(sql, gens)
    for above in (*_ancestors(to_directory), to_directory):
        await tx.execute(_THERE, (target.root_id, above.rpartition(b"/")[0] if above else None, above))
    (parent,) = await tx.execute_fetchall(_DIRECTORY, (target.root_id, to_directory))
    await tx.execute(_MOVE_ITSELF, (parent[0], to_name, directory.file_id))
    await tx.execute(_MOVE_DIRECTORY, (parent[0], own[0][0]))
    await tx.execute(_MOVE_BELOW, (target.root_id, target.path, len(source.path) + 1, *source.range()))
    await tx.execute(_NOTE, (own[0][0], directory.file_id, *source, gen))
    return True


def _ancestors(directory: bytes) -> list[bytes]:
    """Return the directories above *directory*, outermost first."""
    parts = directory.split(b"/") if directory else []
    return [b"/".join(parts[:count]) for count in range(len(parts))]


async def _overlaps(tx: aiosqlite.Connection, places: Sequence[Place]) -> bool:
    """Say whether one of *places* has to do with a move that is still to be told."""
    told = [_move(row) for row in await tx.execute_fetchall(_PENDING)]
    others = [place for move in told for place in (move.source, move.target)]
    return any(
        one.root_id == other.root_id and (is_beneath(one.path, other.path) or is_beneath(other.path, one.path))
        for one in places
        for other in others
    )


async def _one(tx: aiosqlite.Connection, sql: str, values: Sequence[object]) -> bool:
    (row,) = await tx.execute_fetchall(sql, values)
    return bool(row[0])


# -- telling


async def is_pending(db: Database) -> bool:
    """Say whether there is a move that the server is still to be told of."""
    return await db.value(_ANY) is not None


async def came_along(db: Database, root_id: int, path: bytes) -> bool:
    """Say whether *path* came where it is with a directory, or as one, that the server is still to be told of."""
    ends = [at for at, byte in enumerate(path) if byte == _SLASH] + [len(path)]
    return await db.value(_CAME_ALONG, (root_id, path, json.dumps(ends))) is not None


async def all_told(db: Database) -> bool:
    """Wait until the server has been told of every move; return whether that was so at once.

    Nothing else that may lie below such a directory is told before: what it says of the paths would come too early.
    """
    at_once = True
    while await is_pending(db):
        at_once = False
        await asyncio.sleep(PAUSE_S)
    return at_once


async def pending(db: Database) -> list[TreeMove]:
    """Return the moves that are still to be told, oldest first."""
    return [_move(row) for row in await db.rows(_PENDING)]


def _move(row: sqlite3.Row) -> TreeMove:
    source, target = Place(row["from_root"], row["from_path"]), Place(row["to_root"], row["to_path"])
    source_path = row["from_shown"].rstrip(b"/") + b"/" + source.path
    target_path = row["to_shown"].rstrip(b"/") + b"/" + target.path
    return TreeMove(row["id"], row["file_id"], row["gen"], source, target, source_path, target_path)


async def entries(db: Database, move: TreeMove) -> tuple[list[tuple[int, Entry]], str | None]:
    """Return what we think the server has of a moved directory, in order; and whom its receipts call the owner."""
    found = [
        (row[0], Entry(join(row[1], row[2])[len(move.target.path) + 1 :], row[3], row[4], row[5]))
        for row in await db.rows(_ENTRIES, move.target.range())
    ]
    itself = [(row[0], Entry(b"", row[1], row[2], row[3])) for row in await db.rows(_ITSELF, (move.file_id,))]
    return itself + sorted(found, key=lambda one: one[1].relative), await db.value(_OWNER, (move.file_id,))


async def told(
    tx: aiosqlite.Connection,
    move: TreeMove,
    file_ids: Sequence[int],
    first_sequence: int,
    stored_at: str,
    tree: int | None,
    now_ms: int,
) -> None:
    """Record the receipts of a move, two for each entry: of them, the second is the new version's."""
    second = range(1, 2 * len(file_ids), 2)
    rows = [
        (move.gen, first_sequence + n, stored_at, now_ms, tree, None if tree is None else n, file_id)
        for n, file_id in zip(second, file_ids, strict=True)
    ]
    await tx.executemany(_TOLD, rows)
    await tx.execute(_DONE, (move.id,))


async def expand(tx: aiosqlite.Connection, move: TreeMove, grace_ms: int, now_ms: int) -> int:
    """Make ordinary work of a move: everything in it is new where it is, and missing where it was.

    Return how many paths that were.
    """
    rows = await _offered(tx, move)
    root_id = move.source.root_id
    old = [(file_id, Place(root_id, placed(move.source.path, relative))) for file_id, relative in rows]
    folders = {place.parts[0] for _, place in old}
    above = sorted({d for folder in folders for d in (*_ancestors(folder), folder)}, key=lambda path: path.count(b"/"))
    await tx.executemany(_GONE_DIRECTORY, [(root_id, path.rpartition(b"/")[0], path) for path in above if path])
    gens = iter(await generations.take(tx, 2 * len(old)))
    left = [(next(gens), file_id, *place.parts) for file_id, place in old]
    await tx.executemany(
        _LEFT_BEHIND, [(name, gen, file_id, root_id, directory) for gen, file_id, directory, name in left]
    )
    look_ms = now_ms + grace_ms
    await tx.executemany(
        _LOOK_FOR, [(now_ms, look_ms, root_id, directory, name, gen) for gen, _, directory, name in left]
    )
    await _offer_anew(tx, [(next(gens), file_id) for file_id, _ in old], now_ms)
    await tx.execute(_DONE, (move.id,))
    return len(old)


async def source_forgotten(tx: aiosqlite.Connection, root_id: int, now_ms: int) -> None:
    """Have what came out of a root that is not watched any more stored where it is: the server keeps what it has where
    that was, and is not told of the move.
    """
    for move in [_move(row) for row in await tx.execute_fetchall(_PENDING)]:
        if move.source.root_id == root_id != move.target.root_id:
            rows = await _offered(tx, move)
            gens = await generations.take(tx, len(rows))
            await _offer_anew(tx, [(gen, row[0]) for gen, row in zip(gens, rows, strict=True)], now_ms)
            await tx.execute(_DONE, (move.id,))


async def keep_sources(tx: aiosqlite.Connection, file_ids: Collection[int]) -> None:
    """Remember of files whose deletion was rejected that they stay where the server has them: it was not told yet that
    they had moved, and will not be where their directory itself is one of them.
    """
    for move in [_move(row) for row in await tx.execute_fetchall(_PENDING)]:
        source = move.source
        kept = [
            (source.root_id, *Place(source.root_id, placed(source.path, relative)).parts, move.gen)
            for file_id, relative in await _offered(tx, move)
            if file_id in file_ids or move.file_id in file_ids
        ]
        await tx.executemany(_KEEP_SOURCE, kept)


async def _offered(tx: aiosqlite.Connection, move: TreeMove) -> list[tuple[int, bytes]]:
    """Return what a server may have of a moved directory: ids, and where in the directory."""
    rows = await tx.execute_fetchall(_OFFERED_IN_IT, (*move.target.range(), move.file_id))
    return [(row[0], join(row[1], row[2])[len(move.target.path) + 1 :]) for row in rows]


async def _offer_anew(tx: aiosqlite.Connection, rows: Sequence[tuple[int, int]], now_ms: int) -> None:
    """Have files, each under a new generation, stored as if no server had heard of them: (generation, id)."""
    await tx.executemany(_ANEW, rows)
    await tx.executemany(_RENEW[1], rows)
    await tx.executemany(_SEND, [(now_ms, file_id) for _, file_id in rows])
