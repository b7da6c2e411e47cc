"""Counts where the names of a watched folder stand, row by row and not by any counter. Blocking."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pp_assist.core.ledger import Counted, Files
from pp_assist.core.model import NOT_TAKEN, FileState, Stage, WorkState
from pp_server.wire.names import below

_STATES = """
SELECT f.state, f.kind = 'file', COUNT(*) FROM directories d JOIN files f ON f.directory_id = d.id
WHERE d.root_id = ? AND (f.kind <> 'dir' OR ?) GROUP BY 1, 2"""
_NOT_LOOKED_INTO = f"""
SELECT c.path FROM directories c JOIN directories d ON d.id = c.parent_id JOIN files f ON f.directory_id = d.id
AND f.name = CAST(substr(c.path, CASE WHEN length(d.path) > 0 THEN length(d.path) + 2 ELSE 1 END) AS BLOB)
WHERE c.root_id = ? AND NOT (f.kind = 'dir' AND (
    f.state IN ('discovered', 'ready_for_upload', 'completed', 'unchanged', 'vanished')
    OR (f.state = 'unsupported' AND f.reason = '{NOT_TAKEN}'))) ORDER BY c.path"""  # noqa: S608 - constants
"""Folders whose name stands for something else by now: one that is left out, a link."""
_BELOW = """
SELECT f.state, f.kind = 'file', COUNT(*) FROM directories d JOIN files f ON f.directory_id = d.id
WHERE d.root_id = ?1 AND (d.path = ?2 OR (d.path >= ?3 AND d.path < ?4)) AND (f.kind <> 'dir' OR ?5) GROUP BY 1, 2"""
_REASONS = """
SELECT w.stage, w.state, w.reason, f.kind = 'file', COUNT(*) FROM directories d
JOIN files f ON f.directory_id = d.id JOIN work w ON w.file_id = f.id
WHERE d.root_id = ?1 AND w.stage IN ('checksum', 'upload') AND f.state IN ('discovered', 'ready_for_upload')
AND (f.kind <> 'dir' OR ?2) {which}GROUP BY 1, 2, 3, 4"""
"""Also what is stored may be in line to be read once more: that is no reason for anything."""
_ALL_REASONS = _REASONS.format(which="")
_REASONS_BELOW = _REASONS.format(which="AND (d.path = ?3 OR (d.path >= ?4 AND d.path < ?5)) ")
_STORED = (FileState.COMPLETED, FileState.UNCHANGED)
_PENDING = (FileState.DISCOVERED, FileState.READY_FOR_UPLOAD)


def count(conn: sqlite3.Connection, root_id: int, with_folders: bool) -> Counted:
    """Return where the names of a root stand, all as of one moment. *with_folders*: folders have rows, too."""
    conn.execute("BEGIN")
    try:
        states = _states(conn, _STATES, (root_id, with_folders))
        reasons = _reasons(conn, _ALL_REASONS, (root_id, with_folders))
        for path in _uppermost(path for (path,) in conn.execute(_NOT_LOOKED_INTO, (root_id,)).fetchall()):
            here = _states(conn, _BELOW, (root_id, path, *below(path), with_folders))
            states.subtract({place: times for place, times in here.items() if place.what != FileState.VANISHED})
            reasons.subtract(_reasons(conn, _REASONS_BELOW, (root_id, with_folders, path, *below(path))))
    finally:
        conn.execute("COMMIT")
    names, why, files = _of_all(states), _of_all(reasons), _of_files(states)
    return Counted(
        stored=sum(names[state] for state in _STORED),
        pending=sum(names[state] for state in _PENDING),
        excluded=names[FileState.EXCLUDED],
        unsupported=names[FileState.UNSUPPORTED],
        missing=names[FileState.VANISHED],
        reasons=dict(+why),
        files=Files(
            stored=sum(files[state] for state in _STORED),
            pending=sum(files[state] for state in _PENDING),
            missing=files[FileState.VANISHED],
            reasons=dict(+_of_files(reasons)),
        ),
    )


class _Place(NamedTuple):
    """A state, or a reason; of files, or of folders and links."""

    what: str
    is_file: bool


def _of_all(counted: Counter[_Place]) -> Counter[str]:
    found: Counter[str] = Counter()
    for place, times in counted.items():
        found[place.what] += times
    return found


def _of_files(counted: Counter[_Place]) -> Counter[str]:
    return Counter({place.what: times for place, times in counted.items() if place.is_file})


def _states(conn: sqlite3.Connection, sql: str, values: Sequence[object]) -> Counter[_Place]:
    return Counter({_Place(state, bool(is_file)): times for state, is_file, times in conn.execute(sql, values)})


def _reasons(conn: sqlite3.Connection, sql: str, values: Sequence[object]) -> Counter[_Place]:
    found: Counter[_Place] = Counter()
    for stage, state, reason, is_file, times in conn.execute(sql, values):
        found[_Place(_why(stage, state, reason), bool(is_file))] += times
    return found


def _uppermost(paths: Iterable[bytes]) -> Iterator[bytes]:
    """Yield those of *paths* (in order of their bytes) that are not below another one."""
    above: list[bytes] = []
    for path in paths:
        while above and not path.startswith(above[-1] + b"/"):
            above.pop()
        if not above:
            yield path
        above.append(path)


def _why(stage: str, state: str, reason: str | None) -> str:
    if reason is not None:
        return reason
    if state in (WorkState.BACKOFF, WorkState.PARKED):
        return state
    return "to_hash" if stage == Stage.CHECKSUM else "to_send"
