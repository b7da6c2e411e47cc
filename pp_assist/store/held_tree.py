"""Which files would be deleted, folder by folder: what a person looks at before the word is given."""

import sqlite3
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from pp_server.wire.names import below

_HELD = """
FROM work w JOIN files f ON f.id = w.file_id JOIN directories d ON d.id = f.directory_id
WHERE w.stage = 'deletion' AND w.state = 'held' AND f.kind = 'file' AND d.root_id = ?1"""
_FOLDERS = f"""
SELECT d.path, COUNT(*) {_HELD} AND (?2 = x'' OR d.path = ?2 OR (d.path >= ?3 AND d.path < ?4)) GROUP BY d.id"""
_FILES = f"SELECT f.name, f.size_bytes, f.mtime_ns {_HELD} AND d.path = ?2 ORDER BY f.name LIMIT ?3"


@dataclass(frozen=True, slots=True)
class HeldFolder:
    """A folder in which files are held."""

    name: bytes
    count: int
    """Of files in it and below."""


class HeldFile(NamedTuple):
    """One of them."""

    name: bytes
    size_bytes: int | None
    mtime_ns: int | None


@dataclass(frozen=True, slots=True)
class HeldTree:
    """What is held in one folder of a root."""

    count: int
    folders: list[HeldFolder]
    files: list[HeldFile]
    is_whole: bool


def tree(conn: sqlite3.Connection, root_id: int, path: bytes, limit: int) -> HeldTree:
    """Return what is held at and below *path*, relative to the root; at most *limit* folders, and files, are named."""
    first, end = below(path)
    inside: Counter[bytes] = Counter()
    count = here = 0
    for folder, held in conn.execute(_FOLDERS, (root_id, path, first, end)):
        count += held
        if folder == path:
            here = held
            continue
        inside[folder[len(first) if path else 0 :].split(b"/", 1)[0]] += held
    folders = [HeldFolder(name, held) for name, held in sorted(inside.items())]
    files = [HeldFile(*row) for row in conn.execute(_FILES, (root_id, path, limit))]
    return HeldTree(count, folders[:limit], files, len(folders) <= limit and here <= limit)
