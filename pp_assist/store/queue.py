"""Work still to do, one queue per stage. A row says what and for which generation; who is doing it lives in memory.

A crash frees every claim by itself. A row leaves the queue only in the transaction that records its effect, and only if
its generation is still the one that was worked on: late finishers change nothing.
"""

import asyncio
import json
from collections.abc import Iterable, Sequence
from typing import Any

import aiosqlite

from pp_assist.clock import Clock
from pp_assist.core.aside import CANCELLED, HELD_BY_PERSON
from pp_assist.core.model import HUGE_BYTES, Claim, Folder, Hashed, Kind, Lane, Location, Stage, Stat, Stored
from pp_assist.store import bulk
from pp_assist.store.db import Database
from pp_server.wire.batch import MAX_INLINE_BYTES

_CLAIMED = """
w.file_id, w.gen, w.attempts, w.queued_at_ms, f.name, f.kind, f.offered_gen, f.racy,
w.seen_size, w.seen_mtime_ns, w.seen_ctime_ns, w.seen_inode, w.seen_device,
f.size_bytes, f.mtime_ns, f.ctime_ns, f.inode, f.device, f.mode, f.uid, f.gid, f.sha256, w.blocks, f.link_target,
f.stored_gen, f.stored_sha256, f.stored_mtime_ns, f.stored_mode, f.stored_uid, f.stored_gid, f.stored_sent,
f.stored_snapshot, f.stored_kind, f.stored_target,
d.id, r.id, r.path, r.device, r.inode, d.path, r.shown, r.recursive, r.file_system"""
_COLUMNS = [each.strip() for each in _CLAIMED.split(",")]
_BLOBS = ("f.name", "w.blocks", "f.link_target", "f.stored_target", "r.path", "r.shown", "d.path")
_SELECT = """
SELECT {columns}
FROM work w JOIN files f ON f.id = w.file_id JOIN directories d ON d.id = f.directory_id
JOIN roots r ON r.id = d.root_id"""
CLAIM = _SELECT.replace("{columns}", _CLAIMED)
_READY = f"""{_SELECT}
WHERE {{which}} AND (w.eligible_at_ms <= ? OR w.eligible_at_ms > ?) AND r.enabled = 1 AND r.status = 'healthy'
AND w.file_id NOT IN (SELECT value FROM json_each(?)) ORDER BY w.eligible_at_ms, w.file_id LIMIT ?"""  # noqa: S608 - constants
_NEXT = "SELECT MIN(eligible_at_ms) FROM work w WHERE {which} AND eligible_at_ms > ?"
_HUGE = f"w.seen_size >= {HUGE_BYTES}"
_NOT_HUGE = f"(w.seen_size IS NULL OR w.seen_size < {HUGE_BYTES})"
_NOT_UPLOAD = "w.stage <> 'upload'"
_WHICH = {  # literals all of them, so that the partial indexes serve
    (Stage.CHECKSUM, None): f"w.stage = 'checksum' AND {_NOT_UPLOAD} AND {_NOT_HUGE}",
    (Stage.CHECKSUM, Lane.HUGE): f"w.stage = 'checksum' AND {_HUGE}",
    (Stage.UPLOAD, Lane.SMALL): "w.stage = 'upload' AND w.lane = 'small'",
    (Stage.UPLOAD, Lane.LARGE): f"w.stage = 'upload' AND w.lane = 'large' AND {_NOT_HUGE}",
    (Stage.UPLOAD, Lane.HUGE): f"w.stage = 'upload' AND {_HUGE}",
    (Stage.VANISHED, None): f"w.stage = 'vanished' AND {_NOT_UPLOAD}",
    (Stage.DELETION, None): f"w.stage = 'deletion' AND {_NOT_UPLOAD}",
}
BUMPED_MS = 0
"""When the turn of a row was that a person wants to be the next, in every line that it passes."""
LONGEST_SLEEP_S = 30.0
IMPOSSIBLE_WAIT_MS = 2 * 86_400_000
"""Nothing is ever put off that long: the clock was put back while no daemon ran, and the row is due."""
CLOCK_STEP_MS = 60_000
"""By less than this the clock may be put back without anybody caring."""
_PUT_BACK = "UPDATE work AS w SET eligible_at_ms = eligible_at_ms - ?1 WHERE {which} AND eligible_at_ms > ?2 + ?1"
_CURRENT = """
SELECT json_group_array(json(c.value)) FROM json_each(?) c JOIN work w ON w.file_id = json_extract(c.value, '$[0]')
WHERE w.gen = json_extract(c.value, '$[1]') AND w.stage = json_extract(c.value, '$[2]')"""
_WANTED = f"{_CURRENT} AND (w.state = 'waiting' OR w.state = 'backoff')"
HELD_BY_A_PERSON = f"work.state = 'held' AND work.reason = '{HELD_BY_PERSON}'"
"""Of a row: it stays held whatever becomes of its file."""
_DONE = """
WITH v (file_id, gen, stage) AS ({values}) DELETE FROM work WHERE file_id IN (
    SELECT w.file_id FROM v JOIN work w ON w.file_id = v.file_id AND w.gen = v.gen AND w.stage = v.stage)"""
_RETRY = """
UPDATE work SET state = 'backoff', eligible_at_ms = ?, attempts = attempts + 1, reason = ?, last_error = ?
WHERE file_id = ? AND gen = ? AND stage = ? AND state <> 'held' AND state <> 'parked'"""
_LATER = """
UPDATE work SET eligible_at_ms = ?, reason = ?, last_error = ?
WHERE file_id = ? AND gen = ? AND stage = ? AND state <> 'held' AND state <> 'parked'"""
_PARK = """
UPDATE work SET state = 'parked', eligible_at_ms = NULL, attempts = attempts + 1, reason = ?, last_error = ?
WHERE file_id = ? AND gen = ? AND stage = ? AND state <> 'held'"""
_ASK_AGAIN = f"""
UPDATE work SET state = 'waiting', eligible_at_ms = ?1, attempts = 0
WHERE state IN ('parked', 'backoff') AND reason IS NOT '{CANCELLED}' AND (?2 IS NULL OR file_id IN (
    SELECT f.id FROM files f JOIN directories d ON d.id = f.directory_id WHERE d.root_id = ?2))"""  # noqa: S608 - constants
_AGE = """
UPDATE work SET eligible_at_ms = MIN(eligible_at_ms, MAX(?2, MAX(seen_mtime_ns, seen_ctime_ns) / 1000000 + ?1))
WHERE stage = 'checksum' AND reason = 'too_young' AND state = 'waiting'"""
LANE = f"CASE WHEN kind <> 'file' OR size_bytes <= {MAX_INLINE_BYTES} THEN '{Lane.SMALL}' ELSE '{Lane.LARGE}' END"
"""The lane of a row of `files`."""
_MOVE = f"""
UPDATE work SET stage = ?, gen = ?, state = 'waiting', queued_at_ms = ?, eligible_at_ms = ?, attempts = 0,
    reason = NULL, last_error = NULL, blocks = ?, lane = (SELECT {LANE} FROM files WHERE id = work.file_id)
WHERE file_id = ? AND gen = ? AND stage = ?"""  # noqa: S608 - constants
_ASIDE = "state = 'held' OR state = 'parked'"
_TO_UPLOAD = f"""
WITH v (gen, now_ms, blocks, lane, file_id, gen_so_far) AS ({{values}})
UPDATE work SET stage = 'upload', gen = v.gen, queued_at_ms = v.now_ms, attempts = 0, last_error = NULL,
    blocks = v.blocks, lane = v.lane,
    state = CASE WHEN {_ASIDE} THEN state ELSE 'waiting' END, reason = CASE WHEN {_ASIDE} THEN reason END,
    eligible_at_ms = CASE
        WHEN {_ASIDE} THEN NULL WHEN eligible_at_ms = {BUMPED_MS} THEN {BUMPED_MS} ELSE v.now_ms END
FROM v WHERE work.file_id = v.file_id AND work.gen = v.gen_so_far AND stage = 'checksum'"""  # noqa: S608 - constants


Key = tuple[int, int, str]
"""File id, generation, stage."""


class WorkQueue:
    """The rows of one stage, or of one of its lanes."""

    def __init__(self, db: Database, stage: Stage, clock: Clock, lane: Lane | None = None) -> None:
        self._db = db
        self._stage = stage
        which = _WHICH[stage, lane]
        self._next, self._put_back = (sql.format(which=which) for sql in (_NEXT, _PUT_BACK))
        self._ready = bulk.AtOnce(_READY.replace("{which}", which), _COLUMNS, _BLOBS)
        self._clock = clock
        self._claimed: set[int] = set()
        self._lent: set[int] = set()
        self._withdrawn: set[int] = set()
        self._woken = asyncio.Event()
        self._offset_ms = clock.now_ms() - clock.mono_ms()

    def wake(self) -> None:
        """Let whoever waits in `take` look now. Only a hint: everybody also looks by himself."""
        self._woken.set()

    def start_over(self) -> None:
        """Give everything back: those who held it are gone; what was lent is in other hands."""
        self._claimed &= self._lent
        self._withdrawn.clear()

    def lend(self, claims: Iterable[Claim]) -> None:
        """Have claims held by another queue: they are given back when that releases them, or by `take_back`."""
        self._lent.update(claim.file_id for claim in claims)

    def take_back(self) -> None:
        """Give back everything that was lent: those who held it are gone."""
        self._claimed -= self._lent
        self._lent.clear()
        self.wake()

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
        rows = self._ready.rows(await self._db.value(self._ready.sql, (*times, json.dumps(list(held)), limit)))
        held |= self._claimed
        claims = claims_of(self._stage, [row for row in rows if row[0] not in held])
        self._claimed.update(claim.file_id for claim in claims)
        return claims

    def release(self, claims: Iterable[Claim]) -> None:
        """Give claims back, whatever became of them; their rows may be there again under a newer generation."""
        given_back = {claim.file_id for claim in claims}
        self._claimed -= given_back
        self._lent -= given_back
        self._withdrawn -= given_back
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

    def holds(self, file_id: int) -> bool:
        """Say whether somebody works on that file, for this queue."""
        return file_id in self._claimed

    @property
    def claimed(self) -> frozenset[int]:
        """The files that somebody works on, for this queue."""
        return frozenset(self._claimed)

    def withdraw(self, file_ids: Iterable[int]) -> None:
        """Ask whoever works on these files to leave them as they are at his next step."""
        self._withdrawn |= self._claimed.intersection(file_ids)

    def is_withdrawn(self, claim: Claim) -> bool:
        """Say whether the work on *claim* is not wanted any more."""
        return claim.file_id in self._withdrawn


def lane_of(read: Hashed) -> Lane:
    """Return the lane in which what was *read* is sent: the same that `LANE` says of its row."""
    return Lane.SMALL if read.content_bytes <= MAX_INLINE_BYTES else Lane.LARGE


def key_of(claim: Claim) -> Key:
    """Return what a row of `work` must be about for *claim* to count."""
    return claim.file_id, claim.gen, claim.stage


async def current(tx: aiosqlite.Connection, claims: Sequence[Claim]) -> set[Key]:
    """Return the keys of those *claims* whose row is still about what was claimed: of one for each file at most."""
    return await _of(tx, _CURRENT, claims)


async def wanted(tx: aiosqlite.Connection, claims: Sequence[Claim]) -> set[Key]:
    """Return the keys of those *claims* that are `current`, and have not been held or parked since."""
    return await _of(tx, _WANTED, claims)


async def _of(tx: aiosqlite.Connection, sql: str, claims: Sequence[Claim]) -> set[Key]:
    ((there,),) = await tx.execute_fetchall(sql, (json.dumps([key_of(claim) for claim in claims]),))
    return {(file_id, gen, stage) for file_id, gen, stage in json.loads(there)}


async def done(tx: aiosqlite.Connection, claims: Iterable[Claim]) -> None:
    """Remove finished work; a row of a newer generation stays."""
    await bulk.write(tx, _DONE, [key_of(claim) for claim in claims])


async def retry(tx: aiosqlite.Connection, claim: Claim, at_ms: int, reason: str, error: str) -> None:
    """Try again at *at_ms*, and count the attempt. What was held since it was claimed stays held."""
    await tx.execute(_RETRY, (at_ms, reason, error, claim.file_id, claim.gen, claim.stage))


async def later(tx: aiosqlite.Connection, claim: Claim, at_ms: int, reason: str, error: str) -> None:
    """Try again at *at_ms*; it was not this file's fault. What was held since it was claimed stays held."""
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
    """Hand hashed files on to be uploaded: (claim, what was read, generation from now on).

    What a person has set aside, or put first, since it was claimed stays so.
    """
    rows = [(gen, now_ms, read.blocks, lane_of(read).value, c.file_id, c.gen) for c, read, gen in moves]
    await bulk.write(tx, _TO_UPLOAD, rows)


_KINDS = {kind.value: kind for kind in Kind}


def claims_of(stage: Stage, rows: Iterable[Sequence[Any]]) -> list[Claim]:
    """Return rows of `CLAIM` as claims; those of one directory share their folder."""
    folders: dict[int, Folder] = {}
    claims = []
    for row in rows:
        file_id, gen, attempts, queued_at_ms, name, kind, offered_gen, racy = row[:8]
        directory_id, root_id, root_path, device, inode, directory, shown, recursive, file_system = row[34:43]
        if (folder := folders.get(directory_id)) is None:
            folder = Folder(root_id, root_path, device, inode, directory, shown, bool(recursive), file_system)
            folders[directory_id] = folder
        claims.append(
            Claim(
                file_id,
                gen,
                stage,
                attempts,
                queued_at_ms,
                Location(folder, name),
                offered_gen,
                None if row[8] is None else Stat._make(row[8:13]),
                None if row[13] is None else _hashed(row[13:24], _KINDS[kind]),
                None if row[24] is None else _stored(row[24:34]),
                bool(racy),
                row[21] or row[25],
                _KINDS[kind],
            )
        )
    return claims


def _hashed(values: Sequence[Any], kind: Kind) -> Hashed:
    mode, uid, gid, sha256, blocks, target = values[5:]
    return Hashed(Stat._make(values[:5]), mode, uid, gid, sha256 or "", blocks, kind, target)


def _stored(values: Sequence[Any]) -> Stored:
    gen, sha256, mtime_ns, mode, uid, gid, sent, snapshot, kind, target = values
    return Stored(gen, sha256 or "", mtime_ns, mode, uid, gid, bool(sent), bool(snapshot), _KINDS[kind], target)
