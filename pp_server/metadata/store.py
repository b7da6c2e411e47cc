"""Metadata in SQLite: see `MetadataStore` for what each call promises."""

import asyncio
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa

from pp_server.core.errors import ServerError, StartRefused
from pp_server.core.extents import Blob, Extent, Location
from pp_server.core.model import (
    DeletionOrder,
    DeletionOutcome,
    Expired,
    FileVersion,
    Host,
    KeyRecord,
    ListedPath,
    ListingQuery,
    NewKey,
    Page,
    RecordedChunk,
    UploadRequest,
    UploadSession,
)
from pp_server.core.recorded import Recorded
from pp_server.durable import Durable
from pp_server.metadata import (
    sql_blobs,
    sql_files,
    sql_keys,
    sql_listings,
    sql_restore,
    sql_sessions,
    sql_state,
    sql_versions,
)
from pp_server.metadata.base import Applied, Batch, Committed, ContentGone, Opened, Outdated
from pp_server.metadata.engine import Readers, Writer, writing_engine
from pp_server.metadata.migrate import migrate
from pp_server.metadata.sql_state import Start
from pp_server.wire.digest import Digest


def prepare(path: str) -> Start:
    """Create or migrate the database, check it, and record this start. Blocking.

    Raises:
        StartRefused: the file is damaged, or of a newer program.
    """
    engine = writing_engine(path)
    try:
        with engine.connect() as conn:
            migrate(conn)
            with conn.begin():
                start = sql_state.begin_epoch(conn)
            if start.epoch > 1:
                _check(conn)
    except (sa.exc.DBAPIError, sqlite3.DatabaseError) as error:
        raise StartRefused(f"The database {os.fsdecode(path)} cannot be used: {_reason(error)}") from error
    finally:
        engine.dispose()
    return start


def _check(conn: sa.Connection) -> None:
    with conn.begin():
        said = conn.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if said != "ok":
        raise StartRefused(
            f"The database is damaged ({said}): restore it from a copy, or have it made again with: pp_server rebuild"
        )


def _reason(error: Exception) -> str:
    return str(error.orig) if isinstance(error, sa.exc.DBAPIError) else str(error)


class SqliteMetadata:
    """See `MetadataStore`. Open it inside a running event loop; the caller holds the data directory's lock."""

    def __init__(self, path: str, start: Start, durable: Durable) -> None:
        self.server_id = start.server_id
        self.epoch = start.epoch
        self.verify_below = start.verify_below
        self.was_clean = start.was_clean
        self._counts: Counter[str] = Counter()
        self._counting = threading.Lock()
        self._logged = self._saved_logged = 0
        self._writer = Writer(writing_engine(path), durable, self._save_counts)
        self._readers = Readers(path)

    @classmethod
    async def open(cls, path: str, durable: Durable) -> "SqliteMetadata":
        """Return the store on the database at *path*, migrated and checked."""
        with ThreadPoolExecutor(1) as executor:
            start = await asyncio.get_running_loop().run_in_executor(executor, prepare, path)
        return cls(path, start, durable)

    async def close(self) -> None:
        """Finish what is waiting and record a clean stop."""
        await self._writer.run(lambda tx: sql_state.end_epoch(tx.conn, self.epoch))
        self._readers.close()
        self._writer.close()

    def _save_counts(self, conn: sa.Connection, counts: Counter[str]) -> None:
        with self._counting:
            counts.update(self._counts)
            self._counts.clear()
            logged = self._logged
        sql_state.save_counts(conn, counts)
        if logged != self._saved_logged:
            sql_state.save_receipts_logged(conn, logged)
            self._saved_logged = logged

    async def create_key(self, key: NewKey, now_ms: int) -> KeyRecord:
        """See `MetadataStore`."""
        return await self._writer.run(lambda tx: sql_keys.create_key(tx, key, now_ms))

    async def list_keys(self) -> list[KeyRecord]:
        """See `MetadataStore`."""
        return await self._readers.run(sql_keys.list_keys)

    async def find_key(self, key_id: str) -> KeyRecord | None:
        """See `MetadataStore`."""
        return await self._readers.run(lambda conn: sql_keys.find_key(conn, key_id))

    async def revoke_key(self, key_id: str, now_ms: int) -> KeyRecord | None:
        """See `MetadataStore`."""
        return await self._writer.run(lambda tx: sql_keys.revoke_key(tx, key_id, now_ms))

    async def touch_keys(self, used_ms: Mapping[str, int]) -> None:
        """See `MetadataStore`."""
        await self._writer.run(lambda tx: sql_keys.touch_keys(tx, used_ms))

    async def open_session(
        self, request: UploadRequest, upload_id: str, now_ms: int, expires_ms: int, max_open: int | None = None
    ) -> Opened:
        """See `MetadataStore`."""
        return await self._writer.run(
            lambda tx: sql_sessions.open_session(tx, request, upload_id, now_ms, expires_ms, max_open)
        )

    async def find_session(self, owner_id: int, upload_id: str) -> UploadSession | None:
        """See `MetadataStore`."""
        return await self._readers.run(lambda conn: sql_sessions.find_session(conn, owner_id, upload_id))

    async def chunks(self, session_id: int) -> list[RecordedChunk]:
        """See `MetadataStore`."""
        return await self._readers.run(lambda conn: sql_sessions.chunks(conn, session_id))

    async def chunk(self, session_id: int, number: int) -> RecordedChunk | None:
        """See `MetadataStore`."""
        return await self._readers.run(lambda conn: sql_sessions.chunk(conn, session_id, number))

    async def record_chunk(self, session_id: int, chunk: RecordedChunk, expires_ms: int | None) -> None:
        """See `MetadataStore`."""
        await self._writer.run(lambda tx: sql_sessions.record_chunk(tx, session_id, chunk, expires_ms))

    async def forget_chunks(self, session_id: int, numbers: Sequence[int] | None) -> None:
        """See `MetadataStore`."""
        await self._writer.run(lambda tx: sql_sessions.forget_chunks(tx, session_id, numbers))

    async def vouch_chunks(self, session_id: int) -> None:
        """See `MetadataStore`."""
        await self._writer.run(lambda tx: sql_sessions.vouch_chunks(tx, session_id, self.epoch))

    async def forget_known_content(self, session_id: int) -> None:
        """See `MetadataStore`."""
        await self._writer.run(lambda tx: sql_sessions.forget_known_content(tx, session_id))

    async def complete_session(
        self, session_id: int, sha256: Digest, location: Location | None, now_ms: int
    ) -> Committed | Outdated | ContentGone:
        """See `MetadataStore`."""
        return await self._writer.run(
            lambda tx: sql_sessions.complete_session(tx, session_id, sha256, location, now_ms, self.server_id)
        )

    async def abort_session(self, session_id: int, now_ms: int) -> int:
        """See `MetadataStore`."""
        return await self._writer.run(lambda tx: sql_sessions.abort_session(tx, session_id, now_ms))

    async def expire_sessions(self, now_ms: int, busy: Iterable[str]) -> Expired:
        """See `MetadataStore`."""
        return await self._writer.run(lambda tx: sql_sessions.expire_sessions(tx, now_ms, busy))

    async def expire_session(self, upload_id: str, now_ms: int) -> bool:
        """See `MetadataStore`."""
        return await self._writer.run(lambda tx: sql_sessions.expire_session(tx, upload_id, now_ms))

    async def open_upload_ids(self) -> set[str]:
        """See `MetadataStore`."""
        return await self._readers.run(sql_sessions.open_upload_ids)

    async def find_blobs(self, digests: Collection[Digest]) -> dict[Digest, Blob]:
        """See `MetadataStore`."""
        return await self._readers.run(lambda conn: sql_blobs.find(conn, digests)) if digests else {}

    async def distrust_content(self, sha256: Digest, location: Location) -> bool:
        """See `MetadataStore`."""
        return await self._writer.run(lambda tx: sql_blobs.distrust(tx, sha256, location))

    async def held(self, owner_id: int, digests: Collection[Digest]) -> set[Digest]:
        """See `MetadataStore`."""
        return set(await self._readers.run(lambda conn: sql_blobs.sizes(conn, digests, owner_id)))

    async def record_blobs(self, blobs: Sequence[Blob], now_ms: int) -> None:
        """See `MetadataStore`."""
        await self._writer.run(lambda tx: sql_blobs.record(tx, blobs, now_ms))

    async def page_of_blobs(self, after: Digest | None, limit: int) -> list[Blob]:
        """See `MetadataStore`."""
        return await self._readers.run(lambda conn: sql_blobs.page(conn, after, limit))

    async def live_in_packs(self) -> dict[str, tuple[int, int]]:
        """See `MetadataStore`."""
        return await self._readers.run(sql_blobs.live_bytes)

    async def blobs_in_pack(self, name: str, after: Digest | None, limit: int) -> list[Blob]:
        """See `MetadataStore`."""
        return await self._readers.run(lambda conn: sql_blobs.in_pack(conn, name, after, limit))

    async def move_extents(self, moves: Sequence[tuple[Extent, Extent]]) -> None:
        """See `MetadataStore`."""
        await self._writer.run(lambda tx: sql_blobs.move(tx, moves))

    async def retire_pack(self, name: str, now_ms: int) -> bool:
        """See `MetadataStore`."""
        return await self._writer.run(lambda tx: sql_blobs.retire(tx, name, now_ms))

    async def retired_packs(self) -> dict[str, int]:
        """See `MetadataStore`."""
        return await self._readers.run(sql_blobs.retired)

    async def forget_pack(self, name: str) -> None:
        """See `MetadataStore`."""
        await self._writer.run(lambda tx: sql_blobs.dropped(tx, name))

    async def apply_batch(self, batch: Batch, now_ms: int) -> Applied:
        """See `MetadataStore`."""
        return await self._writer.run(lambda tx: sql_files.apply_batch(tx, batch, now_ms, self.server_id))

    async def find_recorded(self, owner_id: int, sequence: int) -> Recorded | None:
        """See `MetadataStore`."""
        return await self._readers.run(
            lambda conn: sql_versions.find_recorded(conn, owner_id, sequence, self.server_id)
        )

    async def recorded_after(self, sequence: int, limit: int) -> list[Recorded]:
        """See `MetadataStore`."""
        return await self._readers.run(lambda conn: sql_versions.recorded_after(conn, sequence, limit, self.server_id))

    async def last_sequence(self) -> int:
        """See `MetadataStore`."""
        return await self._readers.run(sql_versions.last_sequence)

    async def receipts_logged(self) -> int:
        """See `MetadataStore`."""
        return max(self._logged, await self._readers.run(sql_state.receipts_logged))

    async def note_logged(self, sequence: int) -> None:
        """See `MetadataStore`."""
        with self._counting:
            self._logged = max(self._logged, sequence)

    async def restore(self, entries: Sequence[Recorded], now_ms: int) -> int:
        """Take versions from the receipts log into an empty database; `finish_restore` ends it.

        Return how many were new.
        """
        self.server_id = entries[0].whose.server_id
        return await self._writer.run(lambda tx: sql_restore.restore(tx, entries, now_ms))

    async def restore_keys(self, keys: Sequence[KeyRecord]) -> None:
        """Take over keys of a database that can still be read."""
        await self._writer.run(lambda tx: sql_restore.restore_keys(tx, keys))

    async def finish_restore(self) -> int:
        """Work out which versions are heads; return how many live files lack their content."""
        return await self._writer.run(sql_restore.finish)

    async def hosts_of(self, query: ListingQuery) -> list[int]:
        """See `MetadataStore`."""
        return await self._readers.run(lambda conn: sql_listings.hosts_of(conn, query))

    async def page_of_tree(
        self, query: ListingQuery, host_key: int, after: tuple[bytes, int] | None
    ) -> tuple[list[ListedPath], tuple[bytes, int] | None]:
        """See `MetadataStore`."""
        return await self._readers.run(lambda conn: sql_listings.page_of_tree(conn, query, host_key, after))

    async def list_files(self, query: ListingQuery) -> Page:
        """See `MetadataStore`."""
        return await self._readers.run(lambda conn: sql_listings.list_files(conn, query))

    async def apply_deletions(
        self,
        owner_id: int,
        orders: Sequence[DeletionOrder],
        now_ms: int,
    ) -> tuple[list[DeletionOutcome], list[Recorded]]:
        """See `MetadataStore`."""
        return await self._writer.run(
            lambda tx: sql_files.apply_deletions(tx, owner_id, orders, now_ms, self.server_id)
        )

    async def find_content(self, owner_id: int, sha256: Digest) -> FileVersion | None:
        """See `MetadataStore`."""
        return await self._readers.run(lambda conn: sql_listings.find_content(conn, owner_id, sha256))

    async def find_host(self, owner_id: int, host_id: str) -> Host | None:
        """See `MetadataStore`."""
        return await self._readers.run(lambda conn: sql_files.find_host(conn, owner_id, host_id))

    async def add_counts(self, counts: Mapping[str, int]) -> None:
        """See `MetadataStore`."""
        with self._counting:
            self._counts.update(counts)

    async def stats(self) -> dict[str, int]:
        """See `MetadataStore`."""
        await self._writer.run(lambda tx: None)  # so that the counters are as new as the question
        return await self._readers.run(sql_state.stats)

    async def is_connected(self) -> bool:
        """See `MetadataStore`."""
        try:
            return await self._readers.run(lambda conn: conn.exec_driver_sql("SELECT 1").scalar() == 1)
        except ServerError:
            return False
