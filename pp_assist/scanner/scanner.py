"""The scanner: scans on start, on a timer and on demand, targeted looks for the watcher's hints, second looks."""

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import count

from pp_assist.clock import Clock
from pp_assist.core.errors import RootForgotten, RootUnhealthy
from pp_assist.core.hints import Hints
from pp_assist.core.model import Root
from pp_assist.core.schedule import next_scan_after_s
from pp_assist.scanner.follow import follow
from pp_assist.scanner.record import Found, Recorder
from pp_assist.scanner.second_look import SecondLooks
from pp_assist.scanner.settings import ScannerSettings
from pp_assist.scanner.watch import Watcher
from pp_assist.store import observations, queue
from pp_assist.store.roots import RootsTable
from pp_server.wire.names import display

log = logging.getLogger(__name__)

HINT_WAIT_S = 0.05
"""After the first hint: a save is several events."""


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
        recorder: Recorder,
        roots: RootsTable,
        settings: ScannerSettings,
        clock: Clock,
        own_paths: tuple[bytes, ...],
    ) -> None:
        self._recorder = recorder
        self._roots = roots
        self._second_looks = SecondLooks(recorder, roots)
        self._settings = settings
        self._clock = clock
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
            await self._recorder.in_thread(self._watcher.watch, root)
        return self.request_scan([root.id])

    async def root_removed(self, root_id: int) -> None:
        """Stop watching a root that was forgotten."""
        if self._watcher is not None:
            await self._recorder.in_thread(self._watcher.unwatch, root_id)

    async def run(self) -> None:
        """Work until cancelled."""
        if self._settings.use_filesystem_events:
            self._watcher = Watcher(self._own_paths)
            await self._recorder.in_thread(self._watcher.start)
        try:
            for root in await self._enabled():
                await self._watch(root)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._scans(), name="scans")
                tasks.create_task(self._second_looks.run(), name="second looks")
                if self._watcher is not None:
                    tasks.create_task(self._hints(self._watcher), name="hints")
        finally:
            watcher, self._watcher = self._watcher, None
            if watcher is not None:
                await asyncio.shield(self._recorder.in_thread(watcher.close))
            while not self._requests.empty():
                self._requests.get_nowait().finished.set()

    async def _watch(self, root: Root) -> None:
        """Have a root watched that is not: its folder was away, or could not be watched before."""
        if self._watcher is None or root.id in self._watcher.watched:
            return
        await self._recorder.in_thread(self._watcher.watch, root)
        if await self._roots.get(root.id) is None:  # forgotten meanwhile
            await self._recorder.in_thread(self._watcher.unwatch, root.id)

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
        """Scan one root, or say why nothing can be said about it."""
        try:
            await self._watch(root)  # first watch, then scan: nothing falls between the two
            found = await self._look_at_everything(root, start, force)
        except RootUnhealthy as error:
            await self._unhealthy(root, error)
            return
        except RootForgotten:
            return
        if found.to_hash or found.vanished or found.problems:
            log.info(
                "scanned %s: %d names, %d to hash, %d missing, %d directories unreadable",
                display(root.path), found.looked_at, found.to_hash, found.vanished, found.problems,
            )  # fmt: skip
        self.stats.files_scanned += found.looked_at

    async def _look_at_everything(self, root: Root, start: bytes, force: bool) -> Found:
        total = Found()
        async for batch in self._recorder.batches(root, start):
            total.add(await self._recorder.record(root, batch, force))
        async with self._recorder.db.transaction() as tx:
            await observations.sweep(tx, root.id)
            if force:
                await queue.ask_again(tx, root.id, self._clock.now_ms())
        await self._roots.scanned(root.id, None if start else self._clock.now_ms())
        if force or root.status == "unhealthy":  # its work was left alone until now
            for waiting in self._recorder.queues:
                waiting.wake()
        return total

    async def _unhealthy(self, root: Root, error: RootUnhealthy) -> None:
        if root.status == "healthy" or root.reason != str(error):
            log.warning("nothing can be said about %s: %s", display(root.path), error)
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
                await follow(self._recorder, root, places)
            except RootUnhealthy as error:
                await self._unhealthy(root, error)
            except RootForgotten:
                continue

    async def _enabled(self) -> list[Root]:
        return [root for root in await self._roots.all() if root.enabled]
