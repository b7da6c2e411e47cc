"""The blocks of large files as they were when the server stored them."""

from collections.abc import Iterable
from typing import NamedTuple

import aiosqlite

from pp_assist.core.model import Claim
from pp_assist.store.db import Database

WORTH_BYTES = 8 << 20
"""Files below that are sent as a whole: a version needs at least two chunks to have one that need not be sent."""

_KEEP = """
INSERT OR REPLACE INTO stored_blocks (file_id, sha256, size_bytes, blocks)
SELECT f.id, f.sha256, f.size_bytes, w.blocks FROM files f JOIN work w ON w.file_id = f.id
WHERE f.id = ? AND w.gen = ? AND w.stage = ? AND w.blocks IS NOT NULL"""


class StoredBlocks(NamedTuple):
    """Content of the last version that was stored, by its blocks."""

    sha256: str
    size_bytes: int
    blocks: bytes


async def keep(tx: aiosqlite.Connection, claims: Iterable[Claim]) -> None:
    """Remember the blocks of those files that are stored now, before their work is removed."""
    rows = [
        (claim.file_id, claim.gen, claim.stage)
        for claim in claims
        if claim.hashed is not None and claim.hashed.blocks and claim.hashed.stat.size_bytes >= WORTH_BYTES
    ]
    if rows:
        await tx.executemany(_KEEP, rows)


async def of(db: Database, claim: Claim) -> StoredBlocks | None:
    """Return what is remembered of a file."""
    if claim.hashed is None or claim.hashed.stat.size_bytes < WORTH_BYTES:
        return None
    sql = "SELECT sha256, size_bytes, blocks FROM stored_blocks WHERE file_id = ?"
    rows = await db.rows(sql, (claim.file_id,))
    return StoredBlocks(*rows[0]) if rows else None
