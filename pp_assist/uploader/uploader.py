"""The upload stage: takes hashed files, gives them to the server in two lanes, removes a row only with its receipt.

Left to right: a lane takes claims, and notes before anything is sent that they may get to the server; small files
travel many at a time (`batch`), large ones alone and by chunks (`transfer`); `settle` writes down what became of them.
"""

import asyncio

from pp_assist.clock import Clock
from pp_assist.core.errors import AssistError
from pp_assist.core.model import Claim, Kind, Lane
from pp_assist.steering.places import Places
from pp_assist.store import stored_blocks, tree_moves, versions
from pp_assist.store.db import Database
from pp_assist.store.queue import WorkQueue
from pp_assist.store.queues import Queues
from pp_assist.uploader.batch import BATCH_FILES, ON_THE_WAY, Batches
from pp_assist.uploader.deletions import Deletions
from pp_assist.uploader.flights import Flights
from pp_assist.uploader.link import ServerLink
from pp_assist.uploader.reconcile import Reconciler
from pp_assist.uploader.settings import MOST_UPLOADS
from pp_assist.uploader.settle import Settle, UploaderStats
from pp_assist.uploader.snapshots import Snapshots
from pp_assist.uploader.transfer import Transfer
from pp_assist.uploader.tree_moves import TreeMoves
from pp_assist.uploader.way import Way

FILES_AT_A_TIME = 64
"""Claims of files that are sent alone: few, because what is claimed is not looked at again before its turn."""

HUGE_AT_A_TIME = 2
AT_ONCE_S = 0.2
"""A server that is well, and was greeted, is ready before."""

BATCHES_AT_A_TIME = ON_THE_WAY + 1
"""While some travel, the next is made ready: else both end at the same time on a slow line, and nothing is on it."""


class Uploader:
    """The component."""

    name = "uploader"

    def __init__(
        self,
        db: Database,
        queues: Queues,
        link: ServerLink,
        transfer: Transfer,
        batches: Batches,
        settle: Settle,
        deletions: Deletions,
        reconciler: Reconciler,
        snapshots: Snapshots | None,
        moves: TreeMoves,
        parallel_uploads: int,
        stats: UploaderStats,
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._db = db
        self._queues = queues
        self._link = link
        self._transfer = transfer
        self._batches = batches
        self._settle = settle
        self._deletions = deletions
        self._reconciler = reconciler
        self._snapshots = snapshots
        self._parallel_uploads = parallel_uploads
        self._places: list[tuple[Places, int]] = []
        """Those of each lane, and how many they may be at most."""
        self._tree_moves = moves
        self._flights = Flights()
        self.stats = stats

    async def run(self) -> None:
        """Work until cancelled."""
        for waiting in self._queues.uploads.values():
            waiting.start_over()
        self._places.clear()  # whoever had one is gone
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow_servers(), name="servers")
                tasks.create_task(self._small(tasks), name="small files")
                tasks.create_task(self._large(tasks, Lane.LARGE, self._parallel()), name="large files")
                tasks.create_task(self._large(tasks, Lane.HUGE, self._parallel(HUGE_AT_A_TIME)), name="huge files")
                tasks.create_task(self._settle.run(), name="receipts")
                tasks.create_task(self._deletions.run(), name="deletions")
                tasks.create_task(self._reconciler.run(), name="reconciler")
                tasks.create_task(self._tree_moves.run(), name="moved folders")
                if self._snapshots is not None:
                    tasks.create_task(self._snapshots.run(), name="snapshots")
        finally:
            self._queues.small.start_over()
            await self._link.close()

    def resize(self, parallel_uploads: int) -> None:
        """Send so many files that go alone at a time, from here on."""
        self._parallel_uploads = parallel_uploads
        for places, most in self._places:
            places.resize(min(parallel_uploads, most))

    def _parallel(self, most: int = MOST_UPLOADS) -> Places:
        """Return the places of a lane."""
        places = Places(min(self._parallel_uploads, most))
        self._places.append((places, most))
        return places

    async def _follow_servers(self) -> None:
        async for _ in self._link.follow():
            self._queues.wake_uploads()  # a new server lacks what the last one had
            self._reconciler.wake()

    # -- the lanes

    async def _large(self, tasks: asyncio.TaskGroup, lane: Lane, free: Places) -> None:
        waiting = self._queues.uploads[lane]
        limit = HUGE_AT_A_TIME if lane is Lane.HUGE else FILES_AT_A_TIME  # each comes with its blocks, 256 KiB perhaps
        while True:
            await self._link.ready()
            await self._one_by_one(await self._take(waiting, limit, True), waiting, free, tasks)

    async def _small(self, tasks: asyncio.TaskGroup) -> None:
        files, batches = self._parallel(), Places(BATCHES_AT_A_TIME)
        waiting = self._queues.small
        while True:
            await batches.acquire()
            together = (await self._way_of_small()).capabilities.can("batch")
            if together:
                waiting.open()
            else:
                await self._put_in_line(waiting.close())
            claims = await self._take(waiting, BATCH_FILES if together else FILES_AT_A_TIME, together)
            if together:
                tasks.create_task(self._many(claims, waiting, batches), name="batch")
            else:
                await self._one_by_one(claims, waiting, files, tasks)
                batches.release()

    async def _way_of_small(self) -> Way:
        """Wait for a way to the server. What was handed on does not wait for it in memory."""
        ready = asyncio.ensure_future(self._link.ready())
        try:
            if not (await asyncio.wait([ready], timeout=AT_ONCE_S))[0]:
                await self._put_in_line(self._queues.small.close())
            return await ready
        finally:
            ready.cancel()

    async def _put_in_line(self, handed: list[Claim]) -> None:
        if handed:
            async with self._db.transaction() as tx:
                await versions.put_in_line(tx, handed, self._clock.now_ms())
            self._queues.small.release(handed)

    async def _take(self, waiting: WorkQueue, limit: int, all_kinds: bool) -> list[Claim]:
        """Claim what may be sent next, and note that it may be: a lost answer must not hide that it may have been."""
        taken = await waiting.take(limit)
        while not await tree_moves.all_told(self._db):  # what is to be sent may have moved
            waiting.release(taken)
            taken = await waiting.take(limit)
        wanted = [claim for claim in taken if all_kinds or claim.kind is Kind.FILE]
        if len(wanted) < len(taken):
            await self._settle.not_taken([claim for claim in taken if claim not in wanted])
        async with self._db.transaction() as tx:
            claims = await versions.offered(tx, wanted, self._clock.now_ms())
        current = {claim.file_id for claim in claims}
        waiting.release([claim for claim in taken if claim.file_id not in current])
        return claims

    async def _one_by_one(
        self, claims: list[Claim], waiting: WorkQueue, free: Places, tasks: asyncio.TaskGroup
    ) -> None:
        for number, claim in enumerate(claims):
            await free.acquire()
            if self._link.reason is not None:  # the server is in trouble: keep the rest for later
                free.release()
                waiting.release(claims[number:])
                return
            way = await self._link.ready()
            tasks.create_task(self._alone(way, claim, waiting, free), name="upload")

    # -- one file, or many

    async def _alone(self, way: Way, claim: Claim, waiting: WorkQueue, free: Places) -> None:
        self.stats.active_workers += 1
        try:
            sent = False
            while not sent:
                with self._flights.take([claim]) as taken:
                    if sent := bool(taken.ours):
                        before = await stored_blocks.of(self._db, claim)
                        await self._settle.stored([await self._transfer.run(way, claim, before=before)])
                await taken.landed()
        except AssistError as error:
            await self._settle.failed([(claim, error)])
        except Exception as error:
            await self._settle.unexpected(claim, error)
        finally:
            self.stats.active_workers -= 1
            waiting.release([claim])
            free.release()

    async def _many(self, claims: list[Claim], waiting: WorkQueue, free: Places) -> None:
        self.stats.active_workers += 1
        try:
            rest = claims
            while rest and self._link.reason is None:
                with self._flights.take(rest) as taken:
                    await self._batches.send(await self._link.ready(), taken.ours)
                await taken.landed()
                rest = taken.others
        finally:
            self.stats.active_workers -= 1
            waiting.release(claims)
            free.release()
