"""The scanner: scans on start, on a timer, on demand and in doubt; looks for the watcher's hints; second looks."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from itertools import count

from pp_assist.clock import Clock
from pp_assist.core.errors import RootForgotten, RootUnhealthy
from pp_assist.core.events import Event
from pp_assist.core.hints import Hints
from pp_assist.core.model import NoticedBy, Root
from pp_assist.core.schedule import Plan
from pp_assist.scanner.announced import Announced, Counted
from pp_assist.scanner.follow import follow
from pp_assist.scanner.guard import Guard
from pp_assist.scanner.identify import identify
from pp_assist.scanner.ledger import Ledger
from pp_assist.scanner.record import Found, Recorder
from pp_assist.scanner.second_look import SecondLooks
from pp_assist.scanner.settings import ScannerSettings
from pp_assist.scanner.watch import Watcher
from pp_assist.store import astray, held, observations, queue
from pp_assist.store.roots import RootsTable
from pp_server.wire.names import display

log = logging.getLogger(__name__)

HINT_WAIT_S = 0.05
"""After the first hint: a save is several events."""

FIRST_S = 3.0
"""So long at most a scan waits until what events have told of was looked at."""

SWITCHED_OFF = "events are not used (scanner.use_filesystem_events)"

ASTRAY_S = 5.0

LATER_WAIT_S = 2.0
"""After the first hint at a file that somebody goes on writing to: it is not at rest any sooner."""


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
    announced_changes: int = 0
    """Changed files that events have told of."""
    missed_changes: int = 0
    """Changed files that a scan found, and no event had told of."""


class Scanner:
    """The component. Everything it finds goes into the store; it calls no other stage."""

    name = "scanner"

    def __init__(
        self,
        recorder: Recorder,
        roots: RootsTable,
        settings: ScannerSettings,
        clock: Clock,
        own_paths: tuple[bytes, ...],
    ) -> None:
        self._recorder = recorder
        self._tell = recorder.tell
        self._roots = roots
        self.ledger = Ledger(recorder, roots)
        self._second_looks = SecondLooks(recorder, roots)
        self._settings = settings
        self._clock = clock
        self._own_paths = own_paths
        self._ids = count(1)
        self._requests: asyncio.Queue[Scan | None] = asyncio.Queue()
        """None: the plan has changed."""
        self._plan = Plan(settings.scan_interval, "scan_interval" in settings.model_fields_set)
        self._watcher: Watcher | None = None
        self._guard: Guard | None = None
        self._root_ids: set[int] = set()
        self._announced = Announced()
        self._followed = asyncio.Event()
        """Set while no urgent hint is being followed."""
        self.stats = ScannerStats()

    @property
    def watched(self) -> set[int]:
        """Ids of the roots whose events reach us."""
        return self._watcher.watched if self._watcher else set()

    def condition(self, root_id: int) -> tuple[str, str | None]:
        """Return how up to date a root is kept (healthy, behind or polling), and why."""
        return self._watcher.condition(root_id) if self._watcher else ("polling", SWITCHED_OFF)

    def request_scan(self, root_ids: Collection[int] | None = None, start: bytes = b"", force: bool = False) -> Scan:
        """Ask for a scan; its `finished` is set when it has ended and its work is in the queues."""
        scan = Scan(next(self._ids), None if root_ids is None else frozenset(root_ids), start, force)
        self._requests.put_nowait(scan)
        return scan

    async def root_added(self, root: Root) -> Scan:
        """Watch and scan a new root."""
        if self._watcher is not None:
            await self._recorder.in_thread(self._watcher.watch, root)
        return self.request_scan([root.id])

    async def root_removed(self, root_id: int) -> None:
        """Stop watching a root that was forgotten."""
        self._plan.forget(root_id)
        await self._unwatch(root_id)

    async def _unwatch(self, root_id: int) -> None:
        if self._watcher is not None:
            await self._recorder.in_thread(self._watcher.unwatch, root_id)

    async def run(self) -> None:
        """Work until cancelled."""
        watcher = Watcher(self._own_paths) if self._settings.use_filesystem_events else None
        if watcher is not None:
            await self._recorder.in_thread(watcher.start)
            self._guard = Guard(watcher, self._recorder, self._clock, self._enabled, self._doubt)
            self._recorder.before_listing = watcher.before_listing
        self._watcher = watcher
        try:
            for root in await self._enabled():
                await self._watch(root)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._scans(), name="scans")
                tasks.create_task(self._second_looks.run(), name="second looks")
                tasks.create_task(self._astray(), name="astray")
                tasks.create_task(self.ledger.run(), name="ledger")
                if watcher is not None and self._guard is not None:
                    tasks.create_task(self._guarding(self._guard), name="guard")
                    self._followed.set()
                    sink = watcher.sink
                    now = self._hints(sink.woken, HINT_WAIT_S, sink.take, self._followed)
                    later = self._hints(sink.woken_later, LATER_WAIT_S, sink.take_later, asyncio.Event())
                    tasks.create_task(now, name="hints")
                    tasks.create_task(later, name="later hints")
        finally:
            self._watcher, self._guard = None, None
            if watcher is not None:
                await asyncio.shield(self._recorder.in_thread(watcher.close))
            while not self._requests.empty():
                if scan := self._requests.get_nowait():
                    scan.finished.set()

    async def _watch(self, root: Root) -> None:
        """Have a root watched that is not: its folder was away."""
        if self._watcher is None:
            return
        await self._recorder.in_thread(self._watcher.watch, root)
        if await self._roots.get(root.id) is None:  # forgotten meanwhile
            await self._recorder.in_thread(self._watcher.unwatch, root.id)

    async def _guarding(self, guard: Guard) -> None:
        while True:
            await guard.check()
            self._requests.put_nowait(None)  # what is proven may be otherwise now
            await asyncio.sleep(self._settings.canary_seconds)

    def _doubt(self, root: Root, reason: str) -> None:
        """Have a root scanned: something may have happened in it that nobody told us."""
        log.warning("scanning %s: %s", display(root.path), reason)
        if self._watcher is not None:
            self._watcher.distrust(root.id, reason)
        self._plan.rescan(root.id, self._clock.mono_ms())
        self._requests.put_nowait(None)

    # -- scans

    async def _scans(self) -> None:
        self._plan.begin(self._clock.mono_ms())
        while True:
            scan = await self._next_request()
            try:
                await self._scan(scan)
            finally:
                scan.finished.set()

    async def _next_request(self) -> Scan:
        """Return the next scan asked for, or the one whose time has come."""
        while True:
            now_ms, proven = self._clock.mono_ms(), self._proven()
            if self._plan.full_ms(proven) <= now_ms:
                return Scan(next(self._ids), None, b"", force=False)
            if ripe := self._plan.ripe(now_ms):
                return Scan(next(self._ids), ripe, b"", force=False)
            wait_ms = self._plan.next_ms(proven) - now_ms
            self.stats.next_scan_at_ms = self._clock.now_ms() + wait_ms
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_ms / 1000):
                    if scan := await self._requests.get():
                        return scan

    def _proven(self) -> bool:
        """Say whether events certainly tell of everything that happens in any root."""
        return self._watcher is not None and all(self._watcher.proven(root_id) for root_id in self._root_ids)

    async def _announced_first(self) -> None:
        """Let what events have told of be looked at first: a scan at the same time finds it name by name, too, and each
        holds up the other.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_S):
                while self._watcher is not None and (self._watcher.sink.woken.is_set() or not self._followed.is_set()):
                    await self._followed.wait()
                    await asyncio.sleep(0)

    async def _scan(self, scan: Scan) -> None:
        await self._announced_first()
        if scan.root_ids is None:
            self._plan.ripe(self._clock.mono_ms())
        for root in await self._enabled():
            if scan.root_ids is None or root.id in scan.root_ids:
                await self._scan_root(root, scan.start, scan.force)
        if scan.root_ids is None:
            self._plan.scanned_all(self._clock.mono_ms())
        self.stats.last_scan_at_ms = self._clock.now_ms()
        self.stats.scans_finished += 1

    async def _scan_root(self, root: Root, start: bytes, force: bool) -> None:
        """Scan one root, or say why nothing can be said about it."""
        began_ms = self._clock.mono_ms()
        try:
            root = await identify(self._recorder, root)
            await self._watch(root)
            if self._watcher is not None and not start:
                await self._recorder.in_thread(self._watcher.scan_begins, root)
            found = await self._look_at_everything(root, start, force)
        except RootUnhealthy as error:
            await self._unhealthy(root, error)
            return
        except RootForgotten:
            return
        if self._watcher is not None and not start:
            await self._recorder.in_thread(self._watcher.scan_ends, root)
        if not start:
            ended_ms = self._clock.mono_ms()
            self._plan.scanned(root.id, ended_ms - began_ms, ended_ms)
        if found.to_hash or found.vanished or found.problems:
            log.info(
                "scanned %s: %d names, %d to hash, %d missing, %d directories unreadable",
                display(root.path), found.looked_at, found.to_hash, found.vanished, found.problems,
            )  # fmt: skip
        self.stats.files_scanned += found.looked_at
        if found.to_hash or found.vanished or found.problems or force:
            self._tell(
                Event.SCAN_COMPLETE, root.shown, root_id=root.id, count=found.looked_at,
                to_hash=found.to_hash, missing=found.vanished, unreadable_directories=found.problems,
            )  # fmt: skip

    async def _look_at_everything(self, root: Root, start: bytes, force: bool) -> Found:
        total, noted_before = Found(), self._recorder.noted[root.id]
        with self._announced.scanning(root.id, start) as counted:
            by = NoticedBy.START if counted.is_first else NoticedBy.SCAN
            async for seen in self._recorder.batches(root, start, force, by):
                found = await self._recorder.record(root, seen)
                total.add(found)
                counted.found(found.changes)
                if counted.is_full and self._watcher is not None:
                    await self._recorder.in_thread(counted.pending, self._watcher.sink)
            await self._count(counted)
        if not start:
            await observations.take_back(self._recorder.db, root.id)
        await observations.sweep(self._recorder.db, root.id)
        await held.end_empty(self._recorder.db, self._recorder.queues.deletion)
        if force:
            async with self._recorder.db.transaction() as tx:
                await queue.ask_again(tx, root.id, self._clock.now_ms())
        await self._roots.scanned(root.id, None if start else self._clock.now_ms())
        if not start:
            self.ledger.scanned(root, total, noted_before)
        if force or root.status == "unhealthy":  # its work was left alone until now
            for waiting in self._recorder.queues:
                waiting.wake()
        return total

    async def _count(self, counted: Counted) -> None:
        """Say how much of what a scan found had been announced."""
        if counted.changes and self._guard is not None and self._watcher is not None:
            await self._guard.canary()  # events on their way are noted before it is
            await self._recorder.in_thread(counted.pending, self._watcher.sink)
        self.stats.announced_changes += counted.announced
        self.stats.missed_changes += counted.missed

    async def _unhealthy(self, root: Root, error: RootUnhealthy) -> None:
        if root.status == "healthy" or root.reason != str(error):
            log.warning("nothing can be said about %s: %s", display(root.path), error)
            self._tell(Event.ERROR, root.shown, root_id=root.id, message=str(error))
            await self._roots.unhealthy(root.id, str(error))
        self._plan.not_scanned(root.id)
        await self._unwatch(root.id)  # what is watched may not be what comes back: the next good scan watches anew

    async def _astray(self) -> None:
        """Look where others did not find a file: it was written down after a look that was overtaken by another."""
        while True:
            await asyncio.sleep(ASTRAY_S)
            for root in await self._enabled():
                if places := await astray.places(self._recorder.db, root.id, self._clock.now_ms()):
                    with contextlib.suppress(RootUnhealthy, RootForgotten):  # a scan says so
                        await follow(self._recorder, root, places, by=NoticedBy.SECOND_LOOK)

    # -- hints

    async def _hints(
        self, woken: asyncio.Event, wait_s: float, take: Callable[[], Hints], followed: asyncio.Event
    ) -> None:
        while True:
            await woken.wait()
            followed.clear()
            await asyncio.sleep(wait_s)
            hints = take()
            for root_id, reason in hints.suspect.items():  # at once: at no moment does it look as if all were well
                if self._watcher is not None:
                    self._watcher.distrust(root_id, reason)
            with self._announced.following(hints):
                await self._follow(hints)
            followed.set()

    async def _follow(self, hints: Hints) -> None:
        """Look where the hints point."""
        for root in await self._enabled():
            if root.id in hints.suspect:
                self._doubt(root, hints.suspect[root.id])
            places = {directory: names for (root_id, directory), names in hints.names.items() if root_id == root.id}
            trees = [directory for root_id, directory in hints.trees if root_id == root.id]
            try:
                self.stats.announced_changes += await follow(self._recorder, root, places, trees)
            except RootUnhealthy as error:
                await self._unhealthy(root, error)
            except RootForgotten:
                continue

    async def _enabled(self) -> list[Root]:
        enabled = [root for root in await self._roots.all() if root.enabled]
        self._root_ids = {root.id for root in enabled}
        return enabled
