"""What is known of a watched folder, for walks to ask in their own threads while they look.

It may be older than the last commit. That does no harm: what looks as it was known needs nothing, whatever others have
written since, and everything else is compared again in the transaction that writes.
"""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from pp_assist.core.familiar import KnownPart
from pp_assist.core.model import ALL_NAMES, NOT_TAKEN, KnownFile, Part
from pp_assist.store.db import Database
from pp_assist.store.observations import KNOWN, join, known_file

_DIRECTORY = """
SELECT d.id, c.path FROM directories d LEFT JOIN directories c ON c.parent_id = d.id AND c.gone = 0 AND ?3
WHERE d.root_id = ?1 AND d.path = ?2 AND d.gone = 0 AND d.problem IS NULL AND d.listed_at_ms IS NOT NULL"""

_SEEN = "size size_bytes", "mtime_ns mtime_ns", "ctime_ns ctime_ns", "inode inode", "device device"
_STAT = ", ".join("IIF(w.stage = 'checksum', w.seen_{}, f.{})".format(*columns.split()) for columns in _SEEN)
_KIND = f"""
CASE WHEN w.stage = 'checksum' OR (
    (f.state IN ('completed', 'unchanged') OR (f.state = 'unsupported' AND f.reason = '{NOT_TAKEN}')
     OR (f.state IN ('discovered', 'ready_for_upload') AND w.stage IS NOT NULL))
    AND (f.racy = 0 OR w.stage IS NOT NULL)) THEN f.kind END"""  # NULL: `compare` decides
_FACTS = f"""
SELECT f.name, {_KIND}, {_STAT} FROM files f LEFT JOIN work w ON w.file_id = f.id
WHERE f.directory_id = ? AND f.name >= ? AND f.name < ?"""  # noqa: S608 - constants

_CHILDREN_OF_PART = """
SELECT parent_id, path FROM directories WHERE root_id = ? AND path >= ? AND path < ? AND +parent_id = ? AND gone = 0"""
_FILE = f"""
SELECT NULL, {KNOWN} FROM files f LEFT JOIN work w ON w.file_id = f.id
WHERE f.directory_id = ? AND f.name = ?"""  # noqa: S608 - constants


class KnownTree:
    """What is known of one root, for one thread at a time; as of one moment, until it is let go."""

    def __init__(self, conn: sqlite3.Connection, root_id: int) -> None:
        self._conn = conn
        self._root_id = root_id

    def part(self, directory: bytes, part: Part) -> KnownPart | None:
        """Return what is known of a part of *directory*; None where it was not listed, or not as a whole."""
        if not self._conn.in_transaction:
            self._conn.execute("BEGIN")
        is_all = part == ALL_NAMES
        rows = self._conn.execute(_DIRECTORY, (self._root_id, directory, is_all)).fetchall()
        if not rows:
            return None
        directory_id = rows[0][0]
        facts = self._conn.execute(_FACTS, (directory_id, *part)).fetchall()
        if not is_all:
            paths = (join(directory, name) for name in part)
            rows = self._conn.execute(_CHILDREN_OF_PART, (self._root_id, *paths, directory_id)).fetchall()
        return KnownPart(directory_id, facts, [path.rpartition(b"/")[2] for _, path in rows if path is not None])

    def let_go(self) -> None:
        """Ask of a later moment from now on."""
        if self._conn.in_transaction:
            self._conn.execute("COMMIT")

    def files(self, directory_id: int, names: Collection[bytes]) -> dict[bytes, KnownFile]:
        """Return the rows of *names* in a directory."""
        rows = (self._conn.execute(_FILE, (directory_id, name)).fetchone() for name in names)
        return {row[2]: known_file(row) for row in rows if row is not None}


@contextmanager
def known_tree(db: Database, root_id: int) -> Iterator[KnownTree]:
    """Give the block what is known of a root. Blocking."""
    with db.reading() as conn:
        tree = KnownTree(conn, root_id)
        try:
            yield tree
        finally:
            tree.let_go()
