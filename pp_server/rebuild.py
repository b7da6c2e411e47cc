"""Making the records again where the database is lost: blobs from what is stored, files from the receipts log.

Keys are not in either. They are taken from the old database where that can be read; else make new ones. An owner is
known by name, so a new key for the same owner has its files again.
"""

import os
import sqlite3
import time
import uuid
from collections.abc import Sequence
from contextlib import closing, suppress
from typing import Any
from urllib.parse import quote

from pp_server.content.filesystem import FilesystemContent
from pp_server.core.errors import StartRefused
from pp_server.core.extents import Blob
from pp_server.core.model import KeyRecord, Scope
from pp_server.core.recorded import Recorded
from pp_server.datadir import DataDir
from pp_server.metadata.store import SqliteMetadata
from pp_server.receipts.log import LoggedBatch, ReceiptsLog
from pp_server.wire.digest import EMPTY
from pp_server.wire.merkle import Tree
from pp_server.wire.receipts import NotProven, Proof, ReceiptKey, check_root

_AT_A_TIME = 1000
_PARTS = ("", "-wal", "-shm")
UNFINISHED = ".unfinished"
"""Added to the database's name while it is being made."""


def put_database_aside(data: DataDir) -> str | None:
    """Rename what there is of a database; return its new name."""
    if not any(os.path.exists(data.database + part) for part in _PARTS):
        return None
    when = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = f"{data.database}.before-{when}-{uuid.uuid4().hex[:4]}"
    for part in _PARTS:
        if os.path.exists(data.database + part):
            os.rename(data.database + part, aside + part)
    return aside


def keys_in(database: str) -> list[KeyRecord]:
    """Return the API keys of a database, as far as it can be read."""
    if not os.path.exists(database):
        return []
    try:
        with closing(sqlite3.connect(f"file:{quote(database)}?mode=ro", uri=True)) as conn:
            rows = conn.execute(_KEYS).fetchall()
    except sqlite3.Error:
        return []
    return [
        KeyRecord(key_id, owner_id, owner, name, frozenset(map(Scope, scopes.split())), *rest)
        for key_id, owner_id, owner, name, scopes, *rest in rows
    ]


_KEYS = """
SELECT k.id, k.owner_id, o.name, k.name, k.scopes, k.host_id, k.secret_sha256, k.created_ms, k.last_used_ms,
       k.revoked_ms
FROM api_keys k JOIN owners o ON o.id = k.owner_id"""


def remove_database(path: str) -> None:
    """Remove what an interrupted attempt left behind."""
    for part in _PARTS:
        with suppress(FileNotFoundError):
            os.unlink(path + part)


class Rebuild:
    """Fills an empty database. The caller holds the data directory's lock, and nobody else uses it."""

    def __init__(
        self,
        metadata: SqliteMetadata,
        content: FilesystemContent,
        log: ReceiptsLog,
        keys: Sequence[ReceiptKey],
        now_ms: int,
    ) -> None:
        self._metadata = metadata
        self._content = content
        self._log = log
        self._keys = {key.key_id: key for key in keys}
        self._now_ms = now_ms
        self._server_ids: set[str] = set()

    async def run(self) -> dict[str, Any]:
        """Return what was found and what is missing."""
        blobs, stored_bytes, damaged = await self._blobs()
        versions, lines, unreadable, unproven = await self._versions()
        missing = await self._metadata.finish_restore()
        return {
            "blobs": blobs,
            "bytes": stored_bytes,
            "damaged": damaged,
            "versions": versions,
            "log_lines": lines,
            "unreadable_lines": unreadable,
            "unproven_lines": unproven,
            "files_without_content": missing,
        }

    async def _blobs(self) -> tuple[int, int, int]:
        known: set[str] = {EMPTY}
        batch: list[Blob] = [Blob(EMPTY, 0, ())]  # it lies nowhere
        stored_bytes = damaged = 0
        async for found in self._content.scan():
            if not found.intact:
                damaged += 1
            elif found.blob.sha256 not in known:
                known.add(found.blob.sha256)
                stored_bytes += found.blob.size_bytes
                batch.append(found.blob)
                if len(batch) == _AT_A_TIME:
                    await self._metadata.record_blobs(batch, self._now_ms)
                    batch = []
        await self._metadata.record_blobs(batch, self._now_ms)
        return len(known), stored_bytes, damaged

    async def _versions(self) -> tuple[int, int, int, int]:
        versions = lines = unreadable = unproven = 0
        for logged in self._log.read():
            lines += 1
            if logged is None:
                unreadable += 1
            elif (key := self._keys.get(logged.key_id)) is not None and not _is_proven(logged, key):
                unproven += 1
            else:  # also what a key signed that is lost
                versions += await self._restore(logged.entries)
        return versions, lines, unreadable, unproven

    async def _restore(self, entries: list[Recorded]) -> int:
        self._server_ids |= {entry.whose.server_id for entry in entries}
        if len(self._server_ids) > 1:
            raise StartRefused("The receipts log is of several servers; it cannot be believed")
        return await self._metadata.restore(entries, self._now_ms)


def _is_proven(logged: LoggedBatch, key: ReceiptKey) -> bool:
    proof = Proof(key_id=logged.key_id, leaves=len(logged.entries), index=0, path=[], signature=logged.signature)
    try:
        check_root(Tree([entry.leaf for entry in logged.entries]).root, proof, key)
    except NotProven:
        return False
    return True
