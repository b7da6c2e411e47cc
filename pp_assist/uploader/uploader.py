"""The uploader: several files at a time to the server, deletions in batches, and what to do when something fails."""

import asyncio
import logging
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pp_assist.clock import Clock
from pp_assist.core.backoff import delay_ms
from pp_assist.core.errors import AssistError, Remedy, Stale
from pp_assist.core.lifecycle import stored_state, was_sent
from pp_assist.core.model import Claim, Kind, Snapshot, Stage, Stat
from pp_assist.core.rate import Rate
from pp_assist.core.rest import eligible_at_ms
from pp_assist.disk import look
from pp_assist.store import observations, queue, versions
from pp_assist.store.db import Database
from pp_assist.store.queue import WorkQueue
from pp_assist.uploader.deletions import Deletions
from pp_assist.uploader.link import ServerLink
from pp_assist.uploader.transfer import Transfer
from pp_server.wire.names import display
from pp_server.wire.receipts import Receipt

log = logging.getLogger(__name__)

CLAIMS_AT_A_TIME = 64
LOOK_AGAIN_MS = 2_000
RESEND_PAUSE_MS = 1_000

T = TypeVar("T")


class UploaderStats:
    """What the uploader tells about itself."""

    def __init__(self) -> None:
        self.active_workers = 0
        self.uploaded = Rate()
        self.bytes_sent = 0


class Uploader:
    """The component."""

    name = "uploader"

    def __init__(
        self,
        db: Database,
        queues: dict[Stage, WorkQueue],
        link: ServerLink,
        deletions: Deletions,
        parallel_uploads: int,
        quiet_ms: int,
        clock: Clock,
        threads: ThreadPoolExecutor,
        stats: UploaderStats,
    ) -> None:
        self._db = db
        self._waiting = queues[Stage.UPLOAD]
        self._checksums = queues[Stage.CHECKSUM]
        self._link = link
        self._deletions = deletions
        self._parallel_uploads = parallel_uploads
        self._quiet_ms = quiet_ms
        self._clock = clock
        self._threads = threads
        self._receipts: asyncio.Queue[tuple[Claim, Receipt, int, asyncio.Future[None]]] = asyncio.Queue()
        self.stats = stats

    async def run(self) -> None:
        """Work until cancelled."""
        self._waiting.start_over()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow_servers(), name="servers")
                tasks.create_task(self._uploads(tasks), name="uploads")
                tasks.create_task(self._write_receipts(), name="receipts")
                tasks.create_task(self._deletions.run(), name="deletions")
        finally:
            await self._link.close()

    async def _follow_servers(self) -> None:
        async for _ in self._link.follow():
            self._waiting.wake()  # a new server lacks what the last one had

    async def _uploads(self, tasks: asyncio.TaskGroup) -> None:
        free = asyncio.Semaphore(self._parallel_uploads)
        while True:
            await self._link.ready()
            taken = await self._waiting.take(CLAIMS_AT_A_TIME)
            async with self._db.transaction() as tx:  # before it happens: a lost answer must not hide that it may have
                claims = await versions.offered(tx, taken)
            current = {claim.file_id for claim in claims}
            self._waiting.release([claim for claim in taken if claim.file_id not in current])
            for number, claim in enumerate(claims):
                await free.acquire()
                if self._link.reason is not None:  # the server is in trouble: keep the rest for later
                    free.release()
                    self._waiting.release(claims[number:])
                    break
                transfer = await self._link.ready()
                tasks.create_task(self._one(transfer, claim, free), name="upload")

    async def _one(self, transfer: Transfer, claim: Claim, free: asyncio.Semaphore) -> None:
        self.stats.active_workers += 1
        try:
            receipt, sent = await transfer.run(claim)
            await self._confirmed(claim, receipt, sent)
            await self._link.succeeded()
        except AssistError as error:
            await self._failed(claim, error)
        except Exception as error:
            log.exception("sending %s failed in a way nobody thought of", display(claim.location.filepath))
            async with self._db.transaction() as tx:
                await queue.park(tx, claim, "unexpected", repr(error))
        finally:
            self.stats.active_workers -= 1
            self._waiting.release([claim])
            free.release()

    # -- success

    async def _confirmed(self, claim: Claim, receipt: Receipt, sent: int) -> None:
        """Return once the receipt is written down, with whatever others arrived at the same time."""
        written = asyncio.get_running_loop().create_future()
        self._receipts.put_nowait((claim, receipt, sent, written))
        await written

    async def _write_receipts(self) -> None:
        while True:
            batch = [await self._receipts.get()]
            while not self._receipts.empty():
                batch.append(self._receipts.get_nowait())
            rows = []
            for claim, receipt, sent, _ in batch:
                assert claim.hashed is not None
                ours = was_sent(claim, claim.hashed, sent)
                rows.append((claim, receipt, stored_state(ours), ours))
            async with self._db.transaction() as tx:
                await versions.stored(tx, rows, self._clock.now_ms())
            self.stats.uploaded.add(len(batch), self._clock.mono_ms())
            for *_, written in batch:
                if not written.done():
                    written.set_result(None)

    # -- failure

    async def _failed(self, claim: Claim, error: AssistError) -> None:
        """Do what the error's remedy says. The row stays, whatever it is."""
        if error.remedy in (Remedy.WAIT, Remedy.LOGIN):
            await self._link.failed(error)
        else:
            log.info("not stored yet: %s: %s", display(claim.location.filepath), error)
        now_ms = self._clock.now_ms()
        if error.remedy is Remedy.LOOK:
            await self._look_again(claim, error, now_ms)
            return
        async with self._db.transaction() as tx:
            if error.remedy is Remedy.PARK:
                await queue.park(tx, claim, error.reason, str(error))
            elif error.server_wide:
                await queue.later(tx, claim, now_ms, error.reason, str(error))
            else:
                jitter = random.random()  # noqa: S311
                at_ms = now_ms + delay_ms(claim.attempts, jitter, error.retry_after_s)
                await queue.retry(tx, claim, at_ms, error.reason, str(error))

    async def _look_again(self, claim: Claim, error: AssistError, now_ms: int) -> None:
        """Put the file in line to be hashed, as it looks now."""
        try:
            seen = await self._in_thread(look, claim.location)
        except AssistError as unknown:
            seen, error = None, unknown
        async with self._db.transaction() as tx:
            if isinstance(error, Stale):
                await observations.raise_gen(tx, error.server_gen)
            if seen is None or seen.kind is not Kind.FILE:
                await queue.later(tx, claim, now_ms + LOOK_AGAIN_MS, error.reason, str(error))
                return
            (gen,) = await observations.take_gens(tx, 1)
            eligible = self._eligible(claim, seen, now_ms, error)
            await versions.look_again(tx, claim, seen.stat, gen, eligible, now_ms, error.reason)
        self._checksums.wake()

    def _eligible(self, claim: Claim, seen: Snapshot, now_ms: int, error: AssistError) -> int:
        as_hashed: Stat | None = claim.hashed.stat if claim.hashed else None
        if seen.stat == as_hashed and not isinstance(error, Stale):
            return now_ms + RESEND_PAUSE_MS  # the server got other bytes than we read: never in a hot loop
        return eligible_at_ms(seen.stat, now_ms, self._quiet_ms, closed=False)

    async def _in_thread(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)
