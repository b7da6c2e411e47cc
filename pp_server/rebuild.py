"""Making the records again where the database is lost: blobs from what is stored, files from the receipts log.

Keys are not in either: make new ones. An owner is known by name, so a new key for the same owner has its files again.
"""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from pp_server.content.filesystem import FilesystemContent
from pp_server.core.errors import StartRefused
from pp_server.core.extents import Blob
from pp_server.core.versions import Recorded
from pp_server.datadir import DataDir
from pp_server.metadata.store import SqliteMetadata
from pp_server.receipts.log import LoggedBatch, ReceiptsLog
from pp_server.wire.digest import EMPTY
from pp_server.wire.receipts import NotProven, Proof, ReceiptKey, check_root, tree_of

_AT_A_TIME = 1000
_PARTS = ("", "-wal", "-shm")
UNFINISHED = ".unfinished"
"""Added to the database's name while it is being made."""


def put_database_aside(data: DataDir) -> str | None:
    """Rename what there is of a database; return its new name."""
    if not any(os.path.exists(data.database + part) for part in _PARTS):
        return None
    aside = f"{data.database}.before-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    for part in _PARTS:
        if os.path.exists(data.database + part):
            os.rename(data.database + part, aside + part)
    return aside


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
        self._server_ids |= {entry.receipt.server_id for entry in entries}
        if len(self._server_ids) > 1:
            raise StartRefused("The receipts log is of several servers; it cannot be believed")
        return await self._metadata.restore(entries, self._now_ms)


def _is_proven(logged: LoggedBatch, key: ReceiptKey) -> bool:
    proof = Proof(key_id=logged.key_id, leaves=len(logged.entries), index=0, path=[], signature=logged.signature)
    try:
        check_root(tree_of([entry.receipt for entry in logged.entries]).root, proof, key)
    except NotProven:
        return False
    return True
