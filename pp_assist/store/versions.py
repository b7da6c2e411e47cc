"""What the hasher and the uploader write down. All functions take the transaction they belong to.

Each statement names the generation (and, through `work`, the stage) it is for, so that a late finisher changes nothing.
"""

from collections.abc import Sequence

import aiosqlite

from pp_assist.core.model import NOT_TAKEN, Claim, FileState, Hashed, Kind, Stage, Stat
from pp_assist.store import bulk, queue, stored_blocks
from pp_assist.store.receipts import Kept

_CURRENT = "EXISTS (SELECT 1 FROM work WHERE file_id = files.id AND gen = ? AND stage = ?)"

_AS_READ = """size_bytes = v.size_bytes, mtime_ns = v.mtime_ns, ctime_ns = v.ctime_ns, inode = v.inode,
    device = v.device, mode = v.mode, uid = v.uid, gid = v.gid, sha256 = v.sha256, link_target = v.link_target,
    racy = v.racy, hashed_at_ms = v.hashed_at_ms"""
_FACTS = "size_bytes, mtime_ns, ctime_ns, inode, device, mode, uid, gid, sha256, link_target, racy, hashed_at_ms"
_HASHED = f"""
WITH v ({_FACTS}, state, gen, id) AS ({{values}})
UPDATE files SET {_AS_READ}, state = v.state, gen = v.gen FROM v WHERE files.id = v.id"""  # noqa: S608 - constants
_LOOK_AGAIN_FILE = f"""
UPDATE files SET state = 'discovered', kind = COALESCE(?, kind), gen = ?,
    stored_gen = CASE WHEN ? THEN NULL ELSE stored_gen END
WHERE id = ? AND {_CURRENT}"""  # noqa: S608 - constants
_LOOK_AGAIN_WORK = f"""
UPDATE work SET queued_at_ms = CASE WHEN stage = 'checksum' THEN queued_at_ms ELSE ? END,
    stage = 'checksum', gen = ?, state = CASE WHEN {queue.HELD_BY_A_PERSON} THEN 'held' ELSE 'waiting' END,
    eligible_at_ms = CASE WHEN {queue.HELD_BY_A_PERSON} THEN NULL ELSE ? END,
    reason = CASE WHEN {queue.HELD_BY_A_PERSON} THEN reason ELSE ? END, last_error = NULL, attempts = 0,
    seen_size = ?, seen_mtime_ns = ?, seen_ctime_ns = ?, seen_inode = ?, seen_device = ?
WHERE file_id = ? AND gen = ? AND stage = ?"""  # noqa: S608 - constants
_OFFERED = """
WITH v (id) AS ({values})
UPDATE files SET offered_gen = MAX(COALESCE(offered_gen, 0), gen) FROM v WHERE files.id = v.id"""
_OFFERED_AS_READ = f"""
WITH v ({_FACTS}, id) AS ({{values}})
UPDATE files SET {_AS_READ}, offered_gen = MAX(COALESCE(offered_gen, 0), gen)
FROM v WHERE files.id = v.id"""  # noqa: S608 - constants
_STORED = """
WITH v (state, stored_at_ms, sequence, server, sent, stored_at, tree, leaf, id) AS ({values})
UPDATE files SET state = v.state, stored_gen = gen, stored_sha256 = sha256, stored_mtime_ns = mtime_ns,
    stored_mode = mode, stored_uid = uid, stored_gid = gid, stored_at_ms = v.stored_at_ms,
    stored_sequence = v.sequence, stored_server = v.server, stored_sent = v.sent, stored_kind = kind,
    stored_target = link_target, stored_size = CASE kind WHEN 'file' THEN size_bytes ELSE 0 END,
    stored_at = v.stored_at, stored_tree = v.tree, stored_leaf = v.leaf, stored_snapshot = 0
FROM v WHERE files.id = v.id"""
_OTHERS_RECEIPTS = """
UPDATE files SET stored_gen = NULL,
    state = CASE WHEN state IN ('completed', 'unchanged') THEN 'ready_for_upload' ELSE state END
WHERE stored_server IS NOT NULL AND stored_server <> ? AND stored_gen IS NOT NULL"""
_ALL_RECEIPTS = """
UPDATE files SET stored_gen = NULL,
    state = CASE WHEN state IN ('completed', 'unchanged') THEN 'ready_for_upload' ELSE state END
WHERE stored_gen IS NOT NULL"""
SEND = f"""
INSERT INTO work (file_id, stage, gen, queued_at_ms, eligible_at_ms, lane,
                  seen_size, seen_mtime_ns, seen_ctime_ns, seen_inode, seen_device)
SELECT id, 'upload', gen, ?1, ?1, {queue.LANE}, size_bytes, mtime_ns, ctime_ns, inode, device
FROM files WHERE {{which}}state = 'ready_for_upload'
ON CONFLICT (file_id) DO NOTHING"""  # noqa: S608 - constants
"""Put files in line to be sent that are in no other."""
_SEND_AGAIN = SEND.format(which="")
_DO_NOT_SEND = f"UPDATE files SET state = 'unsupported', reason = ? WHERE id = ? AND {_CURRENT}"  # noqa: S608
_TAKEN_NOW = """
UPDATE files SET state = 'ready_for_upload', reason = NULL WHERE state = 'unsupported' AND reason = ?"""
_RENEW = f"UPDATE files SET gen = ? WHERE id = ? AND {_CURRENT}"  # noqa: S608 - constants
_FORGET = f"DELETE FROM files WHERE id = ? AND {_CURRENT}"  # noqa: S608 - constants


async def hashed(
    tx: aiosqlite.Connection, rows: Sequence[tuple[Claim, Hashed, bool, FileState, int]], now_ms: int
) -> None:
    """Record digests: (claim, what was read, racy, new state, generation)."""
    current = await queue.current(tx, [claim for claim, *_ in rows])
    await bulk.write(
        tx,
        _HASHED,
        [
            (*_facts(read), racy, now_ms, state.value, gen, claim.file_id)
            for claim, read, racy, state, gen in rows
            if queue.key_of(claim) in current
        ],
    )


async def look_again(
    tx: aiosqlite.Connection,
    claim: Claim,
    seen: Stat,
    gen: int,
    eligible_ms: int,
    now_ms: int,
    reason: str | None,
    kind: Kind | None = None,
) -> None:
    """Put a file that is not what we thought (of another *kind*, perhaps) in line, under the new generation *gen*."""
    server_may_know = claim.stage == "deletion"  # it may have been told that the file is gone
    await tx.execute(_LOOK_AGAIN_FILE, (kind, gen, server_may_know, *queue.key_of(claim)))
    await tx.execute(_LOOK_AGAIN_WORK, (now_ms, gen, eligible_ms, reason, *seen, *queue.key_of(claim)))


async def offered(tx: aiosqlite.Connection, claims: Sequence[Claim], now_ms: int) -> list[Claim]:
    """Note, before it happens, that a server may get to know these generations; return those that may still be sent.

    A file that was found changed or missing since it was claimed must not be: its row may be forgotten, and then
    nobody would ever tell the server that it is gone. Nor what a person has set aside since.
    What is sent right after it was read is written down with it, so that whoever reads it once more knows what it was
    offered as.
    """
    wanted = await queue.wanted(tx, claims)
    there = [claim for claim in claims if queue.key_of(claim) in wanted]
    await bulk.write(tx, _OFFERED, [(claim.file_id,) for claim in there if claim.stage is Stage.UPLOAD])
    read = [(claim, claim.hashed) for claim in there if claim.hashed and claim.stage is not Stage.UPLOAD]
    await bulk.write(tx, _OFFERED_AS_READ, [(*_facts(h), c.racy, now_ms, c.file_id) for c, h in read])
    return there


async def put_in_line(tx: aiosqlite.Connection, claims: Sequence[Claim], now_ms: int) -> list[Claim]:
    """Write down what was handed on and is not sent at once, after all: it waits in line to be sent.

    Return all *claims*, as those of rows in that line.
    """
    handed = [claim for claim in claims if claim.stage is Stage.CHECKSUM]
    if not handed:
        return list(claims)
    ready = FileState.READY_FOR_UPLOAD
    read = [(claim, claim.hashed) for claim in handed if claim.hashed is not None]
    await hashed(tx, [(claim, facts, claim.racy, ready, claim.gen) for claim, facts in read], now_ms)
    await queue.to_upload(tx, [(claim, facts, claim.gen) for claim, facts in read], now_ms)
    return [claim._replace(stage=Stage.UPLOAD, content=None) for claim in claims]


def _facts(read: Hashed) -> tuple[object, ...]:
    return (*read.stat, *read[1:4], read.sha256 or None, read.target)


async def stored(
    tx: aiosqlite.Connection, rows: Sequence[tuple[Claim, Kept, FileState, bool, int | None]], now_ms: int
) -> None:
    """Record receipts and remove the work they finish, together: (claim, receipt, state, bytes were sent, tree).

    The receipt is a leaf of that tree (see `receipts.keep`); None where it is not signed.
    """
    current = await queue.current(tx, [claim for claim, *_ in rows])
    values = []
    for claim, receipt, state, sent, tree in rows:
        if queue.key_of(claim) not in current:
            continue
        facts = (state.value, now_ms, receipt.sequence, receipt.server_id, sent, receipt.stored_at)
        values.append((*facts, tree, None if tree is None else receipt.leaf, claim.file_id))
    await bulk.write(tx, _STORED, values)
    await stored_blocks.keep(tx, [claim for claim, *_ in rows])
    await queue.done(tx, [claim for claim, *_ in rows])


async def disregard_receipts_of_others(tx: aiosqlite.Connection, server_id: str | None, now_ms: int) -> None:
    """Let only receipts of *server_id* count: what another server has must be given to this one, too."""
    await tx.execute(_OTHERS_RECEIPTS, (server_id,))
    await tx.execute(_SEND_AGAIN, (now_ms,))


async def not_taken(tx: aiosqlite.Connection, claims: Sequence[Claim]) -> None:
    """Leave alone what the server does not take, until there is one that does: see `taken_now`."""
    await tx.executemany(_DO_NOT_SEND, [(NOT_TAKEN, *queue.key_of(claim)) for claim in claims])
    await queue.done(tx, claims)


async def taken_now(tx: aiosqlite.Connection, now_ms: int) -> None:
    """Put everything that was `not_taken` in line again: the server takes it by now."""
    await tx.execute(_TAKEN_NOW, (NOT_TAKEN,))
    await tx.execute(_SEND_AGAIN, (now_ms,))


async def disregard_all_receipts(tx: aiosqlite.Connection, now_ms: int) -> None:
    """Let no receipt count any more: they are of another host than we are from now on."""
    await tx.execute(_ALL_RECEIPTS)
    await tx.execute(_SEND_AGAIN, (now_ms,))


async def renew(tx: aiosqlite.Connection, rows: Sequence[tuple[Claim, int]]) -> None:
    """Give files a newer generation, without a change of anything else."""
    await tx.executemany(_RENEW, [(gen, *queue.key_of(claim)) for claim, gen in rows])


async def forget(tx: aiosqlite.Connection, claims: Sequence[Claim]) -> None:
    """Drop files whose deletion the server has confirmed, with their work."""
    await tx.executemany(_FORGET, [queue.key_of(claim) for claim in claims])
