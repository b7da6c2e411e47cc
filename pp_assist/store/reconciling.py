"""Whether our memory can be believed, and writing down what the server remembers instead.

All functions that change something take the transaction they belong to. What is still in doubt of the root that is
being compared stands in a scratch table of the writing connection: an interrupted comparison begins again.
"""

import json
from collections.abc import Sequence

import aiosqlite

from pp_assist.core.reconcile import Believed, Compared, Listed, compare
from pp_assist.store import generations, versions
from pp_assist.store.db import Database

NOT_RECONCILED = "not_reconciled"
"""Why a deletion waits, or a look at what the server alone remembers."""
LATER_MS = 86_400_000
"""Looks wait until all of a root was compared, so that what is too much to be meant is seen as a whole."""

_STATE = "SELECT name, value FROM daemon_state WHERE name IN ('epoch', 'clean_shutdown')"
_SET = "UPDATE daemon_state SET value = ? WHERE name = ?"
_DOUBT = "UPDATE daemon_state SET value = value + 1 WHERE name = 'doubts'"
_DOUBTS = "SELECT value FROM daemon_state WHERE name = 'doubts'"
_EVER_TOLD = "SELECT EXISTS (SELECT 1 FROM files WHERE offered_gen IS NOT NULL)"
_NONE_RECONCILED = "DELETE FROM reconciled"
_RECONCILED = "SELECT root_id FROM reconciled WHERE server = ? AND server_id = ?"
_IS_RECONCILED = """
INSERT INTO reconciled (root_id, server, server_id)
SELECT r.id, s.id, ?3 FROM roots r, servers s WHERE r.id = ?1 AND s.id = ?2
ON CONFLICT (root_id) DO UPDATE SET server = excluded.server, server_id = excluded.server_id"""
_FORGOTTEN_ROOTS = "SELECT shown, gen FROM forgotten_roots"

_BEGIN = "DELETE FROM doubtful"
_ALL_DOUBTFUL = """
INSERT INTO doubtful (file_id, gen)
SELECT f.id, f.stored_gen FROM directories d JOIN files f ON f.directory_id = d.id
WHERE d.root_id = ? AND f.stored_gen IS NOT NULL"""
_NO_DOUBT = "DELETE FROM doubtful WHERE file_id = ?"
_NEW_PAGE = "DELETE FROM listed"
_LISTED = "INSERT INTO listed (position, directory, name) VALUES (?, ?, ?)"
_BELIEVED = """
SELECT l.position, f.id, f.offered_gen, f.stored_gen, f.stored_sha256 FROM listed l
JOIN directories d ON d.root_id = ? AND d.path = l.directory
JOIN files f ON f.directory_id = d.id AND f.name = l.name"""
_KEPT = """
SELECT l.position, k.gen FROM listed l
JOIN kept_files k ON k.root_id = ? AND k.directory = l.directory AND k.name = l.name"""
_NEWS = """
UPDATE files SET offered_gen = MAX(COALESCE(offered_gen, 0), ?),
    stored_sha256 = CASE WHEN stored_gen IS NULL THEN ? ELSE stored_sha256 END WHERE id = ?"""

_DIRECTORY = """
INSERT INTO directories (root_id, parent_id, path, gone)
VALUES (?1, (SELECT id FROM directories WHERE root_id = ?1 AND path = ?2), ?3, 1)
ON CONFLICT (root_id, path) DO NOTHING"""
_ADOPT = """
INSERT INTO files (directory_id, name, kind, state, gen, offered_gen, stored_sha256, discovered_at_ms)
SELECT id, ?, ?, 'vanished', ?, ?, ?, ? FROM directories WHERE root_id = ? AND path = ?
ON CONFLICT (directory_id, name) DO NOTHING"""
_LOOK_LATER = """
INSERT INTO work (file_id, stage, gen, queued_at_ms, eligible_at_ms, reason)
SELECT f.id, 'vanished', f.gen, ?, ?, ? FROM directories d JOIN files f ON f.directory_id = d.id
WHERE d.root_id = ? AND d.path = ? AND f.name = ? AND f.gen = ? AND f.state = 'vanished'
ON CONFLICT (file_id) DO NOTHING"""

_STILL_DOUBTFUL = """
SELECT b.file_id, w.stage FROM doubtful b JOIN files f ON f.id = b.file_id AND f.stored_gen = b.gen
LEFT JOIN work w ON w.file_id = f.id LIMIT ?"""
_OF_CONTENTS = """
SELECT f.id, w.stage FROM files f LEFT JOIN work w ON w.file_id = f.id
WHERE f.stored_gen IS NOT NULL AND f.stored_sha256 IN (SELECT value FROM json_each(?))"""
_SIZES = """
SELECT stored_sha256, MAX(stored_size) FROM files
WHERE stored_gen IS NOT NULL AND stored_sha256 IN (SELECT value FROM json_each(?)) GROUP BY 1"""
_NO_RECEIPT = """
UPDATE files SET stored_gen = NULL,
    state = CASE WHEN state IN ('completed', 'unchanged') THEN 'ready_for_upload' ELSE state END WHERE id = ?"""
_RENEW_FILE = "UPDATE files SET gen = ? WHERE id = ?"
_RENEW_WORK = "UPDATE work SET gen = ? WHERE file_id = ?"
_SEND = versions.SEND.format(which="id = ?2 AND ")
_GO_ON = """
UPDATE work SET eligible_at_ms = ?, reason = NULL, last_error = NULL
WHERE stage = '{stage}' AND reason = ? AND EXISTS (
    SELECT 1 FROM files f JOIN directories d ON d.id = f.directory_id WHERE f.id = work.file_id AND d.root_id = ?)"""
_LOOK_NOW, _TELL_NOW = _GO_ON.format(stage="vanished"), _GO_ON.format(stage="deletion")
"""The stages are literals, so that the partial indexes serve."""


# -- whether our memory is in doubt


async def begin_epoch(tx: aiosqlite.Connection, epoch: int) -> tuple[bool, int]:
    """Note that a daemon runs, in its own *epoch*; return whether the last one ended cleanly, and its epoch."""
    before = {row[0]: row[1] for row in await tx.execute_fetchall(_STATE)}
    await tx.execute(_SET, (epoch, "epoch"))
    await tx.execute(_SET, (0, "clean_shutdown"))
    return bool(before["clean_shutdown"]), before["epoch"]


async def ended_cleanly(tx: aiosqlite.Connection) -> None:
    """Note that everything that was known is written down."""
    await tx.execute(_SET, (1, "clean_shutdown"))


async def doubt(tx: aiosqlite.Connection) -> None:
    """Have every root compared with the server before its next deletion is told."""
    await tx.execute(_NONE_RECONCILED)
    await tx.execute(_DOUBT)


async def ever_told(tx: aiosqlite.Connection) -> bool:
    """Say whether any file that is known was ever offered to a server."""
    ((told,),) = await tx.execute_fetchall(_EVER_TOLD)
    return bool(told)


async def reconciled(db: Database, server: int, server_id: str) -> set[int]:
    """Return the ids of the roots of which deletions may be told to that server, as of the last commit."""
    return {row[0] for row in await db.rows(_RECONCILED, (server, server_id))}


async def reconciled_now(tx: aiosqlite.Connection, server: int, server_id: str) -> set[int]:
    """As `reconciled`; none is added before the end of the transaction."""
    return {row[0] for row in await tx.execute_fetchall(_RECONCILED, (server, server_id))}


# -- comparing one root


async def begin(tx: aiosqlite.Connection, root_id: int) -> int:
    """Doubt every receipt of a root; return how often there was reason for that (see `finish`)."""
    await tx.execute(_BEGIN)
    await tx.execute(_ALL_DOUBTFUL, (root_id,))
    return await doubts(tx)


async def page(tx: aiosqlite.Connection, root_id: int, listed: list[Listed]) -> Compared:
    """Write down what a page of the server's inventory confirms; return what it means, without what stays there."""
    await tx.execute(_NEW_PAGE)
    await tx.executemany(_LISTED, [(n, one.directory, one.name) for n, one in enumerate(listed)])
    known = {row[0]: Believed(*row[1:]) for row in await tx.execute_fetchall(_BELIEVED, (root_id,))}
    kept = {row[0]: row[1] for row in await tx.execute_fetchall(_KEPT, (root_id,))}
    compared = compare((one, known.get(n)) for n, one in enumerate(listed) if n in known or one.gen > kept.get(n, -1))
    await tx.executemany(_NO_DOUBT, [(file_id,) for file_id in compared.as_believed])
    await tx.executemany(_NEWS, [(one.gen, one.sha256, file_id) for one, file_id in compared.news])
    return compared


async def forgotten_roots(db: Database) -> list[tuple[bytes, int]]:
    """Return the folders that are not watched any more, each with the last generation by then."""
    return [(row[0], row[1]) for row in await db.rows(_FORGOTTEN_ROOTS)]


async def adopt(tx: aiosqlite.Connection, root_id: int, unknown: list[Listed], now_ms: int) -> None:
    """Know these paths from now on, as missing ones: each is looked for once `finish` says so."""
    if not unknown:
        return
    folders = {one.directory for one in unknown if one.directory}
    above = {b"/".join(parts[:n]) for parts in (path.split(b"/") for path in folders) for n in range(1, len(parts) + 1)}
    by_depth = sorted(above, key=lambda path: path.count(b"/"))
    await tx.executemany(_DIRECTORY, [(root_id, path.rpartition(b"/")[0], path) for path in by_depth])
    rows = list(zip(unknown, await generations.take(tx, len(unknown)), strict=True))
    await tx.executemany(
        _ADOPT,
        [(one.name, one.kind.value, gen, one.gen, one.sha256, now_ms, root_id, one.directory) for one, gen in rows],
    )
    later = (now_ms, now_ms + LATER_MS, NOT_RECONCILED)
    await tx.executemany(_LOOK_LATER, [(*later, root_id, one.directory, one.name, gen) for one, gen in rows])


async def offer_again(tx: aiosqlite.Connection, limit: int, now_ms: int) -> int:
    """Offer up to *limit* files whose receipt the server does not stand by any more; return how many there were."""
    rows = [(row[0], row[1]) for row in await tx.execute_fetchall(_STILL_DOUBTFUL, (limit,))]
    await _offer(tx, rows, now_ms)
    await tx.executemany(_NO_DOUBT, [(file_id,) for file_id, _ in rows])
    return len(rows)


async def offer_contents_again(tx: aiosqlite.Connection, digests: Sequence[str], now_ms: int) -> int:
    """Offer all files again whose receipt is for one of these contents; return how many there were."""
    found = await tx.execute_fetchall(_OF_CONTENTS, (json.dumps(list(digests)),))
    rows = [(row[0], row[1]) for row in found]
    await _offer(tx, rows, now_ms)
    return len(rows)


async def sizes(db: Database, digests: Sequence[str]) -> dict[str, int]:
    """Return the sizes of those contents for which there is a receipt."""
    return {row[0]: int(row[1] or 0) for row in await db.rows(_SIZES, (json.dumps(list(digests)),))}


async def _offer(tx: aiosqlite.Connection, rows: Sequence[tuple[int, str | None]], now_ms: int) -> None:
    """Forget the receipts of files (id, stage of its work), and offer them under a new generation."""
    await tx.executemany(_NO_RECEIPT, [(file_id,) for file_id, _ in rows])
    anew = [file_id for file_id, stage in rows if stage in (None, "checksum")]
    gens = list(zip(await generations.take(tx, len(anew)), anew, strict=True))
    await tx.executemany(_RENEW_FILE, gens)
    await tx.executemany(_RENEW_WORK, gens)  # whoever hashes it just now thinks that the receipt counts
    await tx.executemany(_SEND, [(now_ms, file_id) for file_id in anew])


async def finish(
    tx: aiosqlite.Connection, root_id: int, server: int, server_id: str, known: int, look_at_ms: int, now_ms: int
) -> bool:
    """Let looks and deletions of a root go on; False where there was more reason for doubt than the *known* ones."""
    if await doubts(tx) != known:
        return False
    await tx.execute(_IS_RECONCILED, (root_id, server, server_id))
    await tx.execute(_LOOK_NOW, (look_at_ms, NOT_RECONCILED, root_id))
    await tx.execute(_TELL_NOW, (now_ms, NOT_RECONCILED, root_id))
    return True


async def doubts(tx: aiosqlite.Connection) -> int:
    """Return how often there was reason to doubt our memory."""
    (row,) = await tx.execute_fetchall(_DOUBTS)
    return int(row[0])
