"""The composition root: opens a data directory and builds everything around it, for a server or for one command.

Of the web it knows nothing: a command that finds no server running needs none of it.
"""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress

from pp_server import posix
from pp_server.admin import Admin
from pp_server.api.services import Services
from pp_server.arriving import Arriving
from pp_server.auth import Keys
from pp_server.budget import Budget
from pp_server.content.base import DigestLocks
from pp_server.content.filesystem import FilesystemContent
from pp_server.core.errors import StartRefused
from pp_server.core.failures import Failures
from pp_server.datadir import DataDir
from pp_server.durable import Durable
from pp_server.files import Files
from pp_server.indexedcp.mounted import Mounted
from pp_server.indexedcp.names import PathMode
from pp_server.indexedcp.placing import Rules
from pp_server.metadata.store import SqliteMetadata
from pp_server.receipts.issuer import Issuer
from pp_server.receipts.log import ReceiptsLog
from pp_server.receipts.signer import Signer
from pp_server.restore import Restore
from pp_server.room import Room
from pp_server.settings import Settings
from pp_server.staging import Staging
from pp_server.upkeep import Upkeep
from pp_server.uploads.arrivals import Arrival, Arrivals
from pp_server.uploads.batch import Batches
from pp_server.uploads.context import Context
from pp_server.uploads.rules import UploadRules
from pp_server.uploads.service import Uploads
from pp_server.verify import Verifier

log = logging.getLogger(__name__)

WORKERS = 12
"""Threads that hash, write and sync; most of their time is waiting for the disk."""

Clock = Callable[[], int]


def wall_clock_ms() -> int:
    """Return milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def opened(settings: Settings, durable: Durable, clock: Clock) -> AsyncIterator[tuple[Services, Admin]]:
    """Open the data directory, with its lock, for as long as the block lasts.

    Raises:
        DataDirBusy: another process has it.
        StartRefused: it is not fit to be served.
    """
    data = DataDir.at(settings.data_dir)
    data.create()
    lock = data.lock()
    try:
        data.check(durable)
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="server-io") as executor:
            metadata = await SqliteMetadata.open(data.database, durable)
            try:
                async with _serving(settings, data, metadata, executor, durable, clock) as parts:
                    yield parts
            finally:
                await metadata.close()
    finally:
        os.close(lock)


@asynccontextmanager
async def _serving(
    settings: Settings,
    data: DataDir,
    metadata: SqliteMetadata,
    executor: ThreadPoolExecutor,
    durable: Durable,
    clock: Clock,
) -> AsyncIterator[tuple[Services, Admin]]:
    content = content_of(settings, data, durable, executor)
    if not metadata.was_clean:
        await asyncio.get_running_loop().run_in_executor(executor, content.recover)
    receipts_log = ReceiptsLog(data.receipts, durable)
    receipts = Issuer(signer_of(data, receipts_log, durable), receipts_log, metadata, executor)
    caught = await receipts.catch_up()
    if caught:
        log.info("completed the receipts log with %d versions", caught)
    locks, staging = DigestLocks(), Staging(data.staging, durable)
    limits = settings.limits
    budget = Budget(limits.max_inflight_mb << 20)
    room = Room(data.staging, limits.reserve_mb << 20, limits.reserve_percent)
    arriving = Arriving()
    context = Context(
        metadata, content, locks, staging, executor, clock, _rules(settings), budget, room, receipts, arriving
    )
    uploads = Uploads(context)
    keys = Keys(metadata, clock, Failures(limits.auth_failures, limits.auth_window_seconds))
    files = Files(metadata, content, locks, executor, clock, receipts)
    upkeep = Upkeep(
        metadata,
        content,
        files,
        clock,
        settings.storage.compact_dead_percent,
        int(settings.storage.pack_grace_seconds * 1000),
    )
    indexedcp = _mounted(settings, data, durable, executor, Arrivals(context))
    await _clean(uploads)
    keeping = asyncio.create_task(indexedcp.run())
    cleaning = asyncio.create_task(_look_after(uploads, upkeep, settings.uploads.cleanup_interval_seconds))
    flushing = asyncio.create_task(_flush_keys(keys))
    services = Services(
        uploads,
        Batches(context),
        files,
        Restore(metadata, content, files),
        Verifier(metadata, files, executor),
        receipts,
        indexedcp,
        keys,
        budget,
        metadata.server_id,
        metadata.is_connected,
        lambda: not cleaning.done() and not flushing.done() and not keeping.done(),
    )
    try:
        yield services, Admin(keys, uploads, metadata, upkeep)
    finally:
        for task in (cleaning, flushing, keeping):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await keys.flush()
        indexedcp.close()
        uploads.close()
        content.close()
        receipts_log.close()


def _mounted(settings: Settings, data: DataDir, durable: Durable, executor: Executor, arrivals: Arrivals) -> Mounted:
    chosen = settings.indexedcp
    rules = Rules(
        PathMode(chosen.path_mode),
        chosen.strip_paths,
        chosen.idle_seconds,
        chosen.unfinished_seconds,
        chosen.max_unfinished_per_owner,
        only_kept=True,
    )

    async def keep(owner_id: int, host_id: str, path: bytes, gen: int, source: str) -> None:
        await arrivals.keep(Arrival(owner_id, host_id, path, gen, source))

    return Mounted(data.indexedcp, rules, durable, executor, keep)


def content_of(settings: Settings, data: DataDir, durable: Durable, executor: Executor) -> FilesystemContent:
    """Return the content store in the data directory."""
    packing = settings.storage
    return FilesystemContent(
        data.blobs,
        data.packs,
        data.quarantine,
        durable,
        executor,
        packing.pack_up_to_kb << 10,
        packing.pack_size_mb << 20,
        packing.compression == "auto",
    )


def signer_of(data: DataDir, receipts_log: ReceiptsLog, durable: Durable) -> Signer:
    """Return the server's signer, with a new key at the first start.

    Raises:
        StartRefused: the key is gone, but receipts were given.
    """
    try:
        return Signer.load(data.receipts_key)
    except FileNotFoundError:
        if not receipts_log.is_empty():
            raise StartRefused(
                f"{data.receipts_key} is missing, and clients know it: restore it from a copy, or make a new one,"
                " which they will notice, with: pp_server receipts new-key"
            ) from None
        return Signer.create(data.receipts_key, durable)


def _rules(settings: Settings) -> UploadRules:
    chosen = settings.uploads
    return UploadRules(int(chosen.session_ttl_seconds * 1000), chosen.max_open_per_owner)


async def _look_after(uploads: Uploads, upkeep: Upkeep, interval_s: float) -> None:
    """Remove expired uploads and rewrite packs now and then; a first cleaning was before anybody was served."""
    while True:
        await asyncio.sleep(interval_s)
        await _clean(uploads)
        try:
            done = await upkeep.compact()
            if any(done.values()):
                log.info("packs: %(rewritten)d rewritten, %(dropped)d removed, %(freed_bytes)d bytes freed", done)
        except Exception:
            log.exception("compacting failed")
        posix.give_back_memory()


async def _clean(uploads: Uploads) -> None:
    """Remove expired uploads; a failure is logged, and the next round comes."""
    try:
        closed = await uploads.clean()
        if closed:
            log.info("removed %d expired uploads", closed)
    except Exception:
        log.exception("cleaning up failed")


async def _flush_keys(keys: Keys) -> None:
    while True:
        await asyncio.sleep(60)
        try:
            await keys.flush()
        except Exception:
            log.exception("recording the use of keys failed")
