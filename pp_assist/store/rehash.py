"""Which stored files were hashed longest ago, or are not to be trusted, and putting them in line once more."""

import json
from collections.abc import Sequence

import aiosqlite

from pp_assist.store.db import Database

_DUE = """
SELECT f.id, f.size_bytes FROM files f INDEXED BY files_by_hash_age
JOIN directories d ON d.id = f.directory_id JOIN roots r ON r.id = d.root_id
WHERE f.state IN ('completed', 'unchanged') AND f.hashed_at_ms < ? AND f.kind = 'file'
AND r.enabled = 1 AND r.status = 'healthy' AND NOT EXISTS (SELECT 1 FROM work WHERE file_id = f.id)
ORDER BY f.hashed_at_ms LIMIT ?"""
_AGAIN = """
INSERT INTO work (file_id, stage, gen, queued_at_ms, eligible_at_ms,
                  seen_size, seen_mtime_ns, seen_ctime_ns, seen_inode, seen_device)
SELECT id, 'checksum', gen, ?1, ?1, size_bytes, mtime_ns, ctime_ns, inode, device FROM files
WHERE id IN (SELECT value FROM json_each(?2)) AND state IN ('completed', 'unchanged')
ON CONFLICT (file_id) DO NOTHING"""

UNWRITTEN_MS = 600_000
"""How long a system may keep what was written to a file to itself before its disk has it: usually half a minute."""

_LAST_HASHED = "SELECT MAX(hashed_at_ms) FROM files"
_DISTRUST = """
UPDATE files SET racy = 1
WHERE kind = 'file' AND hashed_at_ms IS NOT NULL AND MAX(mtime_ns, ctime_ns) >= ? * 1000000"""


async def distrust_recent(tx: aiosqlite.Connection, now_ms: int) -> None:
    """Have the next scan hash again what was written shortly before the end.

    A power cut may take what a file was overwritten with and leave it the times of that writing: it looks exactly as it
    was hashed, and is what it was before. When the power was cut nobody knows, but not before the last hash.
    """
    (row,) = await tx.execute_fetchall(_LAST_HASHED)
    if row[0] is not None:
        await tx.execute(_DISTRUST, (min(row[0], now_ms) - UNWRITTEN_MS,))


async def due(db: Database, before_ms: int, limit: int) -> list[tuple[int, int]]:
    """Return (file id, bytes) of stored files hashed before *before_ms*, the longest ago first."""
    return [(row[0], row[1]) for row in await db.rows(_DUE, (before_ms, limit))]


async def queue_again(tx: aiosqlite.Connection, file_ids: Sequence[int], now_ms: int) -> None:
    """Put files in line to be hashed as they were last seen; their generation stays, unless the content differs."""
    await tx.execute(_AGAIN, (now_ms, json.dumps(list(file_ids))))
