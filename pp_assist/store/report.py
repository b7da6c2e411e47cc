"""What the API tells, read without disturbing anybody."""

import asyncio
import json
import sqlite3
from dataclasses import dataclass

from pp_assist.core.life_line import MOST_TOLD, Moment, Times, life_line
from pp_assist.core.model import FileState, Kind, NoticedBy, Stage, WorkState
from pp_assist.core.patterns import Rule
from pp_assist.store import activity, receipts, tree_moves
from pp_assist.store.counting import Counting, Counts
from pp_assist.store.db import Database
from pp_assist.store.search import Searches, Wanted
from pp_server.wire.names import below
from pp_server.wire.receipts import Receipt, ReceiptKey

_ALIVE = "SELECT 1"
_TO_COMPARE = """
SELECT COUNT(*) FROM roots r JOIN servers s ON s.is_default = 1
WHERE r.enabled = 1 AND r.status = 'healthy'
AND NOT EXISTS (SELECT 1 FROM reconciled c WHERE c.root_id = r.id AND c.server = s.id)"""

_PAGE = """
FROM files f JOIN directories d ON d.id = f.directory_id JOIN roots r ON r.id = d.root_id
LEFT JOIN work w ON w.file_id = f.id
WHERE (?1 IS NULL OR f.state = ?1)
AND (?8 IS NULL OR f.kind = ?8 OR (?8 = 'file' AND f.state IN ('excluded', 'unsupported')))
AND (?2 IS NULL OR (r.id IN (SELECT value FROM json_each(?2)) AND (
    ?3 = x'' OR d.path = ?3 OR (d.path >= ?4 AND d.path < ?5) OR (d.path = ?6 AND f.name = ?7))))"""
_COUNT = f"SELECT COUNT(*) {_PAGE}"
_UNREAD = """
SELECT 1 FROM unread u WHERE u.root_id = d.root_id
AND (u.path IN (x'', d.path) OR substr(d.path, 1, length(u.path) + 1) = CAST(u.path || '/' AS BLOB))"""
_CHECKED = f"""MAX(f.discovered_at_ms, COALESCE(d.listed_at_ms, 0), CASE
    WHEN f.state = 'excluded' OR d.gone = 1 OR EXISTS ({_UNREAD}) THEN 0 ELSE COALESCE(r.last_scanned_at_ms, 0) END)"""
"""What a scan finds as it is known is not written down, but for the scan itself: it came wherever it could read."""

_COLUMNS = f"""
WITH unread AS MATERIALIZED (SELECT root_id, path FROM directories WHERE problem IS NOT NULL)
SELECT r.shown, d.path AS directory, f.name, f.kind, f.link_target, f.state, f.reason AS rule, f.rule_pattern,
       f.rule_source, f.rule_line, f.gen, f.sha256,
       COALESCE(w.seen_size, f.size_bytes) AS size_bytes, COALESCE(w.seen_mtime_ns, f.mtime_ns) AS mtime_ns,
       f.id, f.discovered_at_ms, {_CHECKED} AS checked_at_ms, f.hashed_at_ms,
       f.noticed_by, f.stored_at_ms, f.stored_sequence, f.stored_snapshot AS snapshot,
       w.stage, w.queued_at_ms, w.state AS work_state,
       w.reason AS work_reason, w.last_error, w.eligible_at_ms, w.attempts"""  # noqa: S608 - constants
_FILES = f"""
{_COLUMNS} {_PAGE} ORDER BY f.id LIMIT ?9 OFFSET ?10"""
_SOME_FILES = f"""
{_COLUMNS} FROM (
    SELECT id AS some FROM files WHERE {{which}} ORDER BY id LIMIT ? OFFSET ?)
CROSS JOIN files f ON f.id = some JOIN directories d ON d.id = f.directory_id JOIN roots r ON r.id = d.root_id
LEFT JOIN work w ON w.file_id = f.id ORDER BY f.id"""  # noqa: S608 - constants
_BY_IDS = f"""
{_COLUMNS} FROM json_each(?) some CROSS JOIN files f ON f.id = some.value
JOIN directories d ON d.id = f.directory_id JOIN roots r ON r.id = d.root_id
LEFT JOIN work w ON w.file_id = f.id ORDER BY some.key"""
_OF_ANY_KIND = (FileState.EXCLUDED, FileState.UNSUPPORTED)
_FILE = f"""
{_COLUMNS} FROM directories d JOIN files f ON f.directory_id = d.id JOIN roots r ON r.id = d.root_id
LEFT JOIN work w ON w.file_id = f.id WHERE d.root_id = ? AND d.path = ? AND f.name = ?"""

MOST_COUNTED = 1_000_000
_BEFORE = "(eligible_at_ms < ?3 OR (eligible_at_ms = ?3 AND file_id < ?1))"
_AHEAD = f"""
SELECT COUNT(*) FROM (SELECT 1 FROM work WHERE stage = ?2 AND stage <> 'upload' AND eligible_at_ms <= ?3
AND {_BEFORE} LIMIT ?4)"""  # noqa: S608 - constants
_AHEAD_TO_SEND = f"""
SELECT COUNT(*) FROM (SELECT 1 FROM work WHERE stage = 'upload' AND ?2 = 'upload' AND eligible_at_ms <= ?3
AND lane = (SELECT lane FROM work WHERE file_id = ?1) AND {_BEFORE} LIMIT ?4)"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class FileRow:
    """One file as a person sees it."""

    id: int
    filepath: bytes
    kind: str
    link_target: bytes | None
    """What a symbolic link pointed to when it was read."""
    state: FileState
    rule: str | None
    """The name of what leaves it out; `written` is what a person wrote, if it is that."""
    gen: int
    sha256: str | None
    size_bytes: int | None
    mtime_ns: int | None
    discovered_at_ms: int
    checked_at_ms: int
    hashed_at_ms: int | None
    noticed_by: NoticedBy | None
    """What its last change was noticed by."""
    stored_at_ms: int | None
    stored_sequence: int | None
    """The number of the server's last receipt."""
    snapshot: bool
    """What the server has of it was read while it changed."""
    stage: Stage | None
    queued_at_ms: int | None
    work_state: WorkState | None
    work_reason: str | None
    last_error: str | None
    eligible_at_ms: int | None
    attempts: int | None
    written: Rule | None


class Report:
    """Read-only questions to the store."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._counting = Counting(db)
        self._searches = Searches(db)

    async def alive(self) -> bool:
        """Say whether the database answers."""
        return bool(await self._db.value(_ALIVE) == 1)

    async def roots_to_compare(self) -> int:
        """Return how many roots are still to be compared with what the default server has."""
        return int(await self._db.value(_TO_COMPARE))

    async def counts(self) -> Counts:
        """Return all counts."""
        return await self._counting.counts()

    def count_anew(self) -> None:
        """Have counts that were good enough so far be good no more: whoever asks next has reason to expect others."""
        self._counting.expire()

    async def files(
        self,
        state: FileState | None,
        below_roots: tuple[list[int], bytes] | None,
        limit: int,
        offset: int,
        kind: str | None = "file",
    ) -> tuple[list[FileRow], int]:
        """Return a page of paths and how many there are in all: files, and whatever is left out, unless told otherwise.

        *below_roots* restricts it to some roots (ids) and a path relative to them: the path itself and all below it.
        """
        total = None
        if below_roots is None and kind == Kind.FILE:
            counts = (await self.counts()).files
            total = sum(counts.values()) if state is None else counts[state]

        def read() -> tuple[list[FileRow], int]:  # a thousand rows: too much for the event loop
            with self._db.reading() as conn:
                return _page(conn, state, below_roots, limit, offset, kind, total)

        with self._db.damage_noted():
            return await asyncio.to_thread(read)

    async def search(self, wanted: Wanted, limit: int, offset: int) -> tuple[list[FileRow], int]:
        """Return a page of what is looked for, and how many there are in all."""
        ids, total = await self._searches.page(wanted, limit, offset)
        return await self._by_ids(ids), total

    async def by_id(self, file_id: int) -> FileRow | None:
        """Return what is known about the file *file_id*, or None."""
        return next(iter(await self._by_ids([file_id])), None)

    async def _by_ids(self, ids: list[int]) -> list[FileRow]:
        def read() -> list[FileRow]:
            with self._db.reading() as conn:
                rows = conn.cursor()
                rows.row_factory = sqlite3.Row
                return [_file(row) for row in rows.execute(_BY_IDS, (json.dumps(ids),))]

        with self._db.damage_noted():
            return await asyncio.to_thread(read)

    async def file(self, root_id: int, relative: bytes) -> FileRow | None:
        """Return what is known about one path below a root, or None."""
        directory, _, name = relative.rpartition(b"/")
        rows = await self._db.rows(_FILE, (root_id, directory, name))
        return _file(rows[0]) if rows else None

    async def ahead(self, row: FileRow) -> int:
        """Return how many are before a file in its line, counted up to `MOST_COUNTED`."""
        if row.stage is None or row.eligible_at_ms is None:
            return 0
        sql = _AHEAD_TO_SEND if row.stage is Stage.UPLOAD else _AHEAD
        where = (row.id, row.stage, row.eligible_at_ms, MOST_COUNTED)
        return int(await self._db.value(sql, where))

    async def life_line(self, row: FileRow) -> list[Moment]:
        """Return what happened to a file."""
        times = Times(
            row.discovered_at_ms, row.checked_at_ms, row.hashed_at_ms, row.stage, row.queued_at_ms, row.attempts or 0,
            row.last_error, row.stored_at_ms, row.stored_sequence, row.noticed_by,
        )  # fmt: skip
        return life_line(times, await activity.of_path(self._db, row.filepath, MOST_TOLD))

    async def is_moving(self, root_id: int, relative: bytes) -> bool:
        """Say whether a path came where it is with its directory, and the server is still to be told of that."""
        return await tree_moves.came_along(self._db, root_id, relative)

    async def signed_receipt(self, root_id: int, relative: bytes) -> tuple[Receipt, ReceiptKey | None] | None:
        """Return the last receipt for a path below a root, if it is a signed one: see `receipts.signed_receipt`."""
        return await receipts.signed_receipt(self._db, root_id, relative)


def _page(
    conn: sqlite3.Connection,
    state: FileState | None,
    below_roots: tuple[list[int], bytes] | None,
    limit: int,
    offset: int,
    kind: str | None,
    total: int | None,
) -> tuple[list[FileRow], int]:
    rows = conn.cursor()
    rows.row_factory = sqlite3.Row
    if total is not None:  # nothing is counted here, and nothing joined that is not shown
        rows.execute(_SOME_FILES.format(which=_which(state)), (limit, offset))
        return [_file(row) for row in rows], total
    roots, prefix = below_roots if below_roots else (None, b"")
    directory, _, name = prefix.rpartition(b"/")
    where = (state, None if roots is None else json.dumps(roots), prefix, *below(prefix), directory, name, kind)
    ((total,),) = conn.execute(_COUNT, where)
    return [_file(row) for row in rows.execute(_FILES, (*where, limit, offset))], total


def _which(state: FileState | None) -> str:
    """Return which rows are shown, as literals: so that one range of an index is read, in the order of their ids."""
    if state is None:
        return "kind = 'file' OR state IN ('excluded', 'unsupported')"
    return f"state = '{state}'" if state in _OF_ANY_KIND else f"state = '{state}' AND kind = 'file'"


def _file(row: sqlite3.Row) -> FileRow:
    fields = dict(row)
    parts = (fields.pop("shown").rstrip(b"/"), fields.pop("directory"), fields.pop("name"))
    fields["filepath"] = b"/".join(part for n, part in enumerate(parts) if part or n == 0)
    fields["snapshot"] = bool(fields["snapshot"])
    fields["state"] = FileState(fields["state"])
    fields["noticed_by"] = fields["noticed_by"] and NoticedBy(fields["noticed_by"])
    fields["stage"] = fields["stage"] and Stage(fields["stage"])
    fields["work_state"] = fields["work_state"] and WorkState(fields["work_state"])
    pattern, source, line = (fields.pop(f"rule_{part}") for part in Rule._fields)
    return FileRow(**fields, written=None if pattern is None else Rule(pattern, source, line))
