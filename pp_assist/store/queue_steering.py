"""What a person wants with single files in line: first, not now, not at all, again.

Nothing here removes a row. Deletions are no part of it, but for trying again: whether the server is told of them is
decided in `held.py`, and by each folder's policy.
"""

import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from pp_assist.core.aside import CANCELLED, HELD_BY_PERSON, Steer
from pp_assist.core.patterns import ROOT, Judge, Level, parse_list
from pp_assist.store.db import Database
from pp_assist.store.queue import BUMPED_MS
from pp_server.wire.names import below

AT_A_TIME = 1000

_OF_PERSON = f"stage <> 'vanished' AND stage <> 'deletion' AND state = 'held' AND reason = '{HELD_BY_PERSON}'"
_TO_STORE = "(stage = 'checksum' OR stage = 'upload')"
_AT_REST = "(state = 'backoff' OR (state = 'waiting' AND eligible_at_ms <= ?1))"
_HOW = {
    Steer.BUMP: (
        f"state = 'waiting', eligible_at_ms = {BUMPED_MS}",
        f"{_TO_STORE} AND {_AT_REST} AND eligible_at_ms <> {BUMPED_MS}",
    ),
    Steer.HOLD: (
        f"state = 'held', eligible_at_ms = NULL, reason = '{HELD_BY_PERSON}'",
        f"{_TO_STORE} AND state <> 'held'",
    ),
    Steer.RELEASE: ("state = 'waiting', eligible_at_ms = ?1, reason = NULL", _OF_PERSON),
    Steer.RETRY: (
        "state = 'waiting', eligible_at_ms = ?1, attempts = 0, reason = NULL, last_error = NULL",
        "(state = 'backoff' OR state = 'parked')",
    ),
    Steer.CANCEL: (
        f"state = 'parked', eligible_at_ms = NULL, reason = '{CANCELLED}', last_error = NULL",
        f"{_TO_STORE} AND (state <> 'parked' OR reason IS NOT '{CANCELLED}')",
    ),
}
_STEER = {
    how: f"UPDATE work SET {values} WHERE {which} AND file_id IN (SELECT value FROM json_each(?2)) RETURNING file_id"  # noqa: S608
    for how, (values, which) in _HOW.items()
}

_IDS = "SELECT file_id FROM work WHERE file_id IN (SELECT value FROM json_each(?))"
_BELOW = """
SELECT w.file_id FROM directories d JOIN files f ON f.directory_id = d.id JOIN work w ON w.file_id = f.id
WHERE d.root_id = ?1 AND (?2 = x'' OR d.path = ?2 OR (d.path >= ?3 AND d.path < ?4) OR (d.path = ?5 AND f.name = ?6))"""
_NAMES = """
SELECT w.file_id, f.name, d.id, d.path, d.root_id FROM work w JOIN files f ON f.id = w.file_id
JOIN directories d ON d.id = f.directory_id ORDER BY d.root_id, d.path"""


@dataclass(frozen=True, slots=True)
class Which:
    """The files that are meant: one of the three."""

    ids: tuple[int, ...] | None = None
    below: tuple[tuple[int, ...], bytes] | None = None
    """Ids of roots, and a path relative to them: itself, and all below it."""
    glob: str | None = None
    """A pattern as in a list of excludes."""


def matching(conn: sqlite3.Connection, which: Which) -> list[int]:
    """Return the ids of the rows that are meant. Blocking."""
    if which.ids is not None:
        return [row[0] for row in conn.execute(_IDS, (json.dumps(which.ids),))]
    if which.below is not None:
        roots, path = which.below
        directory, _, name = path.rpartition(b"/")
        return [row[0] for root in roots for row in conn.execute(_BELOW, (root, path, *below(path), directory, name))]
    return list(_matched(conn, Level(b"", parse_list((which.glob or "",), ROOT))))


def _matched(conn: sqlite3.Connection, level: Level) -> Iterator[int]:
    whole: dict[tuple[int, bytes], bool] = {}
    judge, of = Judge((level,), b""), None

    def is_whole(root_id: int, directory: bytes) -> bool:
        """Say whether the pattern matches the folder, or one above it."""
        unknown = []
        while directory and (root_id, directory) not in whole:
            unknown.append(directory)
            directory = directory.rpartition(b"/")[0]
        found = whole.get((root_id, directory), False)
        for each in reversed(unknown):
            above, _, name = each.rpartition(b"/")
            found = found or Judge((level,), above).rule(name, is_folder=True) is not None
            whole[root_id, each] = found
        return found

    for file_id, name, directory_id, directory, root_id in conn.execute(_NAMES):
        if directory_id != of:
            judge, of = Judge((level,), directory), directory_id
        if is_whole(root_id, directory) or judge.rule(name, is_folder=False):
            yield file_id


async def steer(db: Database, how: Steer, ids: Sequence[int], now_ms: int) -> list[int]:
    """Do that with those of *ids* that it can be done with, and return them."""
    done: list[int] = []
    for first in range(0, len(ids), AT_A_TIME):
        some: Collection[int] = ids[first : first + AT_A_TIME]
        async with db.transaction() as tx:
            rows = await tx.execute_fetchall(_STEER[how], (now_ms, json.dumps(some)))
        done += [row[0] for row in rows]
    return done
