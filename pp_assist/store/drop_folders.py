"""Which roots are spools of folders on SFTP servers, and which of the files in them are stored."""

import json
import sqlite3
from collections.abc import Iterable

import aiosqlite

from pp_assist.core.drop_folders import DropOptions
from pp_assist.core.model import Stat
from pp_assist.store.db import Database

_ADD = """
INSERT INTO drop_folders (root_id, password, key_file, passphrase, host_key, known_hosts, after, in_progress, patterns,
    interval_s, rest_s, announce) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_ALL = """
SELECT root_id, password, key_file, passphrase, host_key, known_hosts, after, in_progress, patterns, interval_s, rest_s,
    announce FROM drop_folders ORDER BY root_id"""
_STORED = """
SELECT f.sha256, f.size_bytes, f.mtime_ns, f.ctime_ns, f.inode, f.device
FROM directories d JOIN files f ON f.directory_id = d.id
WHERE d.root_id = ? AND d.path = ? AND f.name = ? AND f.kind = 'file' AND f.state IN ('completed', 'unchanged')"""


async def add(tx: aiosqlite.Connection, root_id: int, options: DropOptions) -> None:
    """Write down what a root is the spool of, in the transaction that registers it."""
    announce = None if options.announce is None else json.dumps(options.announce)
    values = (
        options.password, options.key_file, options.passphrase, options.host_key, options.known_hosts, options.after,
        options.in_progress, json.dumps(options.patterns), options.interval_s, options.rest_s, announce,
    )  # fmt: skip
    await tx.execute(_ADD, (root_id, *values))


async def options_of_all(db: Database) -> dict[int, DropOptions]:
    """Return root id → what is done there."""
    return {row["root_id"]: _options(row) for row in await db.rows(_ALL)}


def stored(conn: sqlite3.Connection, root_id: int, paths: Iterable[bytes]) -> dict[bytes, tuple[Stat, str]]:
    """Return, of those *paths* in a root that have a receipt for how they were hashed, that look and the SHA-256."""
    found = {}
    for path in paths:
        directory, _, name = path.rpartition(b"/")
        row = conn.execute(_STORED, (root_id, directory, name)).fetchone()
        if row is not None:
            found[path] = Stat(*row[1:]), row[0]
    return found


def _options(row: sqlite3.Row) -> DropOptions:
    fields = dict(row)
    del fields["root_id"]
    fields["patterns"] = tuple(json.loads(fields["patterns"]))
    fields["announce"] = None if fields["announce"] is None else json.loads(fields["announce"])
    return DropOptions(**fields)
