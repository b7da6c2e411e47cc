"""The checksum pool: takes files at rest, hashes them in threads, hands them on to be uploaded."""

import asyncio
import logging
import random
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiosqlite

from pp_assist.checksum.entries import Result, read_claims
from pp_assist.checksum.hashing import LooksDifferent, NotThere, Read
from pp_assist.checksum.rehash import Rehash
from pp_assist.checksum.settings import ChecksumSettings
from pp_assist.clock import Clock
from pp_assist.core.backoff import delay_ms
from pp_assist.core.errors import AssistError, RootUnhealthy
from pp_assist.core.events import Event, Tell
from pp_assist.core.lifecycle import AfterHash, after_hash, changed_silently
from pp_assist.core.model import Claim, Hashed, Lane
from pp_assist.core.portions import portions
from pp_assist.core.rate import Rate
from pp_assist.core.rest import CHANGING, Rest
from pp_assist.steering.holding import Holding
from pp_assist.steering.places import Places
from pp_assist.store import generations, queue, versions
from pp_assist.store.db import Database
from pp_assist.store.queue import WorkQueue, lane_of
from pp_assist.store.queues import Queues
from pp_server.wire.batch import MAX_INLINE_BYTES
from pp_server.wire.names import display

log = logging.getLogger(__name__)

BATCH_FILES = 256
CLAIMED_FILES = 1024
"""At a time: whoever asks for more rows reads past those that are held already."""

BATCH_BYTES = 4 << 20
HUGE_AT_A_TIME = 1
LOOK_AGAIN_MS = 2_000
"""For what was not there when its turn came: the scanner knows more by then."""


class ChecksumStats:
    """What the pool tells about itself."""

    def __init__(self) -> None:
        self.active_workers = 0
        self.processed = Rate()
        self.silent_changes = 0
        """Files whose content had changed although nothing said so."""


class ChecksumPool:
    """The component."""

    name = "checksum_calculator"

    def __init__(
        self,
        db: Database,
        queues: Queues,
        settings: ChecksumSettings,
        rest: Rest,
        clock: Clock,
        threads: ThreadPoolExecutor,
        threads_for_large: ThreadPoolExecutor,
        holding: Holding,
        tell: Tell,
    ) -> None:
        self._db = db
        self._holding = holding
        self._tell = tell
        self._queues = queues
        self._settings = settings
        self._rest = rest
        self._clock = clock
        self._threads = threads
        self._threads_for_large = threads_for_large
        self._workers = Places(settings.parallel_workers)
        self._rehash = Rehash(db, queues, clock, settings.rehash_days)
        self.stats = ChecksumStats()

    async def run(self) -> None:
        """Work until cancelled."""
        normal, huge = self._queues.checksum, self._queues.huge_checksum
        normal.start_over()
        huge.start_over()
        self._workers = Places(self._workers.count)  # whoever had one is gone
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._rehash.run(), name="hash again")
            tasks.create_task(self._hash(tasks, normal, self._workers), name="normal files")
            tasks.create_task(self._hash(tasks, huge, Places(HUGE_AT_A_TIME)), name="huge files")

    def resize(self, parallel_workers: int) -> None:
        """Hash so many batches at a time from here on."""
        self._workers.resize(parallel_workers)

    async def _hash(self, tasks: asyncio.TaskGroup, waiting: WorkQueue, free: Places) -> None:
        while True:
            async with free:
                await self._holding.allowed()
                claims = await waiting.take(CLAIMED_FILES)
            shares = list(portions(claims, _size, BATCH_BYTES, BATCH_FILES))[: free.count]
            waiting.release(claims[sum(map(len, shares)) :])
            for batch in shares:
                await free.acquire()
                if self._holding.reason is not None:  # since we began to wait
                    waiting.release(batch)
                    free.release()
                else:
                    tasks.create_task(self._work(batch, waiting, free), name="hash")

    async def _work(self, batch: list[Claim], waiting: WorkQueue, free: Places) -> None:
        self.stats.active_workers += 1
        stop = threading.Event()
        ours = batch
        try:
            loop = asyncio.get_running_loop()
            results = await loop.run_in_executor(self._threads_for(batch), read_claims, batch, stop.is_set)
            handed = await self._hand_on(batch, results)
            ours = [claim for claim in batch if claim.file_id not in handed]
            if ours:
                rest = [(c, result) for c, result in zip(batch, results, strict=True) if c.file_id not in handed]
                await self._record(rest)
            self._note(batch, results)
        finally:
            stop.set()
            self.stats.active_workers -= 1
            waiting.release(ours)
            free.release()

    def _threads_for(self, batch: Sequence[Claim]) -> ThreadPoolExecutor:
        """Return who is to read: whoever hashes large files hardly ever keeps all others from the interpreter."""
        size_bytes = sum(claim.seen.size_bytes for claim in batch if claim.seen)
        return self._threads_for_large if size_bytes > len(batch) * MAX_INLINE_BYTES else self._threads

    async def _hand_on(self, batch: Sequence[Claim], results: Sequence[Result]) -> frozenset[int]:
        """Hand what is small and must be sent to whoever sends it, if he takes it now; return the ids of the files."""
        claims = []
        for claim, result in zip(batch, results, strict=True):
            if isinstance(result, Read) and lane_of(result.hashed) is Lane.SMALL:
                plan = after_hash(claim, result.hashed)
                if plan.send and not plan.new_gen:
                    hashed, racy, content = result
                    claims.append(claim._replace(hashed=hashed, racy=racy, content=content))
        if claims and await self._queues.small.hand_on(claims):
            return frozenset(claim.file_id for claim in claims)
        return frozenset()

    def _note(self, batch: Sequence[Claim], results: Sequence[Result]) -> None:
        """Count what was read."""
        for claim, result in zip(batch, results, strict=True):
            if isinstance(result, Read) and changed_silently(claim, result.hashed):
                self.stats.silent_changes += 1
                log.warning("%s has other content, and nothing says that it was written to", _name(claim))
        read = [(c, result.hashed) for c, result in zip(batch, results, strict=True) if isinstance(result, Read)]
        self.stats.processed.add(len(read), self._clock.mono_ms())
        if read:
            claim, hashed = read[0]
            alone: dict[str, Any] = (
                {"sha256": hashed.sha256, "file_size": hashed.stat.size_bytes} if len(read) == 1 else {}
            )
            self._tell(Event.SHA256_COMPLETE, claim.location.filepath, count=len(read), **alone)

    async def _record(self, results: Sequence[tuple[Claim, Result]]) -> None:
        now_ms = self._clock.now_ms()
        plans = [(c, r.hashed, r.racy, after_hash(c, r.hashed)) for c, r in results if isinstance(r, Read)]
        changed = [(claim, result) for claim, result in results if isinstance(result, LooksDifferent)]
        async with self._db.transaction() as tx:
            gens = iter(await generations.take(tx, sum(p.new_gen for *_, p in plans) + len(changed)))
            await self._record_digests(tx, plans, gens, now_ms)
            for claim, error in changed:
                eligible = self._rest.eligible_at_ms(error.now, now_ms)
                why = self._rest.why(eligible, now_ms) or CHANGING
                await versions.look_again(tx, claim, error.now, next(gens), max(eligible, now_ms + 1), now_ms, why)
            for claim, result in results:
                if isinstance(result, AssistError) and not isinstance(result, LooksDifferent):
                    await self._postpone(tx, claim, result, now_ms)
        if any(plan.send for *_, plan in plans):
            self._queues.wake_uploads()

    async def _record_digests(
        self,
        tx: aiosqlite.Connection,
        plans: Sequence[tuple[Claim, Hashed, bool, AfterHash]],
        gens: Iterator[int],
        now_ms: int,
    ) -> None:
        rows = [(c, read, racy, p.state, next(gens) if p.new_gen else c.gen, p.send) for c, read, racy, p in plans]
        await versions.hashed(tx, [row[:5] for row in rows], now_ms)
        await queue.to_upload(tx, [(row[0], row[1], row[4]) for row in rows if row[5]], now_ms)
        await queue.done(tx, [row[0] for row in rows if not row[5]])

    async def _postpone(self, tx: aiosqlite.Connection, claim: Claim, error: AssistError, now_ms: int) -> None:
        if isinstance(error, NotThere | RootUnhealthy):
            await queue.later(tx, claim, now_ms + LOOK_AGAIN_MS, error.reason, str(error))
            return
        log.warning("cannot hash %s: %s", _name(claim), error)
        self._tell(Event.SHA256_FAILED, claim.location.filepath, message=str(error), reason=error.reason)
        at_ms = now_ms + delay_ms(claim.attempts, random.random())  # noqa: S311 - jitter
        await queue.retry(tx, claim, at_ms, error.reason, str(error))


def _name(claim: Claim) -> str:
    return display(claim.location.filepath)


def _size(claim: Claim) -> int:
    return claim.seen.size_bytes if claim.seen else 0
