"""What one more pattern would leave out of what is known: asked before it is added. Blocking."""

import sqlite3
from dataclasses import dataclass, field

from pp_assist.core.patterns import SETTING, Judge, Level, parse_list

MOST_SHOWN = 20

_DIRECTORIES = """
SELECT d.id, d.path, r.shown FROM directories d JOIN roots r ON r.id = d.root_id
WHERE d.gone = 0 AND (?1 IS NULL OR r.id = ?1) ORDER BY d.root_id, d.path"""
_FILES = """
SELECT f.name, f.kind, COALESCE(w.seen_size, f.size_bytes, 0) FROM files f LEFT JOIN work w ON w.file_id = f.id
WHERE f.directory_id = ? AND f.state <> 'excluded' AND f.state <> 'unsupported' AND f.state <> 'vanished'
ORDER BY f.name"""


@dataclass(slots=True)
class Hidden:
    """What it would leave out; files count, and directories take theirs along."""

    files: int = 0
    size_bytes: int = 0
    sample: list[bytes] = field(default_factory=list)
    """Paths of the first few."""


def hidden_by(conn: sqlite3.Connection, pattern: str, root_id: int | None) -> Hidden:
    """Return what *pattern* alone would leave out, in one root or in all; other rules might take some in again."""
    found, patterns = Hidden(), parse_list((pattern,), SETTING)
    out: bytes | None = None
    conn.execute("BEGIN")  # all of it as of one moment
    try:
        shown = b""
        for directory_id, path, root in conn.execute(_DIRECTORIES, (root_id,)):
            if root != shown:
                shown, out = root, None
            below_out = out is not None and (path == out or path.startswith(out + b"/"))
            if not below_out and path:
                above, _, name = path.rpartition(b"/")
                if Judge((Level(b"", patterns),), above).rule(name, is_folder=True):
                    out, below_out = path, True
            judge = Judge((Level(b"", patterns),), path)
            for name, kind, size_bytes in conn.execute(_FILES, (directory_id,)):
                if kind == "file" and (below_out or judge.rule(name, is_folder=False)):
                    found.files += 1
                    found.size_bytes += size_bytes
                    if len(found.sample) < MOST_SHOWN:
                        found.sample.append(b"/".join(part for part in (root.rstrip(b"/"), path, name) if part))
    finally:
        conn.execute("COMMIT")
    return found
