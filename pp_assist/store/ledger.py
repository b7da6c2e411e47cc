"""Counts where the names of a watched folder stand, row by row and not by any counter. Blocking."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from pp_assist.core.ledger import Counted
from pp_assist.core.model import NOT_TAKEN, FileState, Stage, WorkState
from pp_server.wire.names import below

_STATES = """
SELECT f.state, COUNT(*) FROM directories d JOIN files f ON f.directory_id = d.id
WHERE d.root_id = ? AND (f.kind <> 'dir' OR ?) GROUP BY f.state"""
_NOT_LOOKED_INTO = f"""
SELECT c.path FROM directories c JOIN directories d ON d.id = c.parent_id JOIN files f ON f.directory_id = d.id
AND f.name = CAST(substr(c.path, CASE WHEN length(d.path) > 0 THEN length(d.path) + 2 ELSE 1 END) AS BLOB)
WHERE c.root_id = ? AND c.gone = 0 AND NOT (f.kind = 'dir' AND (
    f.state IN ('discovered', 'ready_for_upload', 'completed', 'unchanged', 'vanished')
    OR (f.state = 'unsupported' AND f.reason = '{NOT_TAKEN}'))) ORDER BY c.path"""  # noqa: S608 - constants
"""Folders whose name stands for something else by now: one that is left out, a link."""
_BELOW = """
SELECT f.state, COUNT(*) FROM directories d JOIN files f ON f.directory_id = d.id
WHERE d.root_id = ?1 AND (d.path = ?2 OR (d.path >= ?3 AND d.path < ?4)) AND (f.kind <> 'dir' OR ?5) GROUP BY f.state"""
_REASONS = """
SELECT w.stage, w.state, w.reason, COUNT(*) FROM directories d
JOIN files f ON f.directory_id = d.id JOIN work w ON w.file_id = f.id
WHERE d.root_id = ?1 AND w.stage IN ('checksum', 'upload') AND f.state IN ('discovered', 'ready_for_upload')
AND (f.kind <> 'dir' OR ?2) {which}GROUP BY 1, 2, 3"""
"""Also what is stored may be in line to be read once more: that is no reason for anything."""
_ALL_REASONS = _REASONS.format(which="")
_REASONS_BELOW = _REASONS.format(which="AND (d.path = ?3 OR (d.path >= ?4 AND d.path < ?5)) ")
_STORED = (FileState.COMPLETED, FileState.UNCHANGED)
_PENDING = (FileState.DISCOVERED, FileState.READY_FOR_UPLOAD)


def count(conn: sqlite3.Connection, root_id: int, with_folders: bool) -> Counted:
    """Return where the names of a root stand, all as of one moment. *with_folders*: folders have rows, too."""
    conn.execute("BEGIN")
    try:
        states: Counter[str] = Counter(dict(conn.execute(_STATES, (root_id, with_folders)).fetchall()))
        reasons = _reasons(conn, _ALL_REASONS, (root_id, with_folders))
        for path in _uppermost(path for (path,) in conn.execute(_NOT_LOOKED_INTO, (root_id,)).fetchall()):
            here = dict(conn.execute(_BELOW, (root_id, path, *below(path), with_folders)).fetchall())
            here.pop(FileState.VANISHED, None)
            states.subtract(here)
            reasons.subtract(_reasons(conn, _REASONS_BELOW, (root_id, with_folders, path, *below(path))))
    finally:
        conn.execute("COMMIT")
    return Counted(
        stored=sum(states[state] for state in _STORED),
        pending=sum(states[state] for state in _PENDING),
        excluded=states[FileState.EXCLUDED],
        unsupported=states[FileState.UNSUPPORTED],
        missing=states[FileState.VANISHED],
        reasons={why: times for why, times in reasons.items() if times},
    )


def _reasons(conn: sqlite3.Connection, sql: str, values: Sequence[object]) -> Counter[str]:
    found: Counter[str] = Counter()
    for stage, state, reason, times in conn.execute(sql, values):
        found[_why(stage, state, reason)] += times
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
