"""Power cuts by the hundred: the real application on a disk of its own, customers at work, and the power is cut.

Each round is a forked process, so that everything the server knew dies with it: it starts the application, compares it
with the oracle, lets the customers finish what the last cut interrupted, lets them work, and cuts. Where it cuts is
drawn by lot: before or after the k-th durable operation, or at some moment; while starting, finishing or working; and
the process ends at once, or lives on for a while on a disk that fails at everything.
"""

import asyncio
import json
import logging
import os
import random
import re
import shutil
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from fastapi import FastAPI

from pp_server.app import create_app
from pp_server.core.errors import ServerError
from pp_server.durable import Durable
from pp_server.metadata import engine
from pp_server.opened import wall_clock_ms as now_ms
from pp_server.settings import Settings, StorageSettings
from tests.oracle.customer import Customer, Lost, Taste, verify, wrong_repeats
from tests.oracle.oracle import Broken, Fact, Oracle
from tests.oracle.receipts_log import check_log
from tests.power.loopdisk import LoopDisk, cut_power, fast_folder

HOSTS = 5
CHECKPOINTS = [2000, 25]
"""Pages in the database's log before they are moved into the database: as the server has it, and far more often. In a
log that is written over, a sync of the database makes nothing else durable by the way."""
PACKED_KB = [0, 2, 256]
"""Content up to this size shares a file with others: none of what customers have here, some of it, all of it."""

CUT, BROKEN, NOT_CUT = 9, 1, 0
PATIENCE_S = 20.0
"""A cut at an operation that never comes is made after this time."""

MakeDurable = Callable[[], Durable]


@dataclass(frozen=True)
class Plan:
    """Where the power is cut in one round."""

    phase: str
    """From when on: `start`, `finish` or `work`."""
    operation: int | None
    """Cut at this step of `Durable` ..."""
    seconds: float
    """... or, where there is none, after this time."""
    survives_s: float
    """How long the process lives on after the cut."""

    @classmethod
    def drawn(cls, rng: random.Random) -> "Plan":
        """Draw a plan by lot."""
        phase = rng.choices(["start", "finish", "work"], [1, 3, 12])[0]
        most = {"start": 12, "finish": 60, "work": 240}[phase]
        operation = rng.randint(1, most) if rng.random() < 0.7 else None
        return cls(phase, operation, rng.uniform(0, 0.3), rng.choice([0, 0, 0.02, 0.1]))


class Knife:
    """Cuts the power once, according to plan. Used by the server's threads and by the clock.

    `gate` is closed meanwhile: whoever writes down an answer holds it, so that an answer was there before the cut, or
    never.
    """

    def __init__(self, plan: Plan, mount: Path) -> None:
        self._plan = plan
        self._mount = mount
        self._armed = False
        self._steps = 0
        self.is_cut = threading.Event()
        self.gate = threading.Lock()
        self._cutting = threading.Lock()
        self._changed = threading.Condition()
        self._syncing: set[int] = set()
        self._calm = False
        self.last_words: Callable[[], object] = lambda: None
        """Called right after the cut, for what is to be written down elsewhere."""

    def reach(self, phase: str) -> None:
        """A phase begins."""
        if phase != self._plan.phase:
            return
        self._armed = True
        after = self._plan.seconds if self._plan.operation is None else PATIENCE_S
        _later(after, self.cut)

    def step(self, name: str) -> None:
        """The server is before or after a durable operation. Installed as `Durable.step`."""
        if not self._armed or self._plan.operation is None or self.is_cut.is_set():
            return
        with self._changed:
            self._steps += 1
            now = self._steps == self._plan.operation
        if now:
            self.cut()

    def sharpened(self, sync: Callable[..., None]) -> Callable[..., None]:
        """Wrap one of the syncs of `Durable`, for a process that lives on after the cut.

        A sync that is under way while the kernel shuts the file system down may be told that all went well, which no
        real disk would say without power. So such a process is cut while nobody syncs. One that ends with the cut
        tells nobody, and is cut anywhere.
        """
        if not self._plan.survives_s:
            return sync

        def wrapped(*args: object) -> None:
            with self._changed:
                self._changed.wait_for(lambda: self._calm or not self._cutting.locked())
                self._syncing.add(threading.get_ident())
            try:
                sync(*args)
            finally:
                with self._changed:
                    self._syncing.discard(threading.get_ident())
                    self._changed.notify_all()

        return wrapped

    def cut(self) -> None:
        """Cut, now; and end the process as the plan says."""
        if not self._cutting.acquire(blocking=False):
            return  # somebody is at it, or it is done
        with self._changed, self.gate:
            self._changed.wait_for(lambda: not self._syncing - {threading.get_ident()})
            self.is_cut.set()
            cut_power(self._mount)
            self.last_words()
            if not self._plan.survives_s:
                os._exit(CUT)
        with self._changed:
            self._calm = True
            self._changed.notify_all()
        _later(self._plan.survives_s, os._exit, CUT)


def _later(seconds: float, work: Callable[..., object], *args: object) -> None:
    timer = threading.Timer(seconds, work, args)
    timer.daemon = True
    timer.start()


def with_knife(durable: Durable, knife: Knife) -> Durable:
    """Have each step of a durable pass by the knife."""
    durable.step = knife.step  # type: ignore[method-assign]
    for name in ("sync", "datasync", "sync_dir", "commit"):
        setattr(durable, name, knife.sharpened(getattr(durable, name)))
    return durable


class Cuts:
    """A disk with a server's data on it, an oracle beside it, and one cut after the other."""

    def __init__(
        self,
        disk: LoopDisk,
        folder: Path,
        seed: int,
        make_durable: MakeDurable,
        hosts: int,
        checkpoint: int | None,
        packed_kb: int | None,
    ) -> None:
        self._rng = random.Random(seed)
        self._seed = seed
        self._make_durable = make_durable
        self._hosts = hosts
        self._folder = folder
        self._disk = disk
        self._key_file = folder / "key"
        self._compacted = folder / "compacted.jsonl"
        self.oracle = Oracle(folder / "oracle.jsonl")
        self.phases: Counter[str] = Counter()
        self.rounds = 0
        self._checkpoint = checkpoint or self._rng.choice(CHECKPOINTS)
        self._packed_kb = self._rng.choice(PACKED_KB) if packed_kb is None else packed_kb
        self._forked(self._begin)

    def round(self, plan: Plan | None = None) -> Plan:
        """Start, compare, finish, work, cut. Raises Broken where the server did not keep a promise."""
        plan = plan or Plan.drawn(self._rng)
        self.rounds += 1
        fresh = self._lately_acked()
        self._forked(lambda: self._live_until_cut(plan, fresh))
        self._disk.come_back()
        self.oracle.catch_up()
        self.phases[plan.phase] += 1
        return plan

    def compare_all(self) -> int:
        """Start the server once more, have everything finished, and read all that was ever acknowledged."""
        self._forked(self._look_at_all)
        self.oracle.catch_up()
        check_log(self.oracle, self._disk.mount / "data" / "receipts")
        return sum(1 for _ in self.oracle.acked())

    def first_start(self, name: str) -> None:
        """Cut while a server starts for the very first time; start again, make a key, cut, and use the key."""
        longest_s = 0.8
        moment_s = self._rng.uniform(0, longest_s)
        self._forked(lambda: self._start_until_cut(name, Plan("start", None, moment_s, 0)))
        self._disk.come_back()
        self._forked(lambda: self._make_key_until_cut(name, Plan("finish", None, 0, 0)))
        self._disk.come_back()
        self._forked(lambda: self._use_key(name))

    def close(self) -> None:
        """Let go of the oracle."""
        self.oracle.close()

    def _lately_acked(self) -> list[Fact]:
        """Return the newest acknowledged versions, and some of the others."""
        acked = list(self.oracle.acked())
        return acked[-60:] + self._rng.sample(acked, min(len(acked), 10))

    # in the forked process

    def _forked(self, work: Callable[[], None]) -> None:
        log = self._folder / "round.log"
        pid = os.fork()
        if pid == 0:
            code = BROKEN
            try:
                _output_to(log)
                _checkpoint_every(self._checkpoint)
                work()
                code = NOT_CUT
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code not in (CUT, NOT_CUT):
            raise Broken(f"round {self.rounds} of seed {self._seed}:\n" + log.read_text(errors="replace")[-6000:])

    def _begin(self) -> None:
        async def begin() -> None:
            async with self._app(Durable()) as app:
                made = await app.state.admin.run("key.create", {"name": "tester"})
                self._key_file.write_text(made["api_key"])

        asyncio.run(begin())
        os.sync()

    def _app(self, durable: Durable, name: str = "data") -> "_Running":
        """Return the application, an hour after the last round: packs of earlier rounds may be rewritten."""
        storage = StorageSettings(pack_up_to_kb=self._packed_kb, pack_grace_seconds=60, compact_dead_percent=1)
        data_dir = self._disk.mount / name
        for pack in (data_dir / "packs").glob("*"):
            os.utime(pack, (0, 0))
        later_ms = self.rounds * 3_600_000
        return _Running(create_app(Settings(data_dir=data_dir, storage=storage), durable, lambda: now_ms() + later_ms))

    def _start_until_cut(self, name: str, plan: Plan) -> None:
        async def start() -> None:
            Knife(plan, self._disk.mount).reach("start")
            async with self._app(self._make_durable(), name):
                await asyncio.Event().wait()

        asyncio.run(start())

    def _make_key_until_cut(self, name: str, plan: Plan) -> None:
        async def make() -> None:
            async with self._app(self._make_durable(), name) as app:
                made = await app.state.admin.run("key.create", {"name": "tester"})
                self._key_file.write_text(made["api_key"])
                Knife(plan, self._disk.mount).reach("finish")
                await asyncio.Event().wait()

        asyncio.run(make())

    def _use_key(self, name: str) -> None:
        async def use() -> None:
            async with (
                self._app(self._make_durable(), name) as app,
                _speaking_to(app, self._key_file.read_text()) as http,
            ):
                answer = await http.get("/api/files")
                if answer.status_code != 200:
                    raise Broken(f"a key that was made is not accepted: {answer.status_code} {answer.text}")

        asyncio.run(use())

    def _live_until_cut(self, plan: Plan, fresh: list[Fact]) -> None:
        knife = Knife(plan, self._disk.mount)
        excused = knife.is_cut.is_set

        self.oracle.gate = knife.gate

        async def live() -> None:
            knife.reach("start")
            async with AsyncExitStack() as stack:
                app = await stack.enter_async_context(self._app(with_knife(self._make_durable(), knife)))
                http = await stack.enter_async_context(_speaking_to(app, self._key_file.read_text()))
                customers = self._customers(http, excused)
                await verify(http, self.oracle, fresh)
                knife.reach("finish")
                repeated = [f for f in fresh[-40:] if not f.is_tombstone and self._is_head(f)][-3:]
                for fact in repeated:
                    await wrong_repeats(customers[fact.host], [fact])
                await _all_at_once([customer.finish() for customer in customers.values()])
                knife.reach("work")
                working = [_work_on(customer) for customer in customers.values()]
                await _all_at_once([*working, self._compact(app, random.Random(self._seed), excused)])

        try:
            asyncio.run(live())
        except BaseException:
            if not knife.is_cut.is_set():
                raise
            traceback.print_exc()  # what the application says when its disk is gone; kept for whoever looks
        threading.Event().wait()  # the knife ends the process

    async def _compact(self, app: FastAPI, rng: random.Random, excused: Callable[[], bool]) -> None:
        """Rewrite and drop packs of earlier rounds, in which cuts have left something dead."""
        while True:
            await asyncio.sleep(rng.uniform(0, 0.3))
            try:
                done = await app.state.admin.run("compact", {})
            except ServerError as error:
                if excused():
                    raise Lost from error
                raise
            with open(self._compacted, "a") as file:
                file.write(json.dumps(done) + "\n")

    def compacted(self) -> Counter[str]:
        """Return what compacting came to so far."""
        lines = self._compacted.read_text().splitlines() if self._compacted.exists() else []
        return sum((Counter(json.loads(line)) for line in lines), Counter())

    def _is_head(self, fact: Fact) -> bool:
        return self.oracle.of_path(fact.host, fact.path)[-1] == fact

    def _customers(self, http: httpx.AsyncClient, excused: Callable[[], bool]) -> dict[str, Customer]:
        hosts = [f"host-{n}" for n in range(self._hosts)]
        seeds = [f"{self._seed}/{self.rounds}/{host}" for host in hosts]
        return {
            host: Customer(http, self.oracle, host, random.Random(seed), excused, Taste())
            for host, seed in zip(hosts, seeds, strict=True)
        }

    def _look_at_all(self) -> None:
        async def look() -> None:
            async with AsyncExitStack() as stack:
                app = await stack.enter_async_context(self._app(self._make_durable()))
                http = await stack.enter_async_context(_speaking_to(app, self._key_file.read_text()))
                for customer in self._customers(http, lambda: False).values():
                    await customer.finish()
                await verify(http, self.oracle)

        asyncio.run(look())


class _Running:
    """An application inside its lifespan."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._lifespan = app.router.lifespan_context(app)

    async def __aenter__(self) -> FastAPI:
        await self._lifespan.__aenter__()
        return self._app

    async def __aexit__(self, *error: object) -> None:
        await self._lifespan.__aexit__(*error)  # type: ignore[arg-type]


def _speaking_to(app: FastAPI, api_key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False),
        base_url="http://server",
        headers={"Authorization": f"Bearer {api_key}"},
    )


async def _work_on(customer: Customer) -> None:
    while True:
        await customer.act()


async def _all_at_once(work: list) -> None:
    """Run all to the end; being interrupted by the cut is their ordinary end, anything else is raised."""
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(outcome, BaseException) and not isinstance(outcome, Lost):
            raise outcome


def _checkpoint_every(pages: int) -> None:
    often = tuple(re.sub(r"(wal_autocheckpoint) = \d+", rf"\1 = {pages}", text) for text in engine._WRITER_PRAGMAS)
    assert f"PRAGMA wal_autocheckpoint = {pages}" in often
    engine._WRITER_PRAGMAS = often


def _output_to(log: Path) -> None:
    """Write to a file what this process says; failing disks make applications talkative."""
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    sys.stdout = sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - to the end; pytest has put its own there
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, force=True)


@contextmanager
def cutting(
    seed: int,
    make_durable: MakeDurable = Durable,
    hosts: int = HOSTS,
    checkpoint: int | None = None,
    packed_kb: int | None = None,
) -> Iterator[Cuts]:
    """Yield a disk ready for cuts; everything is removed afterwards. What is None is drawn by lot."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="pp-power-", dir=fast_folder()))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        disk = stack.enter_context(closing(LoopDisk(folder)))
        yield stack.enter_context(closing(Cuts(disk, folder, seed, make_durable, hosts, checkpoint, packed_kb)))


def cut_first_starts(seed: int, times: int) -> int:
    """Cut the power under servers that start for the first time, and under those that just made a key."""
    with cutting(seed) as cuts:
        for number in range(times):
            cuts.first_start(f"first-{number}")
    return times


@dataclass
class Outcome:
    """What a number of cuts came to."""

    cuts: int = 0
    disks: int = 0
    acknowledged: int = 0
    versions_read_at_the_end: int = 0
    phases: dict[str, int] = field(default_factory=dict)
    packs: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


def cut_many(seed: int, cuts: int, seconds: float, per_disk: int = 100, say: Callable[[str], None] = print) -> Outcome:
    """Cut again and again, a new disk every *per_disk* cuts, until there were enough or the time is over."""
    total, began = Outcome(), time.monotonic()
    while total.cuts < cuts and time.monotonic() - began < seconds:
        with cutting(seed + total.disks) as one:
            while one.rounds < min(per_disk, cuts - total.cuts) and time.monotonic() - began < seconds:
                one.round()
            total.versions_read_at_the_end += one.compare_all()
            total.acknowledged += sum(1 for _ in one.oracle.acked())
            total.cuts += one.rounds
            total.disks += 1
            total.phases = dict(Counter(total.phases) + one.phases)
            total.packs = dict(Counter(total.packs) + one.compacted())
        total.seconds = round(time.monotonic() - began, 1)
        say(f"{total.seconds:6.1f} s  {total.cuts} cuts, {total.acknowledged} versions acknowledged")
    return total
