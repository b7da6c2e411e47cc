"""The composition root: opens everything, hands each component what it needs, runs them until told to stop."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from pp_assist import disk
from pp_assist.activity.bus import Bus
from pp_assist.activity.journal import Journal
from pp_assist.checksum.checksum import ChecksumPool
from pp_assist.clock import Clock
from pp_assist.core.errors import NoServer
from pp_assist.core.events import Tell
from pp_assist.core.explain import Sight
from pp_assist.core.model import Claim, Kind, Root
from pp_assist.core.pause import PAUSED
from pp_assist.core.rest import Rest
from pp_assist.memory import Memory, opened_memory
from pp_assist.priority import step_back
from pp_assist.restore.fetches import Fetches
from pp_assist.restore.source import Source
from pp_assist.scanner.examine import examine_all, left_out_of
from pp_assist.scanner.moved import MovedTrees
from pp_assist.scanner.record import Recorder
from pp_assist.scanner.scanner import Scanner
from pp_assist.settings import Settings
from pp_assist.sftp.clearing import Keeping
from pp_assist.sftp.component import DropFolders
from pp_assist.sftp.spool import LeftOut
from pp_assist.steering.bandwidth import Bandwidth
from pp_assist.steering.holding import Holding
from pp_assist.steering.line import Line
from pp_assist.steering.live import LIVE, changed, merged
from pp_assist.steering.places import Places
from pp_assist.steering.surroundings import Surroundings
from pp_assist.store.activity import first_free_id
from pp_assist.store.db import Database
from pp_assist.store.excludes import ExcludesTable
from pp_assist.store.queues import Queues
from pp_assist.store.roots import RootsTable
from pp_assist.store.servers import ServersTable
from pp_assist.supervisor import Component
from pp_assist.uploader.batch import Batches
from pp_assist.uploader.deletions import Deletions
from pp_assist.uploader.link import HttpFactory, ServerLink, connect
from pp_assist.uploader.reconcile import Reconciler
from pp_assist.uploader.settle import Settle, UploaderStats
from pp_assist.uploader.snapshots import Snapshots
from pp_assist.uploader.transfer import Transfer
from pp_assist.uploader.tree_moves import TreeMoves
from pp_assist.uploader.under_way import UnderWay
from pp_assist.uploader.uploader import Uploader
from pp_assist.uploader.way import Host
from pp_server.wire.chunks import MIB

log = logging.getLogger(__name__)

T = TypeVar("T")

DAY_MS = 86_400_000


@dataclass(slots=True)
class Daemon:
    """All parts of a daemon, built and not yet running."""

    settings: Settings
    memory: Memory
    db: Database
    roots: RootsTable
    servers: ServersTable
    excludes: ExcludesTable
    queues: Queues
    recorder: Recorder
    scanner: Scanner
    checksums: ChecksumPool
    uploader: Uploader
    link: ServerLink
    bus: Bus
    journal: Journal
    line: Line
    holding: Holding
    surroundings: Surroundings
    bandwidth: Bandwidth
    reconciler: Reconciler
    drop_folders: DropFolders
    fetches: Fetches
    chunk_places: Places
    clock: Clock
    pools: "Pools"

    def apply(self, wanted: Settings) -> tuple[set[str], set[str]]:
        """Let those of the settings *wanted* hold that can while we run; return their names, and those of the rest."""
        different = changed(self.settings.shown(), wanted.shown())
        at_once = different & LIVE
        self.settings = merged(self.settings, wanted, at_once)
        self.bandwidth.set(self.settings.uploader.bandwidth_kib_per_second, self.settings.uploader.bandwidth_timetable)
        self.surroundings.set(self.settings.wait)
        self.checksums.resize(self.settings.checksum_calculator.parallel_workers)
        sending = self.settings.uploader
        self.uploader.resize(sending.parallel_uploads)
        self.chunk_places.resize(sending.parallel_uploads * sending.parallel_chunks)
        logging.getLogger("pp_assist").setLevel(self.settings.log_level)
        return at_once, different - at_once

    @property
    def stages(self) -> tuple[Component, ...]:
        """The three stages, in the order in which files pass them."""
        return self.scanner, self.checksums, self.uploader


@asynccontextmanager
async def build(
    settings: Settings,
    database: str,
    host: Host,
    own_paths: tuple[bytes, ...],
    clock: Clock | None = None,
    http: HttpFactory = connect,
    distrusted: str | None = None,
) -> AsyncIterator[Daemon]:
    """Open the database and build the stages around it, for the block. *distrusted*: see `opened_memory`."""
    clock = clock or Clock()
    async with AsyncExitStack() as stack:
        memory = await stack.enter_async_context(opened_memory(database, distrusted))
        db = memory.db
        pools = Pools(settings.checksum_calculator.low_priority)
        stack.callback(pools.close)
        rest = _rest(settings)
        queues = Queues(db, clock)
        roots, servers = RootsTable(db), ServersTable(db)
        own = [disk.identity(path) for path in own_paths]
        bus = Bus(clock.now_ms, await first_free_id(db))
        journal = Journal(db, bus)
        recorder = Recorder(db, queues, settings.scanner, clock, pools.walking, own, settings.rules, rest, bus.tell)
        excludes = ExcludesTable(db)
        recorder.exclude(each.pattern for each in await excludes.all())
        scanner = Scanner(recorder, roots, settings.scanner, clock, own_paths)
        holding = Holding(db, clock)
        await holding.load()
        sending = settings.uploader
        bandwidth = Bandwidth(clock, sending.bandwidth_kib_per_second, sending.bandwidth_timetable)
        checksums = ChecksumPool(
            db, queues, settings.checksum_calculator, rest, clock, pools.hashing, pools.hashing_large, holding, bus.tell
        )
        link = ServerLink(db, servers, host, sending, clock, holding, bandwidth, bus.tell, http)

        async def sights(root: Root, paths: Sequence[tuple[bytes, Kind, int]]) -> list[Sight]:
            return await in_thread(pools.walking, examine_all, root, recorder.rules(root), paths)

        @asynccontextmanager
        async def source() -> AsyncIterator[Source]:
            if (server := await servers.default()) is None:
                raise NoServer("no server is known yet")
            connections = http(server, sending, bandwidth)
            try:
                yield Source(connections)
            finally:
                await connections.close()

        recorder.moved = MovedTrees(db, roots, queues, pools.walking)
        grace_ms = int(settings.scanner.delete_grace_seconds * 1000)
        reconciler = Reconciler(db, queues, link, roots, host, sights, clock, pools.sending, grace_ms)
        under_way = UnderWay(bus.tell)
        line = Line(db, queues, under_way.of, clock, pools.walking)

        def held_back(claim: Claim) -> str | None:
            return holding.reason or (PAUSED if queues.is_withdrawn(claim) else None)

        chunk_places = Places(sending.parallel_uploads * sending.parallel_chunks)
        uploader = _uploader(
            settings,
            db,
            queues,
            link,
            host,
            clock,
            pools.sending,
            chunk_places,
            reconciler,
            held_back,
            under_way,
            bus.tell,
        )
        stages = scanner, checksums, uploader
        kept = settings, memory, db, roots, servers, excludes, queues
        told = bus, journal

        def left_out(root: Root) -> LeftOut:
            return lambda files: left_out_of(root, recorder.rules(root), files)

        keeping = Keeping(int(settings.sftp.spool_days * DAY_MS), settings.sftp.spool_mib * MIB)
        drops = DropFolders(
            db, roots, settings.state_dir, clock, keeping, lambda root_id: scanner.request_scan([root_id]), left_out
        )
        stack.callback(drops.close)
        surroundings = Surroundings(holding, settings.wait)
        yield Daemon(
            *kept,
            recorder,
            *stages,
            link,
            *told,
            line,
            holding,
            surroundings,
            bandwidth,
            reconciler,
            drops,
            Fetches(source, lambda: host.host_id, clock.now_ms, bus.tell),
            chunk_places,
            clock,
            pools,
        )
        await journal.write()


def _rest(settings: Settings) -> Rest:
    return Rest(int(settings.scanner.quiet_seconds * 1000), int(settings.rules.min_age_seconds * 1000))


def _uploader(
    settings: Settings,
    db: Database,
    queues: Queues,
    link: ServerLink,
    host: Host,
    clock: Clock,
    threads: ThreadPoolExecutor,
    slots: Places,
    reconciler: Reconciler,
    held_back: Callable[[Claim], str | None],
    under_way: UnderWay,
    tell: Tell,
) -> Uploader:
    stats, sending = UploaderStats(clock.now_ms()), settings.uploader
    rest = _rest(settings)

    def count_bytes(count: int) -> None:
        stats.sent(count, clock.mono_ms())

    transfer = Transfer(
        threads, slots, sending.parallel_chunks, sending.chunk_size_mb * MIB, count_bytes, under_way, held_back
    )
    settle = Settle(db, queues, link, rest, clock, threads, stats, tell)
    batches = Batches(settle, link, transfer, threads, count_bytes, clock)
    deletions = Deletions(db, queues, link, host, rest, clock, threads, tell)
    snapshots = None
    if settings.scanner.busy_policy == "snapshot":
        folder, busy_after_s = os.path.join(settings.state_dir, "snapshots"), settings.scanner.busy_after_seconds
        snapshots = Snapshots(db, link, transfer, threads, clock, folder, busy_after_s)
    grace_ms = int(settings.scanner.delete_grace_seconds * 1000)
    moves = TreeMoves(db, queues, link, reconciler, clock, threads, grace_ms, tell, RootsTable(db))
    parts = transfer, batches, settle, deletions, reconciler, snapshots, moves
    return Uploader(db, queues, link, *parts, sending.parallel_uploads, stats, clock)


class Pools:
    """The threads, one pool per purpose so that none waits for another. They begin as they are needed."""

    def __init__(self, low_priority: bool) -> None:
        cores, later = os.cpu_count() or 1, step_back if low_priority else None
        # more threads than cores only fight for the interpreter: measured, 4 on 2 cores halve the rate of small files
        self.walking = ThreadPoolExecutor(2, "walk")
        self.hashing = ThreadPoolExecutor(cores, "hash")
        self.hashing_large = ThreadPoolExecutor(cores + 1, "hash-large", later)  # one may be busy for an hour
        self.sending = ThreadPoolExecutor(16, "send")

    def close(self) -> None:
        """Forget what has not begun; what has begun ends by itself."""
        for pool in (self.walking, self.hashing, self.hashing_large, self.sending):
            pool.shutdown(wait=False, cancel_futures=True)


async def in_thread(pool: ThreadPoolExecutor, function: Callable[..., T], *args: object) -> T:
    """Run something blocking in a thread of *pool*."""
    return await asyncio.get_running_loop().run_in_executor(pool, function, *args)
