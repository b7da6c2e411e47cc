"""Work still to do, one queue per stage. A row says what and for which generation; who is doing it lives in memory.

A crash frees every claim by itself. A row leaves the queue only in the transaction that records its effect, and only if
its generation is still the one that was worked on: late finishers change nothing.
"""

import asyncio
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence

import aiosqlite

from pp_assist.clock import Clock
from pp_assist.core.model import HUGE_BYTES, Claim, Hashed, Kind, Lane, Location, Stage, Stat, Stored
from pp_assist.store.db import Database
from pp_server.wire.batch import MAX_INLINE_BYTES

CLAIM = """
SELECT w.file_id, w.gen, w.attempts, w.queued_at_ms, w.seen_size, w.seen_mtime_ns, w.seen_ctime_ns, w.seen_inode,
       w.seen_device, f.name, f.size_bytes, f.mtime_ns, f.ctime_ns, f.inode, f.device, f.mode, f.uid, f.gid, f.sha256,
       f.offered_gen, f.stored_gen, f.stored_sha256, f.stored_mtime_ns, f.stored_mode, f.stored_uid, f.stored_gid,
       f.stored_sent, f.stored_kind, f.stored_target, f.stored_snapshot, f.racy, f.kind, f.link_target, w.blocks,
       COALESCE(f.sha256, f.stored_sha256) AS last_sha256,
       d.path AS directory, r.id AS root_id, r.path AS root_path, r.shown, r.recursive,
       r.device AS root_device, r.inode AS root_inode, r.file_system AS root_file_system
FROM work w JOIN files f ON f.id = w.file_id JOIN directories d ON d.id = f.directory_id
JOIN roots r ON r.id = d.root_id"""
_READY = f"""{CLAIM}
WHERE {{which}} AND (w.eligible_at_ms <= ? OR w.eligible_at_ms > ?) AND r.enabled = 1 AND r.status = 'healthy'
AND w.file_id NOT IN (SELECT value FROM json_each(?)) ORDER BY w.eligible_at_ms, w.file_id LIMIT ?"""  # noqa: S608 - constants
_NEXT = "SELECT MIN(eligible_at_ms) FROM work w WHERE {which} AND eligible_at_ms > ?"
_HUGE = f"w.seen_size >= {HUGE_BYTES}"
_NOT_HUGE = f"(w.seen_size IS NULL OR w.seen_size < {HUGE_BYTES})"
_WHICH = {  # literals all of them, so that the partial indexes serve
    (Stage.CHECKSUM, None): f"w.stage = 'checksum' AND {_NOT_HUGE}",
    (Stage.CHECKSUM, Lane.HUGE): f"w.stage = 'checksum' AND {_HUGE}",
    (Stage.UPLOAD, Lane.SMALL): "w.stage = 'upload' AND w.lane = 'small'",
    (Stage.UPLOAD, Lane.LARGE): f"w.stage = 'upload' AND w.lane = 'large' AND {_NOT_HUGE}",
    (Stage.UPLOAD, Lane.HUGE): f"w.stage = 'upload' AND {_HUGE}",
    (Stage.VANISHED, None): "w.stage = 'vanished'",
    (Stage.DELETION, None): "w.stage = 'deletion'",
}
LONGEST_SLEEP_S = 30.0
IMPOSSIBLE_WAIT_MS = 2 * 86_400_000
"""Nothing is ever put off that long: the clock was put back while no daemon ran, and the row is due."""
CLOCK_STEP_MS = 60_000
"""By less than this the clock may be put back without anybody caring."""
_PUT_BACK = "UPDATE work AS w SET eligible_at_ms = eligible_at_ms - ?1 WHERE {which} AND eligible_at_ms > ?2 + ?1"
_CURRENT = "SELECT file_id, gen, stage FROM work WHERE file_id IN (SELECT value FROM json_each(?)) AND state <> 'held'"
_DONE = "DELETE FROM work WHERE file_id = ? AND gen = ? AND stage = ?"
_RETRY = """
UPDATE work SET state = 'backoff', eligible_at_ms = ?, attempts = attempts + 1, reason = ?, last_error = ?
WHERE file_id = ? AND gen = ? AND stage = ?"""
_LATER = "UPDATE work SET eligible_at_ms = ?, reason = ?, last_error = ? WHERE file_id = ? AND gen = ? AND stage = ?"
_PARK = """
UPDATE work SET state = 'parked', eligible_at_ms = NULL, attempts = attempts + 1, reason = ?, last_error = ?
WHERE file_id = ? AND gen = ? AND stage = ?"""
_ASK_AGAIN = """
UPDATE work SET state = 'waiting', eligible_at_ms = ?1, attempts = 0
WHERE state IN ('parked', 'backoff') AND (?2 IS NULL OR file_id IN (
    SELECT f.id FROM files f JOIN directories d ON d.id = f.directory_id WHERE d.root_id = ?2))"""
_AGE = """
UPDATE work SET eligible_at_ms = MIN(eligible_at_ms, MAX(?2, MAX(seen_mtime_ns, seen_ctime_ns) / 1000000 + ?1))
WHERE stage = 'checksum' AND reason = 'too_young' AND state = 'waiting'"""
LANE = f"CASE WHEN kind <> 'file' OR size_bytes <= {MAX_INLINE_BYTES} THEN '{Lane.SMALL}' ELSE '{Lane.LARGE}' END"
"""The lane of a row of `files`."""
_MOVE = f"""
UPDATE work SET stage = ?, gen = ?, state = 'waiting', queued_at_ms = ?, eligible_at_ms = ?, attempts = 0,
    reason = NULL, last_error = NULL, blocks = ?, lane = (SELECT {LANE} FROM files WHERE id = work.file_id)
WHERE file_id = ? AND gen = ? AND stage = ?"""  # noqa: S608 - constants


class WorkQueue:
    """The rows of one stage, or of one of its lanes."""

    def __init__(self, db: Database, stage: Stage, clock: Clock, lane: Lane | None = None) -> None:
        self._db = db
        self._stage = stage
        which = _WHICH[stage, lane]
        self._ready, self._next, self._put_back = (sql.format(which=which) for sql in (_READY, _NEXT, _PUT_BACK))
        self._clock = clock
        self._claimed: set[int] = set()
        self._woken = asyncio.Event()
        self._offset_ms = clock.now_ms() - clock.mono_ms()

    def wake(self) -> None:
        """Let whoever waits in `take` look now. Only a hint: everybody also looks by himself."""
        self._woken.set()

    def start_over(self) -> None:
        """Give everything back: those who held it are gone."""
        self._claimed.clear()

    async def take(self, limit: int) -> list[Claim]:
        """Wait for work and claim up to *limit* rows of it, oldest first. Give each back with `release`."""
        while True:
            await self._follow_the_clock()
            now_ms = self._clock.now_ms()
            claims = await self.claim(now_ms, limit)
            if claims:
                return claims
            await self._sleep(now_ms)

    async def _follow_the_clock(self) -> None:
        """Where the clock was put back, put back what waits for it: it would wait for that much longer."""
        now_ms = self._clock.now_ms()
        offset_ms = now_ms - self._clock.mono_ms()
        back_ms, self._offset_ms = self._offset_ms - offset_ms, offset_ms
        if back_ms > CLOCK_STEP_MS:
            async with self._db.transaction() as tx:
                await tx.execute(self._put_back, (back_ms, now_ms - CLOCK_STEP_MS))

    async def claim(self, now_ms: int, limit: int) -> list[Claim]:
        """Take up to *limit* eligible rows that nobody holds, oldest first; none if there are none."""
        held = frozenset(self._claimed)  # whoever gives one back while we read has changed its row after our snapshot
        times = (now_ms, now_ms + IMPOSSIBLE_WAIT_MS)
        rows = await self._db.rows(self._ready, (*times, json.dumps(list(held)), limit))
        held |= self._claimed
        free = [row for row in rows if row["file_id"] not in held][:limit]
        self._claimed |= {row["file_id"] for row in free}
        return [claim_of(self._stage, row) for row in free]

    def release(self, claims: Iterable[Claim]) -> None:
        """Give claims back, whatever became of them; their rows may be there again under a newer generation."""
        given_back = {claim.file_id for claim in claims}
        self._claimed -= given_back
        if given_back:
            self.wake()

    async def _sleep(self, since_ms: int) -> None:
        """Sleep until woken, until the first row that was not yet eligible at *since_ms* is, or half a minute."""
        next_ms = await self._db.value(self._next, (since_ms,))
        timeout_s = LONGEST_SLEEP_S if next_ms is None else (next_ms - self._clock.now_ms()) / 1000
        try:
            async with asyncio.timeout(min(max(0.0, timeout_s), LONGEST_SLEEP_S)):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()

    def holds(self, claim: Claim) -> bool:
        """Say whether somebody works on the file of *claim*, for this queue."""
        return claim.file_id in self._claimed


class Queues:
    """All of them."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self.checksum = WorkQueue(db, Stage.CHECKSUM, clock)
        self.huge_checksum = WorkQueue(db, Stage.CHECKSUM, clock, Lane.HUGE)
        self.uploads = {lane: WorkQueue(db, Stage.UPLOAD, clock, lane) for lane in Lane}
        self.vanished = WorkQueue(db, Stage.VANISHED, clock)
        self.deletion = WorkQueue(db, Stage.DELETION, clock)
        self.moved = asyncio.Event()
        """A directory was moved: see `tree_moves`."""

    def __iter__(self) -> Iterator[WorkQueue]:
        yield from (self.checksum, self.huge_checksum, *self.uploads.values(), self.vanished, self.deletion)

    def wake_checksums(self) -> None:
        """Let the hasher look, in both its lanes."""
        self.checksum.wake()
        self.huge_checksum.wake()

    def wake_uploads(self) -> None:
        """Let all lanes look."""
        for queue in self.uploads.values():
            queue.wake()

    def is_uploading(self, claim: Claim) -> bool:
        """Say whether the file of *claim* (a claim of another stage, as a rule) is being sent."""
        return any(queue.holds(claim) for queue in self.uploads.values())


async def current(tx: aiosqlite.Connection, claims: Sequence[Claim]) -> set[int]:
    """Return the file ids of those *claims* whose work is still to be done, as it was when it was claimed."""
    rows = await tx.execute_fetchall(_CURRENT, (json.dumps([claim.file_id for claim in claims]),))
    there = {(row[0], row[1], row[2]) for row in rows}
    return {claim.file_id for claim in claims if (claim.file_id, claim.gen, claim.stage) in there}


async def done(tx: aiosqlite.Connection, claims: Iterable[Claim]) -> None:
    """Remove finished work; a row of a newer generation stays."""
    await tx.executemany(_DONE, [(c.file_id, c.gen, c.stage) for c in claims])


async def retry(tx: aiosqlite.Connection, claim: Claim, at_ms: int, reason: str, error: str) -> None:
    """Try again at *at_ms*, and count the attempt."""
    await tx.execute(_RETRY, (at_ms, reason, error, claim.file_id, claim.gen, claim.stage))


async def later(tx: aiosqlite.Connection, claim: Claim, at_ms: int, reason: str, error: str) -> None:
    """Try again at *at_ms*; it was not this file's fault."""
    await tx.execute(_LATER, (at_ms, reason, error, claim.file_id, claim.gen, claim.stage))


async def later_all(tx: aiosqlite.Connection, claims: Iterable[Claim], at_ms: int, reason: str, error: str) -> None:
    """`later`, for many with the same reason."""
    await tx.executemany(_LATER, [(at_ms, reason, error, c.file_id, c.gen, c.stage) for c in claims])


async def park(tx: aiosqlite.Connection, claim: Claim, reason: str, error: str) -> None:
    """Keep the row, and leave it alone until the file changes or a person asks."""
    await tx.execute(_PARK, (reason, error, claim.file_id, claim.gen, claim.stage))


async def ask_again(tx: aiosqlite.Connection, root_id: int | None, now_ms: int) -> None:
    """Let everything that is parked or in backoff (of one root, or of all) be tried at once."""
    await tx.execute(_ASK_AGAIN, (now_ms, root_id))


async def age(tx: aiosqlite.Connection, min_age_ms: int, now_ms: int) -> None:
    """Let files that wait to be old enough wait no longer than the setting wants by now."""
    await tx.execute(_AGE, (min_age_ms, now_ms))


async def move(tx: aiosqlite.Connection, moves: Sequence[tuple[Claim, Stage, int]], now_ms: int) -> None:
    """Hand work on to another stage: (claim, stage, generation from now on)."""
    rows = [(stage, gen, now_ms, now_ms, None, c.file_id, c.gen, c.stage) for c, stage, gen in moves]
    await tx.executemany(_MOVE, rows)


async def to_upload(tx: aiosqlite.Connection, moves: Sequence[tuple[Claim, Hashed, int]], now_ms: int) -> None:
    """Hand hashed files on to be uploaded: (claim, what was read, generation from now on)."""
    rows = [(Stage.UPLOAD, gen, now_ms, now_ms, read.blocks, c.file_id, c.gen, c.stage) for c, read, gen in moves]
    await tx.executemany(_MOVE, rows)


def claim_of(stage: Stage, row: sqlite3.Row) -> Claim:
    """Return a row of `CLAIM` as a claim."""
    location = Location(
        row["root_id"],
        row["root_path"],
        row["root_device"],
        row["root_inode"],
        row["directory"],
        row["name"],
        row["shown"],
        bool(row["recursive"]),
        row["root_file_system"],
    )
    return Claim(
        file_id=row["file_id"],
        gen=row["gen"],
        stage=stage,
        attempts=row["attempts"],
        queued_at_ms=row["queued_at_ms"],
        location=location,
        offered_gen=row["offered_gen"],
        seen=_stat(row, "seen_size", "seen_"),
        hashed=_hashed(row),
        stored=_stored(row),
        racy=bool(row["racy"]),
        last_sha256=row["last_sha256"],
        kind=Kind(row["kind"]),
    )


def _stat(row: sqlite3.Row, size: str, prefix: str) -> Stat | None:
    if row[size] is None:
        return None
    return Stat(row[size], *(row[prefix + column] for column in ("mtime_ns", "ctime_ns", "inode", "device")))


def _hashed(row: sqlite3.Row) -> Hashed | None:
    stat = _stat(row, "size_bytes", "")
    if stat is None:
        return None
    mode, uid, gid, sha256, blocks, target = (row[c] for c in ("mode", "uid", "gid", "sha256", "blocks", "link_target"))
    return Hashed(stat, mode, uid, gid, sha256 or "", blocks, Kind(row["kind"]), target)


def _stored(row: sqlite3.Row) -> Stored | None:
    if row["stored_gen"] is None:
        return None
    fields = ("gen", "sha256", "mtime_ns", "mode", "uid", "gid", "kind", "target")
    gen, sha256, mtime_ns, mode, uid, gid, kind, target = (row[f"stored_{field}"] for field in fields)
    sent, snapshot = bool(row["stored_sent"]), bool(row["stored_snapshot"])
    return Stored(gen, sha256 or "", mtime_ns, mode, uid, gid, sent, snapshot, Kind(kind), target)
