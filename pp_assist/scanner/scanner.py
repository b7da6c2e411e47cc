"""The scanner: scans on start, on a timer and on demand; targeted looks for the watcher's hints; second looks."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count, islice
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

from pp_assist.clock import Clock
from pp_assist.core.compare import Look
from pp_assist.core.errors import AssistError, RootUnhealthy
from pp_assist.core.hints import Hints
from pp_assist.core.model import Claim, Listing, Root, Snapshot, Stage, is_directory
from pp_assist.core.rules import Rules
from pp_assist.core.schedule import next_scan_after_s
from pp_assist.disk import look_at_all
from pp_assist.scanner import walk
from pp_assist.scanner.record import Found, record
from pp_assist.scanner.watch import Watcher
from pp_assist.store import observations, queue
from pp_assist.store.db import Database
from pp_assist.store.queue import WorkQueue
from pp_assist.store.roots import RootsTable

log = logging.getLogger(__name__)

HINT_WAIT_S = 0.05
"""After the first hint: a save is several events."""

PLACES_AT_A_TIME = 200
SECOND_LOOKS_AT_A_TIME = 1000
ROOT_RETRY_MS = 5_000

_KNOWN_DIRECTORY = "SELECT 1 FROM directories WHERE root_id = ? AND path = ? AND gone = 0"

T = TypeVar("T")

Places = dict[bytes, dict[bytes, bool]]
"""Directory → names in it to look at → whether the writer closed them."""


class ScannerSettings(BaseModel):
    """How files are found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scan_interval: float = Field(
        60.0,
        ge=0.1,
        description="Seconds between full scans; unless set, stretched until scanning costs 5 % of a core.",
    )
    use_filesystem_events: bool = Field(True, description="Let the system tell what changes between scans.")
    quiet_seconds: float = Field(
        2.0, ge=0.0, description="Seconds a file must have been left alone before it is hashed (0.1 once closed)."
    )
    delete_grace_seconds: float = Field(
        2.0, ge=0.0, description="Seconds between the first and the second look at a file that is missing."
    )


@dataclass(slots=True)
class Scan:
    """One request to scan, and when it has been done."""

    id: int
    root_ids: frozenset[int] | None
    """None: all roots."""
    start: bytes
    force: bool
    finished: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class ScannerStats:
    """What the scanner tells about itself."""

    last_scan_at_ms: int | None = None
    next_scan_at_ms: int | None = None
    files_scanned: int = 0
    scans_finished: int = 0


class Scanner:
    """The component. Everything it finds goes into the store; it calls no other stage."""

    name = "scanner"

    def __init__(
        self,
        db: Database,
        roots: RootsTable,
        queues: dict[Stage, WorkQueue],
        settings: ScannerSettings,
        clock: Clock,
        threads: ThreadPoolExecutor,
        own: Collection[tuple[int, int]],
        own_paths: tuple[bytes, ...],
    ) -> None:
        self._db = db
        self._roots = roots
        self._queues = queues
        self._settings = settings
        self._clock = clock
        self._threads = threads
        self._own = frozenset(own)
        self._own_paths = own_paths
        self._ids = count(1)
        self._requests: asyncio.Queue[Scan] = asyncio.Queue()
        self._watcher: Watcher | None = None
        self._due_mono_ms = 0
        self.stats = ScannerStats()

    @property
    def watched(self) -> set[int]:
        """Ids of the roots whose events reach us."""
        return self._watcher.watched if self._watcher else set()

    @property
    def watch_failures(self) -> dict[int, str]:
        """Why roots are not watched, by id."""
        return self._watcher.failures if self._watcher else {}

    def request_scan(self, root_ids: Collection[int] | None = None, start: bytes = b"", force: bool = False) -> Scan:
        """Ask for a scan; its `finished` is set when it has ended and its work is in the queues."""
        scan = Scan(next(self._ids), None if root_ids is None else frozenset(root_ids), start, force)
        self._requests.put_nowait(scan)
        return scan

    async def root_added(self, root: Root) -> Scan:
        """Watch and scan a new root."""
        if self._watcher is not None:
            await self._in_thread(self._watcher.watch, root)
        return self.request_scan([root.id])

    async def root_removed(self, root_id: int) -> None:
        """Stop watching a root that was forgotten."""
        if self._watcher is not None:
            await self._in_thread(self._watcher.unwatch, root_id)

    async def run(self) -> None:
        """Work until cancelled."""
        self._queues[Stage.VANISHED].start_over()
        if self._settings.use_filesystem_events:
            self._watcher = Watcher(self._own_paths)
            await self._in_thread(self._watcher.start)
        try:
            if self._watcher is not None:
                for root in await self._enabled():
                    await self._in_thread(self._watcher.watch, root)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._scans(), name="scans")
                tasks.create_task(self._second_looks(), name="second looks")
                if self._watcher is not None:
                    tasks.create_task(self._hints(self._watcher), name="hints")
        finally:
            watcher, self._watcher = self._watcher, None
            if watcher is not None:
                await asyncio.shield(self._in_thread(watcher.close))
            while not self._requests.empty():
                self._requests.get_nowait().finished.set()

    async def _watch(self, root: Root) -> None:
        """Have a root watched that is not: its folder was away, or could not be watched before."""
        if self._watcher is None or root.id in self._watcher.watched:
            return
        await self._in_thread(self._watcher.watch, root)
        if await self._roots.get(root.id) is None:  # forgotten meanwhile
            await self._in_thread(self._watcher.unwatch, root.id)

    # -- scans

    async def _scans(self) -> None:
        self._due_mono_ms = self._clock.mono_ms()
        while True:
            scan = await self._next_request()
            try:
                await self._scan(scan)
            finally:
                scan.finished.set()

    async def _next_request(self) -> Scan:
        """Return the next scan asked for, or a scan of everything when its time has come."""
        wait_s = max(0, self._due_mono_ms - self._clock.mono_ms()) / 1000
        self.stats.next_scan_at_ms = self._clock.now_ms() + int(wait_s * 1000)
        try:
            async with asyncio.timeout(wait_s):
                return await self._requests.get()
        except TimeoutError:
            return Scan(next(self._ids), None, b"", force=False)

    async def _scan(self, scan: Scan) -> None:
        began_ms = self._clock.mono_ms()
        for root in await self._enabled():
            if scan.root_ids is None or root.id in scan.root_ids:
                await self._scan_root(root, scan.start, scan.force)
        ended_ms = self._clock.mono_ms()
        if scan.root_ids is None:
            explicit = "scan_interval" in self._settings.model_fields_set
            wait_s = next_scan_after_s(self._settings.scan_interval, explicit, (ended_ms - began_ms) / 1000)
            self._due_mono_ms = ended_ms + int(wait_s * 1000)
        self.stats.last_scan_at_ms = self._clock.now_ms()
        self.stats.scans_finished += 1

    async def _scan_root(self, root: Root, start: bytes, force: bool) -> None:
        total = Found()
        await self._watch(root)  # first watch, then scan: nothing falls between the two
        try:
            async for batch in self._batches(root, start):
                total.add(await self._record(root, batch, force))
        except RootUnhealthy as error:
            await self._unhealthy(root, error)
            return
        async with self._db.transaction() as tx:
            await observations.sweep(tx, root.id)
        if not start:
            await self._roots.scanned(root.id, self._clock.now_ms())
        if root.status == "unhealthy":  # its work was left alone until now
            for waiting in self._queues.values():
                waiting.wake()
        if total.to_hash or total.vanished or total.problems:
            log.info(
                "scanned %r: %d names, %d to hash, %d missing, %d directories unreadable",
                root.path, total.looked_at, total.to_hash, total.vanished, total.problems,
            )  # fmt: skip
        self.stats.files_scanned += total.looked_at

    async def _batches(self, root: Root, start: bytes) -> AsyncIterator[list[Listing]]:
        """Walk in a thread, one batch ahead of whoever takes them."""
        batches = walk.walk(root, self._rules(root), start)
        ahead = asyncio.ensure_future(self._in_thread(next, batches, None))
        try:
            while (batch := await asyncio.shield(ahead)) is not None:
                ahead = asyncio.ensure_future(self._in_thread(next, batches, None))
                yield batch
        finally:
            await asyncio.wait([ahead])  # also when cancelled: a generator cannot be closed while it runs
            await self._in_thread(batches.close)  # type: ignore[attr-defined]

    async def _record(self, root: Root, batch: list[Listing], force: bool = False) -> Found:
        quiet_ms = int(self._settings.quiet_seconds * 1000)
        when = Look(self._clock.now_ms(), quiet_ms, force)
        grace_ms = int(self._settings.delete_grace_seconds * 1000)
        found = await record(self._db, root, self._rules(root), batch, when, grace_ms)
        if found.to_hash:
            self._queues[Stage.CHECKSUM].wake()
        if found.vanished:
            self._queues[Stage.VANISHED].wake()
        return found

    async def _unhealthy(self, root: Root, error: RootUnhealthy) -> None:
        if root.status == "healthy" or root.reason != str(error):
            log.warning("nothing can be said about %r: %s", root.path, error)
            await self._roots.unhealthy(root.id, str(error))
        await self.root_removed(root.id)  # what is watched may not be what comes back: the next good scan watches anew

    # -- hints

    async def _hints(self, watcher: Watcher) -> None:
        while True:
            await watcher.woken.wait()
            await asyncio.sleep(HINT_WAIT_S)
            await self._follow(watcher.drain())

    async def _follow(self, hints: Hints) -> None:
        """Look where the hints point."""
        for root_id, reason in hints.suspect.items():
            log.warning("scanning root %d: %s", root_id, reason)
        if hints.suspect:
            self.request_scan(hints.suspect)
        for root in await self._enabled():
            places = {directory: names for (root_id, directory), names in hints.names.items() if root_id == root.id}
            try:
                await self._look_at(root, await self._from_known_ground(root, places))
            except RootUnhealthy as error:
                await self._unhealthy(root, error)

    async def _from_known_ground(self, root: Root, places: Places) -> Places:
        """Return *places* with each directory we have never listed replaced by its name in the nearest one we have."""
        known: Places = {}
        for directory, names in places.items():
            where, what = directory, names
            while where and not await self._db.value(_KNOWN_DIRECTORY, (root.id, where)):
                where, _, name = where.rpartition(b"/")
                what = {name: False}
            known.setdefault(where, {}).update(what)
        return known

    async def _look_at(self, root: Root, places: Places) -> None:
        for some in batched(places.items(), PLACES_AT_A_TIME):
            found = await self._record(root, await self._in_thread(walk.look_at_places, root, some))
            for fresh in found.fresh_directories if root.recursive else ():
                async for batch in self._batches(root, fresh):
                    await self._record(root, batch)

    # -- second looks

    async def _second_looks(self) -> None:
        """Look again at what was missing, after the grace; what is gone for sure is handed on to the uploader."""
        waiting = self._queues[Stage.VANISHED]
        while True:
            claims = await waiting.take(SECOND_LOOKS_AT_A_TIME)
            try:
                await self._look_twice(claims)
            finally:
                waiting.release(claims)

    async def _look_twice(self, claims: list[Claim]) -> None:
        looks = await self._in_thread(look_at_all, [claim.location for claim in claims])
        now_ms = self._clock.now_ms()
        gone = [c for c, seen in zip(claims, looks, strict=True) if seen is None or is_directory(seen)]
        async with self._db.transaction() as tx:
            await queue.move(tx, [(claim, Stage.DELETION, claim.gen) for claim in gone], now_ms)
            for claim, seen in zip(claims, looks, strict=True):
                if isinstance(seen, AssistError):
                    await queue.later(tx, claim, now_ms + ROOT_RETRY_MS, seen.reason, str(seen))
        if gone:
            self._queues[Stage.DELETION].wake()
        roots = {root.id: root for root in await self._enabled()}
        for claim, seen in zip(claims, looks, strict=True):
            if isinstance(seen, Snapshot) and not is_directory(seen) and (root := roots.get(claim.location.root_id)):
                where = claim.location
                await self._record(
                    root, [Listing(where.directory, (seen,), complete=False, asked=frozenset([where.name]))]
                )

    # -- bits

    async def _enabled(self) -> list[Root]:
        return [root for root in await self._roots.all() if root.enabled]

    def _rules(self, root: Root) -> Rules:
        return Rules(self._own, root.device, len(root.shown.rstrip(b"/")))

    async def _in_thread(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield *items* in lists of at most *size*."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
