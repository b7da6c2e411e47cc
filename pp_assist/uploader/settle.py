"""What follows once the server has a file, and what follows when it does not: the same for every lane."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import aiosqlite

from pp_assist.clock import Clock
from pp_assist.core.backoff import delay_ms
from pp_assist.core.errors import AssistError, Remedy, Stale
from pp_assist.core.events import Event, Tell
from pp_assist.core.lifecycle import stored_state, was_sent
from pp_assist.core.model import Claim, Kind, Snapshot, Stage
from pp_assist.core.rate import Rate
from pp_assist.core.rest import Rest
from pp_assist.core.series import MOST_LATENCIES, Latencies, Series
from pp_assist.disk import look_at_all
from pp_assist.store import generations, queue, receipts, versions
from pp_assist.store.db import Database
from pp_assist.store.queues import Queues
from pp_assist.uploader.confirmed import Confirmed
from pp_assist.uploader.link import ServerLink
from pp_server.wire.names import display

log = logging.getLogger(__name__)

LOOK_AGAIN_MS = 2_000
RESEND_PAUSE_MS = 1_000

T = TypeVar("T")
Look = Snapshot | AssistError | None


class UploaderStats:
    """What the uploader tells about itself."""

    def __init__(self, began_ms: int = 0) -> None:
        self.active_workers = 0
        self.uploaded = Rate()
        self.bytes_sent = 0
        self.sent_lately = Series()
        self.latencies = Latencies()
        """From the last change of a file that changed while we ran, to the receipt that was written down."""
        self.began_ms = began_ms

    def sent(self, count: int, now_ms: int) -> None:
        """Note that so many bytes of contents have left."""
        self.bytes_sent += count
        self.sent_lately.add(count, now_ms)


class Settle:
    """Writes down what became of claims."""

    def __init__(
        self,
        db: Database,
        queues: Queues,
        link: ServerLink,
        rest: Rest,
        clock: Clock,
        threads: ThreadPoolExecutor,
        stats: UploaderStats,
        tell: Tell,
    ) -> None:
        self._tell = tell
        self._db = db
        self._queues = queues
        self._link = link
        self._rest = rest
        self._clock = clock
        self._threads = threads
        self._stats = stats
        self._arrived: asyncio.Queue[tuple[Sequence[Confirmed], asyncio.Future[None]]] = asyncio.Queue()

    # -- success

    async def stored(self, confirmed: Sequence[Confirmed]) -> None:
        """Return once the receipts are written down, with whatever others arrived at the same time."""
        written = asyncio.get_running_loop().create_future()
        self._arrived.put_nowait((confirmed, written))
        await written
        await self._link.succeeded()

    async def run(self) -> None:
        """Write receipts until cancelled."""
        while True:
            arrived = [await self._arrived.get()]
            while not self._arrived.empty():
                arrived.append(self._arrived.get_nowait())
            await self._record([one for confirmed, _ in arrived for one in confirmed])
            for _, written in arrived:
                if not written.done():
                    written.set_result(None)

    async def _record(self, confirmed: Sequence[Confirmed]) -> None:
        async with self._db.transaction() as tx:
            trees: dict[int, int] = {}
            rows = []
            for one in confirmed:
                if one.tree is not None and id(one.tree) not in trees:
                    trees[id(one.tree)] = await receipts.keep(tx, one.tree, one.receipt)
                assert one.claim.hashed is not None
                ours = was_sent(one.claim, one.claim.hashed, one.sent)
                tree = None if one.tree is None else trees[id(one.tree)]
                rows.append((one.claim, one.receipt, stored_state(ours), ours, tree))
            await versions.stored(tx, rows, self._clock.now_ms())
        self._count(confirmed)
        self._tell_of(confirmed)

    def _count(self, confirmed: Sequence[Confirmed]) -> None:
        now_ms, mono_ms, began_ms = self._clock.now_ms(), self._clock.mono_ms(), self._stats.began_ms
        self._stats.uploaded.add(len(confirmed), mono_ms)
        read = [one.claim.hashed for one in confirmed[-MOST_LATENCIES:] if one.claim.kind is Kind.FILE]
        changed = [each.stat.ctime_ns // 1_000_000 for each in read if each is not None]
        self._stats.latencies.add([now_ms - at_ms for at_ms in changed if began_ms <= at_ms <= now_ms], mono_ms)

    def _tell_of(self, confirmed: Sequence[Confirmed]) -> None:
        claim = confirmed[0].claim
        details: dict[str, Any] = {"bytes_sent": sum(one.sent for one in confirmed)}
        if len(confirmed) == 1 and claim.hashed is not None:
            hashed = claim.hashed
            self._tell(
                Event.UPLOAD_COMPLETE, claim.location.filepath,
                sha256=hashed.sha256, file_size=hashed.stat.size_bytes, **details,
            )  # fmt: skip
        else:
            self._tell(Event.UPLOAD_COMPLETE, claim.location.filepath, count=len(confirmed), **details)

    # -- failure

    async def trouble(self, claims: Sequence[Claim], error: AssistError) -> None:
        """Keep every row: the request that all of *claims* were in failed, and no single one of them is to blame."""
        await self._link.failed(error)
        now_ms = self._clock.now_ms()
        async with self._db.transaction() as tx:
            claims = await versions.put_in_line(tx, claims, now_ms)
            if error.server_wide:
                await queue.later_all(tx, claims, now_ms, error.reason, str(error))
            else:
                for claim in claims:
                    await self._retry(tx, claim, error, now_ms)

    async def failed(self, failures: Sequence[tuple[Claim, AssistError]]) -> None:
        """Do what each error's remedy says. The row stays, whatever it is."""
        for claim, error in failures:
            if error.remedy is Remedy.LEAVE:
                continue
            if error.remedy in (Remedy.WAIT, Remedy.LOGIN):
                await self.trouble([claim], error)
            else:
                log.info("not stored yet: %s: %s", display(claim.location.filepath), error)
                self._tell(Event.UPLOAD_FAILED, claim.location.filepath, message=str(error), reason=error.reason)
        looking = [(claim, error) for claim, error in failures if error.remedy is Remedy.LOOK]
        looks = await self._in_thread(look_at_all, [claim.location for claim, _ in looking]) if looking else []
        now_ms = self._clock.now_ms()
        async with self._db.transaction() as tx:
            claims = await versions.put_in_line(tx, [claim for claim, _ in failures], now_ms)
            seen = iter(looks)
            for claim, (_, error) in zip(claims, failures, strict=True):
                if error.remedy is Remedy.PARK:
                    await queue.park(tx, claim, error.reason, str(error))
                elif error.remedy is Remedy.RETRY:
                    await self._retry(tx, claim, error, now_ms)
                elif error.remedy is Remedy.LOOK:
                    await self._look_again(tx, claim, error, next(seen), now_ms)
        if looking:
            self._queues.wake_checksums()

    async def not_taken(self, claims: Sequence[Claim]) -> None:
        """Leave directories and links alone until a server takes them; tell it of the end of a file at their place."""
        replaced = [claim for claim in claims if claim.stored is not None and claim.stored.kind is Kind.FILE]
        moves = [(claim, Stage.DELETION, claim.gen) for claim in replaced]
        async with self._db.transaction() as tx:
            await queue.move(tx, moves, self._clock.now_ms())
            await versions.not_taken(tx, [claim for claim in claims if claim not in replaced])
        if replaced:
            self._queues.deletion.wake()

    async def unexpected(self, claim: Claim, error: Exception) -> None:
        """Park a file on which our own code failed: again and again it would fail the same way.

        Not so where the system was in trouble, even if nobody thought of the place: that passes, and it is tried again.
        """
        log.error("sending %s failed in a way nobody thought of", display(claim.location.filepath), exc_info=error)
        passes = isinstance(error, OSError | MemoryError | ImportError)
        now_ms = self._clock.now_ms()
        at_ms = now_ms + delay_ms(claim.attempts, random.random())  # noqa: S311 - jitter
        async with self._db.transaction() as tx:
            (claim,) = await versions.put_in_line(tx, [claim], now_ms)
            if passes:
                await queue.retry(tx, claim, at_ms, "unexpected", repr(error))
            else:
                await queue.park(tx, claim, "unexpected", repr(error))

    async def _retry(self, tx: aiosqlite.Connection, claim: Claim, error: AssistError, now_ms: int) -> None:
        jitter = random.random()  # noqa: S311
        at_ms = now_ms + delay_ms(claim.attempts, jitter, error.retry_after_s)
        await queue.retry(tx, claim, at_ms, error.reason, str(error))

    async def _look_again(
        self, tx: aiosqlite.Connection, claim: Claim, error: AssistError, seen: Look, now_ms: int
    ) -> None:
        """Put the file in line to be hashed, as it looks now."""
        if isinstance(error, Stale):
            await generations.raise_to(tx, error.server_gen)
        if not isinstance(seen, Snapshot) or seen.kind is not claim.kind:
            why = seen if isinstance(seen, AssistError) else error
            await queue.later(tx, claim, now_ms + LOOK_AGAIN_MS, why.reason, str(why))
            return
        (gen,) = await generations.take(tx, 1)
        eligible = self._eligible(claim, seen, now_ms, error)
        await versions.look_again(tx, claim, seen.stat, gen, eligible, now_ms, error.reason)

    def _eligible(self, claim: Claim, seen: Snapshot, now_ms: int, error: AssistError) -> int:
        as_hashed = claim.hashed.stat if claim.hashed else None
        if seen.stat == as_hashed and not isinstance(error, Stale):
            return now_ms + RESEND_PAUSE_MS  # the server got other bytes than we read: never in a hot loop
        return self._rest.eligible_at_ms(seen.stat, now_ms)

    async def _in_thread(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)
