"""Looking for files among many: what matches is found once, and any page of it is then read by its ids.

Who scrolls through 200,000 files asks for a hundred pages of the same answer. The ids of all of it are kept for a
moment (8 bytes each), so that a page costs what is on it.
"""

import asyncio
import json
import time
from array import array
from typing import NamedTuple

from pp_assist.core.model import FileState
from pp_assist.core.rest import BUSY, CHANGING
from pp_assist.store.db import Database
from pp_server.wire.names import below

REST = 20
"""As many times as long as looking took, what was found is good enough."""

AT_LEAST_S = 1.0
MOST_KEPT = 2
"""Answers that are remembered: of one person, or two."""

MOST_IDS = 4_000_000
"""In all of them (32 MB); a larger one is remembered alone."""

KEPT_S = 60.0
"""For so long after the last question."""

_ORDERS = {
    "found": "f.id",
    "path": "r.shown {0}, d.path {0}, f.name {0}, f.id",
    "size": "COALESCE(w.seen_size, f.size_bytes)",
    "changed": "COALESCE(w.seen_mtime_ns, f.mtime_ns)",
    "stored": "f.stored_at_ms",
}
SORTS = tuple(_ORDERS)

_FROM = """
SELECT f.id FROM files f JOIN directories d ON d.id = f.directory_id JOIN roots r ON r.id = d.root_id
LEFT JOIN work w ON w.file_id = f.id"""
_KIND = "(f.kind = ? OR (? = 'file' AND f.state IN ('excluded', 'unsupported')))"
_REASON = "(f.reason = ? OR w.reason = ?)"
_PATH = "CAST(r.shown || '/' || CASE d.path WHEN x'' THEN x'' ELSE d.path || '/' END || f.name AS TEXT)"
_WORD = _PATH + " LIKE ? ESCAPE '!'"
_BELOW = """
(r.id IN (SELECT value FROM json_each(?)) AND (
    ? = x'' OR d.path = ? OR (d.path >= ? AND d.path < ?) OR (d.path = ? AND f.name = ?)))"""


class Wanted(NamedTuple):
    """What is looked for."""

    states: tuple[FileState, ...] = ()
    """Any of these; none: whatever its state."""
    below: tuple[tuple[int, ...], bytes] | None = None
    """Only in these roots (ids), at and below this path relative to them."""
    kind: str | None = "file"
    words: tuple[str, ...] = ()
    """Each of them is in the path; letters of ASCII match in either case."""
    reason: str | None = None
    sort: str = "found"
    descending: bool = False


class _Found(NamedTuple):
    ids: "array[int]"
    as_of: int
    good_until_s: float


class Searches:
    """Looks, and remembers for a moment."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._one_at_a_time = asyncio.Lock()
        self._kept: dict[Wanted, _Found] = {}
        self._forgetting: asyncio.TimerHandle | None = None

    async def page(self, wanted: Wanted, limit: int, offset: int) -> tuple[list[int], int]:
        """Return the ids of a page of what matches, in order, and how many match in all."""
        async with self._one_at_a_time:
            found = self._kept.pop(wanted, None)
            if found is None or not (found.as_of == self._db.commits or time.monotonic() < found.good_until_s):
                found = await self._look(wanted)
            self._keep(wanted, found)
        return found.ids[offset : offset + limit].tolist(), len(found.ids)

    def _keep(self, wanted: Wanted, found: _Found) -> None:
        """Remember *found*, as the newest, and as much of the others as there is room for, until nobody asks."""
        self._kept[wanted] = found
        while len(self._kept) > MOST_KEPT or (len(self._kept) > 1 and self._ids_kept() > MOST_IDS):
            del self._kept[next(iter(self._kept))]
        if self._forgetting is not None:
            self._forgetting.cancel()
        self._forgetting = asyncio.get_running_loop().call_later(KEPT_S, self._kept.clear)

    def _ids_kept(self) -> int:
        return sum(len(each.ids) for each in self._kept.values())

    async def _look(self, wanted: Wanted) -> _Found:
        as_of, began_s = self._db.commits, time.monotonic()
        with self._db.damage_noted():
            ids = await asyncio.to_thread(self._ids, wanted)
        ended_s = time.monotonic()
        return _Found(ids, as_of, ended_s + max(AT_LEAST_S, REST * (ended_s - began_s)))

    def _ids(self, wanted: Wanted) -> "array[int]":
        sql, values = statement(wanted)
        ids = array("q")
        with self._db.reading() as conn:
            rows = conn.execute(sql, values)
            while some := rows.fetchmany(1000):
                ids.extend(row[0] for row in some)
        return ids


def statement(wanted: Wanted) -> tuple[str, list[object]]:
    """Return the statement that finds the ids, and its values."""
    where: list[str] = []
    values: list[object] = []
    if wanted.states:
        where.append(f"f.state IN ({', '.join(map(repr, map(str, wanted.states)))})")
    if wanted.kind is not None:
        where.append(_KIND)
        values += [wanted.kind, wanted.kind]
    if wanted.reason is not None:
        where.append(_REASON)
        values += [CHANGING if wanted.reason == BUSY else wanted.reason] * 2
    if wanted.below is not None:
        roots, prefix = wanted.below
        directory, _, name = prefix.rpartition(b"/")
        where.append(_BELOW)
        values += [json.dumps(roots), prefix, prefix, *below(prefix), directory, name]
    for word in wanted.words:
        where.append(_WORD)
        values.append(contains(word))
    direction = "DESC" if wanted.descending else "ASC"
    order = _ORDERS[wanted.sort]
    by = order.format(direction) if "{0}" in order else f"{order} {direction}, f.id"
    return f"{_FROM} WHERE {' AND '.join(where) or '1'} ORDER BY {by}", values


def contains(word: str) -> str:
    """Return the pattern, for LIKE with `!` to escape, of what has *word* in it."""
    for special in ("!", "%", "_"):
        word = word.replace(special, f"!{special}")
    return f"%{word}%"
