"""Snapshots of files that go on changing: which are taken, which wait to be sent, and what the server said to them."""

from dataclasses import dataclass

import aiosqlite

from pp_assist.core.model import Claim, Hashed, Stage
from pp_assist.store import generations
from pp_assist.store.db import Database
from pp_assist.store.queue import CLAIM, claims_of
from pp_assist.store.receipts import Kept

_GONE_ON_LONGEST = f"""{CLAIM} LEFT JOIN snapshots s ON s.file_id = f.id
WHERE w.stage = 'checksum' AND w.state = 'waiting' AND w.reason = 'changing' AND w.queued_at_ms <= ?1
AND f.kind = 'file' AND (s.file_id IS NULL OR (s.waiting = 0 AND s.taken_at_ms <= ?1))
AND r.enabled = 1 AND r.status = 'healthy'
ORDER BY w.queued_at_ms LIMIT 1"""
_IS_CHANGING = "SELECT 1 FROM work WHERE file_id = ? AND stage = 'checksum'"
_TAKEN = """
INSERT OR REPLACE INTO snapshots (file_id, gen, taken_at_ms, waiting, marked,
    size_bytes, mtime_ns, ctime_ns, inode, device, mode, uid, gid, sha256)
VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_OFFERED = "UPDATE files SET gen = ?, offered_gen = ? WHERE id = ?"
_RENEW = "UPDATE work SET gen = ? WHERE file_id = ?"
_WAITING = """
SELECT s.file_id, s.gen, 0, s.taken_at_ms, f.name, 'file', f.offered_gen, 0,
       NULL, NULL, NULL, NULL, NULL,
       s.size_bytes, s.mtime_ns, s.ctime_ns, s.inode, s.device, s.mode, s.uid, s.gid, s.sha256, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       d.id, r.id, r.path, r.device, r.inode, d.path, r.shown, r.recursive, r.file_system, s.marked
FROM snapshots s JOIN files f ON f.id = s.file_id JOIN directories d ON d.id = f.directory_id
JOIN roots r ON r.id = d.root_id WHERE s.waiting = 1 ORDER BY s.taken_at_ms"""
_STORED = """
UPDATE files SET stored_gen = ?, stored_kind = 'file', stored_target = NULL,
    stored_sha256 = ?, stored_mtime_ns = ?, stored_mode = ?, stored_uid = ?,
    stored_gid = ?, stored_at_ms = ?, stored_sequence = ?, stored_server = ?, stored_sent = ?, stored_size = ?,
    stored_at = ?, stored_tree = ?, stored_leaf = ?, stored_snapshot = ? WHERE id = ? AND COALESCE(stored_gen, 0) < ?"""
_SENT = "UPDATE snapshots SET waiting = 0 WHERE file_id = ? AND gen = ?"
_GIVEN_UP = "UPDATE snapshots SET waiting = 0, taken_at_ms = ? WHERE file_id = ? AND gen = ?"
_AT_REST = """
DELETE FROM snapshots WHERE waiting = 0
AND NOT EXISTS (SELECT 1 FROM work WHERE work.file_id = snapshots.file_id AND work.stage = 'checksum')"""
_IDS = "SELECT file_id FROM snapshots WHERE waiting = 1"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A copy that waits to be sent, as a claim on what it is a copy of."""

    claim: Claim
    marked: bool
    """The file changed while it was copied."""


async def gone_on_longest(db: Database, since_ms: int) -> Claim | None:
    """Return the file that has gone on changing the longest, since *since_ms* at least, without a snapshot since then.

    Nobody holds it by that.
    """
    rows = await db.rows(_GONE_ON_LONGEST, (since_ms,))
    return claims_of(Stage.CHECKSUM, rows)[0] if rows else None


async def taken(tx: aiosqlite.Connection, claim: Claim, copied: Hashed, marked: bool, now_ms: int) -> bool:
    """Write a snapshot down, under a generation of its own; False if the file is not changing any more.

    What the file is found to be later gets a newer generation, so that it can never be stale beside its snapshot.
    """
    if not list(await tx.execute_fetchall(_IS_CHANGING, (claim.file_id,))):
        return False
    own, next_one = await generations.take(tx, 2)
    facts = (*copied.stat, copied.mode, copied.uid, copied.gid, copied.sha256)
    await tx.execute(_TAKEN, (claim.file_id, own, now_ms, marked, *facts))
    await tx.execute(_OFFERED, (next_one, own, claim.file_id))
    await tx.execute(_RENEW, (next_one, claim.file_id))
    return True


async def waiting(db: Database) -> list[Snapshot]:
    """Return the snapshots that are still to be sent, oldest first."""
    rows = await db.rows(_WAITING)
    return [
        Snapshot(claim, bool(row["marked"])) for claim, row in zip(claims_of(Stage.UPLOAD, rows), rows, strict=True)
    ]


async def stored(
    tx: aiosqlite.Connection, snapshot: Snapshot, receipt: Kept, sent: bool, tree: int | None, now_ms: int
) -> None:
    """Record the receipt for a snapshot. The file itself goes on waiting to be at rest."""
    claim, copied = snapshot.claim, snapshot.claim.hashed
    assert copied is not None
    leaf = None if tree is None else receipt.leaf
    about = (claim.gen, copied.sha256, copied.stat.mtime_ns, copied.mode, copied.uid, copied.gid, now_ms)
    said = (receipt.sequence, receipt.server_id, sent, copied.stat.size_bytes, receipt.stored_at, tree, leaf)
    await tx.execute(_STORED, (*about, *said, snapshot.marked, claim.file_id, claim.gen))
    await tx.execute(_SENT, (claim.file_id, claim.gen))


async def given_up(tx: aiosqlite.Connection, claim: Claim, now_ms: int) -> None:
    """Note that a snapshot cannot be sent: the next one is taken as if this had been."""
    await tx.execute(_GIVEN_UP, (now_ms, claim.file_id, claim.gen))


async def tidy(tx: aiosqlite.Connection) -> set[int]:
    """Forget the snapshots of files that have come to rest; return the ids of files whose copies are still needed."""
    await tx.execute(_AT_REST)
    return {row[0] for row in await tx.execute_fetchall(_IDS)}
