"""What the scanner writes down: directories, names that are new, changed, missing or set aside.

All functions take the transaction they belong to. The scanner never writes the stat columns of `files`; what it saw
waits in `work` until the hasher has read the file.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import aiosqlite

from pp_assist.core.compare import Changes
from pp_assist.core.errors import RootForgotten
from pp_assist.core.model import ALL_NAMES, FileState, Kind, KnownFile, Listing, NoticedBy, Snapshot, Stage, Stat
from pp_assist.core.patterns import Rule
from pp_assist.core.rest import Rest
from pp_assist.core.rules import LeftOut
from pp_assist.store import bulk, generations
from pp_assist.store.db import Database
from pp_assist.store.queue import HELD_BY_A_PERSON
from pp_server.wire.names import below

_NEW_LOOK = ("DELETE FROM looked", "DELETE FROM asked")
_LOOKED = """
INSERT INTO looked (position, path, whole, first, end, is_part, first_path, end_path) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
_ASKED = "INSERT INTO asked (position, name, path) VALUES (?, ?, ?)"

_DIRECTORY = """
INSERT INTO directories (root_id, parent_id, path, listed_at_ms, problem)
VALUES (?1, (SELECT id FROM directories WHERE root_id = ?1 AND path = ?2), ?3, ?4, ?5)
ON CONFLICT (root_id, path) DO UPDATE SET
    gone = 0, problem = excluded.problem,
    listed_at_ms = CASE WHEN ?6 THEN excluded.listed_at_ms ELSE directories.listed_at_ms END"""
_THERE_AGAIN = "UPDATE directories SET gone = 0 WHERE root_id = ? AND path = ? AND gone = 1"
_DIRECTORY_IDS = "SELECT l.position, d.id FROM looked l JOIN directories d ON d.root_id = ? AND d.path = l.path"

KNOWN = """
f.id, f.name, f.state, f.gen, f.size_bytes, f.mtime_ns, f.ctime_ns, f.inode, f.device, f.racy, f.hashed_at_ms,
f.offered_gen, f.reason, f.kind, f.rule_pattern, f.rule_source, f.rule_line,
w.stage, w.seen_size, w.seen_mtime_ns, w.seen_ctime_ns, w.seen_inode, w.seen_device,
w.eligible_at_ms"""
_KNOWN_WHOLE = f"""
SELECT l.position, {KNOWN} FROM looked l
JOIN directories d ON d.root_id = ? AND d.path = l.path
JOIN files f ON f.directory_id = d.id AND f.name >= l.first AND f.name < l.end
LEFT JOIN work w ON w.file_id = f.id WHERE l.whole = 1"""  # noqa: S608 - constants
_KNOWN_ASKED = f"""
SELECT l.position, {KNOWN} FROM asked a JOIN looked l ON l.position = a.position
JOIN directories d ON d.root_id = ? AND d.path = l.path JOIN files f ON f.directory_id = d.id AND f.name = a.name
LEFT JOIN work w ON w.file_id = f.id WHERE l.whole = 0"""  # noqa: S608 - constants
_KNOWN_IN = f"""
SELECT d.path, {KNOWN} FROM directories d JOIN files f ON f.directory_id = d.id LEFT JOIN work w ON w.file_id = f.id
WHERE d.root_id = ? AND d.path = ? AND f.name > ? ORDER BY f.name LIMIT ?"""  # noqa: S608 - constants
_KNOWN_BELOW = f"""
SELECT d.path, {KNOWN} FROM directories d JOIN files f ON f.directory_id = d.id LEFT JOIN work w ON w.file_id = f.id
WHERE d.root_id = ? AND d.path > ? AND d.path >= ? AND d.path < ?
ORDER BY d.path, f.name LIMIT ?"""  # noqa: S608 - constants

_CHILDREN_WHOLE = """
SELECT l.position, c.path FROM looked l JOIN directories d ON d.root_id = ? AND d.path = l.path
JOIN directories c ON c.parent_id = d.id WHERE c.gone = 0 AND l.whole = 1 AND l.is_part = 0"""
_CHILDREN_PART = """
SELECT l.position, c.path FROM looked l CROSS JOIN directories d ON d.root_id = ?1 AND d.path = l.path
CROSS JOIN directories c ON c.root_id = ?1 AND c.path >= l.first_path AND c.path < l.end_path
WHERE +c.parent_id = d.id AND c.gone = 0 AND l.whole = 1 AND l.is_part = 1"""  # CROSS: in this order and no other
_CHILDREN_ASKED = """
SELECT a.position, c.path FROM asked a JOIN directories c ON c.root_id = ? AND c.path = a.path WHERE c.gone = 0"""

_KNOWN_DIRECTORY = "SELECT 1 FROM directories WHERE root_id = ? AND path = ? AND gone = 0"
_KNOWN_AMONG = "SELECT path FROM directories WHERE root_id = ? AND gone = 0 AND path IN"
_ROOT = "SELECT 1 FROM roots WHERE id = ?"
_LAST_GEN = "SELECT value FROM daemon_state WHERE name = 'gen'"

_ADD_FILE = f"""
INSERT INTO files (id, directory_id, name, kind, state, reason, rule_pattern, rule_source, rule_line,
                   noticed_by, gen, discovered_at_ms)
{bulk.ROWS}"""
_LAST_FILE = "SELECT COALESCE(MAX(id), 0) FROM files"
_ADD_WORK = f"""
INSERT INTO work (file_id, stage, gen, queued_at_ms, eligible_at_ms, reason,
                  seen_size, seen_mtime_ns, seen_ctime_ns, seen_inode, seen_device)
{bulk.ROWS}"""

_CHANGE_FILE = """
WITH v (kind, noticed_by, gen, is_told_gone, id) AS ({values})
UPDATE files SET state = 'discovered', kind = v.kind, reason = NULL, rule_pattern = NULL, rule_source = NULL,
    rule_line = NULL, noticed_by = v.noticed_by, gen = v.gen,
    stored_gen = CASE WHEN v.is_told_gone THEN NULL ELSE stored_gen END FROM v WHERE files.id = v.id"""
_CHANGE_WORK = f"""
INSERT INTO work (file_id, stage, gen, queued_at_ms, eligible_at_ms, reason,
                  seen_size, seen_mtime_ns, seen_ctime_ns, seen_inode, seen_device)
{bulk.ROWS}
ON CONFLICT (file_id) DO UPDATE SET
    queued_at_ms = CASE WHEN work.stage = 'checksum' THEN work.queued_at_ms ELSE excluded.queued_at_ms END,
    stage = 'checksum', gen = excluded.gen, attempts = 0, last_error = NULL,
    state = CASE WHEN {HELD_BY_A_PERSON} THEN 'held' ELSE 'waiting' END,
    eligible_at_ms = CASE WHEN {HELD_BY_A_PERSON} THEN NULL ELSE excluded.eligible_at_ms END,
    reason = CASE WHEN {HELD_BY_A_PERSON} THEN work.reason
        ELSE COALESCE(excluded.reason, CASE WHEN work.stage = 'checksum' THEN 'changing' END) END,
    seen_size = excluded.seen_size, seen_mtime_ns = excluded.seen_mtime_ns, seen_ctime_ns = excluded.seen_ctime_ns,
    seen_inode = excluded.seen_inode, seen_device = excluded.seen_device"""
_RECHECK = f"""
INSERT INTO work (file_id, stage, gen, queued_at_ms, eligible_at_ms,
                  seen_size, seen_mtime_ns, seen_ctime_ns, seen_inode, seen_device)
{bulk.ROWS} ON CONFLICT (file_id) DO NOTHING"""
_SOONER = "UPDATE work SET eligible_at_ms = MIN(eligible_at_ms, ?) WHERE file_id = ? AND stage = 'checksum'"

_SET_ASIDE = """
UPDATE files SET state = ?, reason = ?, rule_pattern = ?, rule_source = ?, rule_line = ?, kind = ?, stored_gen = CASE
    WHEN EXISTS (SELECT 1 FROM work WHERE file_id = files.id AND stage = 'deletion') THEN NULL ELSE stored_gen END
WHERE id = ?"""  # the server may have been told that it is gone: should the file return, its receipt is worth nothing
_NO_WORK = "DELETE FROM work WHERE file_id = ?"

_VANISH_FILE = """
WITH v (noticed_by, gen, id) AS ({values})
UPDATE files SET state = 'vanished', noticed_by = v.noticed_by, gen = v.gen FROM v WHERE files.id = v.id"""
_VANISH_WORK = f"""
INSERT INTO work (file_id, stage, gen, queued_at_ms, eligible_at_ms) {bulk.ROWS}
ON CONFLICT (file_id) DO UPDATE SET
    stage = 'vanished', gen = excluded.gen, state = 'waiting', queued_at_ms = excluded.queued_at_ms,
    eligible_at_ms = excluded.eligible_at_ms, attempts = 0, reason = NULL, last_error = NULL"""
_FORGET = "DELETE FROM files WHERE id = ?"
KEEP = """
INSERT INTO kept_files (root_id, directory, name, gen)
SELECT d.root_id, d.path, f.name, MAX(f.gen, f.offered_gen) FROM files f JOIN directories d ON d.id = f.directory_id
WHERE f.offered_gen IS NOT NULL AND {which}
ON CONFLICT (root_id, directory, name) DO UPDATE SET gen = excluded.gen"""
"""Remember that the server keeps files that are forgotten here, and never told as deleted."""
KEEP_ONE = KEEP.format(which="f.id = ?")

_LAST_OF_SOME = """
SELECT id, path FROM directories WHERE root_id = ? AND path >= ? AND path < ? ORDER BY path DESC LIMIT ?"""
_ITSELF = "SELECT id FROM directories WHERE root_id = ? AND path = ?"
_IS_SOMEWHERE = """
EXISTS (SELECT 1 FROM files WHERE directory_id = directories.id AND state NOT IN ('vanished', 'excluded'))
OR EXISTS (SELECT 1 FROM directories child WHERE child.parent_id = directories.id AND child.gone = 0)"""
"""Something in it, or below it, is known to be there: it must be found missing before the directory is."""
_GONE = f"UPDATE directories SET gone = 1 WHERE id = ? AND NOT ({_IS_SOMEWHERE})"  # noqa: S608 - constants
_NOT_GONE = """
SELECT path FROM directories WHERE root_id = ? AND gone = 1 AND EXISTS (
    SELECT 1 FROM files WHERE directory_id = directories.id AND state NOT IN ('vanished', 'excluded')) LIMIT ?"""
_GONE_BEFORE = """
SELECT id, path FROM directories WHERE root_id = ? AND gone = 1 AND path < ? ORDER BY path DESC LIMIT ?"""
_SWEEP = """
DELETE FROM directories WHERE id = ? AND gone = 1
AND NOT EXISTS (SELECT 1 FROM files WHERE directory_id = directories.id)
AND NOT EXISTS (SELECT 1 FROM directories child WHERE child.parent_id = directories.id)"""

_AFTER_ALL_PATHS = b"\xff" * 5000
AT_A_TIME = 1000
"""Rows of a directory that is gone that one transaction is about; and values that one question has."""


@dataclass(slots=True)
class Known:
    """What is known about one listed directory."""

    directory_id: int
    files: dict[bytes, KnownFile]
    children: list[bytes]


async def is_known(db: Database, root_id: int, directory: bytes) -> bool:
    """Say whether *directory* has been listed, and was there at the last look."""
    return await db.value(_KNOWN_DIRECTORY, (root_id, directory)) is not None


async def known_among(db: Database, root_id: int, directories: Iterable[bytes]) -> set[bytes]:
    """Return those of *directories* for which `is_known` holds."""
    paths, known = list(directories), set[bytes]()
    for start in range(0, len(paths), AT_A_TIME):
        some = paths[start : start + AT_A_TIME]
        rows = await db.rows(f"{_KNOWN_AMONG} ({', '.join('?' * len(some))})", (root_id, *some))
        known.update(row[0] for row in rows)
    return known


async def recall(tx: aiosqlite.Connection, root_id: int, listings: Sequence[Listing], now_ms: int) -> list[Known]:
    """Note that the *listings* were made and return what is known about each directory, in their order.

    Raises:
        RootForgotten: there is no such root any more.
    """
    if not list(await tx.execute_fetchall(_ROOT, (root_id,))):
        raise RootForgotten
    for sql in _NEW_LOOK:  # scratch tables of this connection, see db.py
        await tx.execute(sql)
    await tx.executemany(_LOOKED, [(n, *_looked(lst)) for n, lst in enumerate(listings)])
    asked = [(n, name, join(lst.directory, name)) for n, lst in enumerate(listings) for name in lst.asked or ()]
    if asked:
        await tx.executemany(_ASKED, asked)
    await tx.executemany(_DIRECTORY, [_directory_row(root_id, lst, now_ms) for lst in listings])
    there: set[bytes] = set()
    for lst in listings:
        if lst.entries:
            there.update(takewhile(lambda above: above not in there, _above(lst.directory)))
    await tx.executemany(_THERE_AGAIN, [(root_id, directory) for directory in there])
    known = [Known(0, {}, []) for _ in listings]
    for position, directory_id in await tx.execute_fetchall(_DIRECTORY_IDS, (root_id,)):
        known[position].directory_id = directory_id
    for sql in (_KNOWN_WHOLE, _KNOWN_ASKED) if asked else (_KNOWN_WHOLE,):
        for row in await tx.execute_fetchall(sql, (root_id,)):
            file = known_file(row)
            known[row[0]].files[file.name] = file
    for sql in (_CHILDREN_WHOLE, _CHILDREN_PART, *((_CHILDREN_ASKED,) if asked else ())):
        for position, path in await tx.execute_fetchall(sql, (root_id,)):
            known[position].children.append(path.rpartition(b"/")[2])
    return known


async def there_again(tx: aiosqlite.Connection, root_id: int, directory: bytes) -> None:
    """Note that somebody has seen something in *directory*: it is there, and so is all above it."""
    await tx.executemany(_THERE_AGAIN, [(root_id, each) for each in (directory, *_above(directory))])


def join(directory: bytes, name: bytes) -> bytes:
    """Return the path of *name* in *directory*, both relative to the root."""
    return directory + b"/" + name if directory else name


def _looked(lst: Listing) -> tuple[object, ...]:
    first, end = lst.part
    is_part = lst.part != ALL_NAMES
    return lst.directory, lst.asked is None, first, end, is_part, join(lst.directory, first), join(lst.directory, end)


def _above(directory: bytes) -> Iterator[bytes]:
    """Yield all directories above one: where it is, they are, too."""
    while directory:
        directory = directory.rpartition(b"/")[0]
        yield directory


def _directory_row(root_id: int, lst: Listing, now_ms: int) -> tuple[object, ...]:
    parent = lst.directory.rpartition(b"/")[0] if lst.directory else None
    return (root_id, parent, lst.directory, now_ms, lst.problem, lst.is_whole)


async def known_below(
    tx: aiosqlite.Connection, root_id: int, directory: bytes, after: tuple[bytes, bytes], limit: int
) -> list[tuple[bytes, KnownFile]]:
    """Return known files in *directory* and below it, each with its directory: the first ones *after* a directory and a
    name, in this order. (*directory*, empty) comes before all.
    """
    path, name = after
    rows = list(await tx.execute_fetchall(_KNOWN_IN, (root_id, path, name, limit)))
    if len(rows) < limit:
        rows += await tx.execute_fetchall(_KNOWN_BELOW, (root_id, path, *below(directory), limit - len(rows)))
    return [(row[0], known_file(row)) for row in rows]


async def last_gen(db: Database) -> int:
    """Return the last generation that was given."""
    return int(await db.value(_LAST_GEN))


async def record(
    tx: aiosqlite.Connection,
    root_id: int,
    found: Iterable[tuple[Known, Changes]],
    now_ms: int,
    grace_ms: int,
    rest: Rest,
    by: NoticedBy = NoticedBy.SCAN,
) -> None:
    """Write down what was found: rows of `files` and of `work`, in a constant number of statements."""
    found = list(found)
    new = [(known, entry, at) for known, c in found for entry, at in c.new]
    changed = [change for _, c in found for change in c.changed]
    vanished = [row for _, c in found for row in c.vanished]
    aside = [(known, *change) for known, c in found for change in c.set_aside]
    gens = iter(await generations.take(tx, len(new) + len(changed) + len(vanished)))
    fresh_aside = [(known, e, state, out) for known, row, e, state, out in aside if not row]
    discovered = FileState.DISCOVERED.value
    if new or fresh_aside:
        ((last,),) = await tx.execute_fetchall(_LAST_FILE)
        added: list[tuple[Any, ...]] = [
            (file_id, known.directory_id, e.name, e.kind.value, discovered, *_NO_RULE, by.value, next(gens), now_ms)
            for file_id, (known, e, _) in enumerate(new, last + 1)
        ]
        added += [
            (file_id, known.directory_id, e.name, e.kind.value, state.value, *_rule(out), by.value, 0, now_ms)
            for file_id, (known, e, state, out) in enumerate(fresh_aside, last + 1 + len(new))
        ]
        await bulk.write(tx, _ADD_FILE, added)
        first_gen = 0 if not new else added[0][-2]
        await bulk.write(
            tx,
            _ADD_WORK,
            [
                (last + 1 + n, Stage.CHECKSUM.value, first_gen + n, now_ms, at, rest.why(at, now_ms), *e.stat)
                for n, (_, e, at) in enumerate(new)
            ],
        )
    await _change(tx, [(row, entry, at, rest.why(at, now_ms), next(gens)) for row, entry, at in changed], now_ms, by)
    to_read = Stage.CHECKSUM.value
    rechecks = [(row.id, to_read, row.gen, now_ms, now_ms, *entry.stat) for _, c in found for row, entry in c.recheck]
    await bulk.write(tx, _RECHECK, rechecks)
    await _many(tx, _SOONER, [(at, row.id) for _, c in found for row, at in c.sooner])
    known_aside = [(state.value, *_rule(out), e.kind.value, row.id) for _, row, e, state, out in aside if row]
    await _many(tx, _SET_ASIDE, known_aside)
    await _many(tx, _NO_WORK, [row[-1:] for row in known_aside])
    fresh = [(row.id, next(gens)) for row in vanished]
    await bulk.write(tx, _VANISH_FILE, [(by.value, gen, file_id) for file_id, gen in fresh])
    gone = Stage.VANISHED.value
    await bulk.write(tx, _VANISH_WORK, [(file_id, gone, gen, now_ms, now_ms + grace_ms) for file_id, gen in fresh])
    forgotten = [row for _, c in found for row in c.forgotten]
    await _many(tx, KEEP_ONE, [(row.id,) for row in forgotten if row.may_be_on_server])
    await _many(tx, _FORGET, [(row.id,) for row in forgotten])


async def _change(
    tx: aiosqlite.Connection,
    changes: Sequence[tuple[KnownFile, Snapshot, int, str | None, int]],
    now_ms: int,
    by: NoticedBy,
) -> None:
    """Give rows a new generation and put them in line to be read: (row, entry as seen, eligible at ms, why, gen)."""
    told = Stage.DELETION  # the server may have been told: it must be given it again
    rows = [(e.kind.value, by.value, gen, row.stage is told, row.id) for row, e, *_, gen in changes]
    await bulk.write(tx, _CHANGE_FILE, rows)
    to_read = Stage.CHECKSUM.value
    works = [(row.id, to_read, gen, now_ms, at, why, *e.stat) for row, e, at, why, gen in changes]
    await bulk.write(tx, _CHANGE_WORK, works)


async def directory_gone(db: Database, root_id: int, directory: bytes) -> None:
    """Note that *directory* and all below it are missing, the deepest first. It comes last: until then a look finds it
    missing again. What somebody has found there meanwhile stays, with all above it: whoever looks next is to see that.
    """
    first, last = below(directory)
    while True:
        async with db.transaction() as tx:
            rows = list(await tx.execute_fetchall(_LAST_OF_SOME, (root_id, first, last, AT_A_TIME)))
            await tx.executemany(_GONE, [(row[0],) for row in rows])
            if len(rows) < AT_A_TIME:
                await tx.executemany(_GONE, await tx.execute_fetchall(_ITSELF, (root_id, directory)))
                return
        last = rows[-1][1]


async def take_back(db: Database, root_id: int) -> None:
    """Have directories in which something is known to be there count as there: the next scan looks for them, or finds
    them missing.
    """
    if rows := await db.rows(_NOT_GONE, (root_id, AT_A_TIME)):
        async with db.transaction() as tx:
            for row in rows:
                await there_again(tx, root_id, row["path"])


async def sweep(db: Database, root_id: int) -> None:
    """Drop the rows of missing directories that no file needs any more, deepest first."""
    last = _AFTER_ALL_PATHS
    while rows := await db.rows(_GONE_BEFORE, (root_id, last, AT_A_TIME)):
        async with db.transaction() as tx:
            await tx.executemany(_SWEEP, [(row["id"],) for row in rows])
        last = rows[-1]["path"]


def _rule(out: LeftOut) -> tuple[object, ...]:
    return (out.reason, *(out.rule or (None, None, None)))


_NO_RULE = (None, None, None, None)


async def _many(tx: aiosqlite.Connection, sql: str, rows: Sequence[Sequence[object]]) -> None:
    if rows:
        await tx.executemany(sql, rows)


def known_file(row: Sequence[Any]) -> KnownFile:
    """Return a row of some column and `KNOWN` as a value."""
    (_, file_id, name, state, gen, *stat, racy, hashed_at, offered, reason, kind) = row[:15]
    (pattern, source, line, stage, s1, s2, s3, s4, s5, eligible) = row[15:]
    return KnownFile(
        id=file_id,
        name=name,
        state=FileState(state),
        gen=gen,
        stat=None if stat[0] is None else Stat(*stat),
        racy=bool(racy),
        hashed_at_ms=hashed_at,
        may_be_on_server=offered is not None,
        reason=reason,
        stage=None if stage is None else Stage(stage),
        seen=None if s1 is None else Stat(s1, s2, s3, s4, s5),
        eligible_at_ms=eligible,
        rule=None if pattern is None else Rule(pattern, source, line),
        kind=Kind(kind),
    )
