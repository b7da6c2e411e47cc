"""Power cuts of the client's disk: a daemon whose state and whose files lie on a disk that loses its power.

Each round is a forked process: the daemon starts on what the last cut left, the tree stands still until the server has
exactly what is in it, then somebody works on the tree, and the power is cut. Where is drawn by lot: before or after the
k-th commit, request or answer, or at some moment; while starting, catching up, or working; and the process ends at once
or lives on for a while on a disk that fails at everything. The server is a real process, on another disk.
"""

import asyncio
import os
import random
import shutil
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pp_assist.daemon import Daemon
from tests.e2e.harness import Server
from tests.oracle.oracle import Broken
from tests.power.client_daemon import CHUNK_MB, Ledger, Tenant, converged, living
from tests.power.cutting import BROKEN, CUT, NOT_CUT, Knife, Plan, _output_to
from tests.power.loopdisk import LoopDisk, fast_folder

CONNECTIONS = 16
MIB = 1 << 20


def drawn(rng: random.Random, first: bool) -> Plan:
    """Draw by lot where the power is cut. The *first* time on a disk it is while the daemon starts, on nothing."""
    phase = "start" if first else rng.choices(["start", "finish", "work"], [1, 4, 12])[0]
    most = {"start": 8, "finish": 40, "work": 120}[phase]
    step = rng.randint(1, most) if rng.random() < 0.7 else None
    return Plan(phase, step, rng.uniform(0, 1.5), rng.choice([0, 0, 0, 0.3]))


@dataclass
class ClientOutcome:
    """What a number of cuts came to."""

    cuts: int = 0
    disks: int = 0
    converged: int = 0
    """How often the server was found to have exactly what was in the tree."""
    files_compared: int = 0
    phases: dict[str, int] = field(default_factory=dict)
    lived_on: int = 0
    renumbered: int = 0
    """How often the disk came back under another device number."""
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


class ClientCuts:
    """A disk with a daemon's state and tree on it, a server elsewhere, and one cut after the other."""

    def __init__(self, disk: LoopDisk, folder: Path, server: Server, seed: int) -> None:
        self._disk = disk
        self._folder = folder
        self._server = server
        self._seed = seed
        self._rng = random.Random(seed)
        self._ledger = folder / "acknowledged"
        self.outcome = ClientOutcome()
        self._tree = disk.mount / "tree"
        self._tree.mkdir()
        os.sync()

    def round(self) -> None:
        """Start, catch up, compare, work, cut. Raises Broken where something is not as promised."""
        plan, number = drawn(self._rng, first=self.outcome.cuts == 0), self.outcome.cuts
        self._forked(lambda: self._live_until_cut(plan, random.Random(f"{self._seed} {number}")))
        self._come_back()
        self.outcome.cuts += 1
        self.outcome.lived_on += plan.survives_s > 0
        self.outcome.phases[plan.phase] = self.outcome.phases.get(plan.phase, 0) + 1

    def compare(self) -> None:
        """Start once more, and end in good order."""
        self._forked(self._live_and_compare)

    def _come_back(self) -> None:
        before = os.stat(self._disk.mount).st_dev
        self._disk.come_back()
        self.outcome.renumbered += os.stat(self._disk.mount).st_dev != before

    def _forked(self, work: Callable[[], None]) -> None:
        log, said = self._folder / "round.log", self._folder / "said"
        said.unlink(missing_ok=True)
        pid = os.fork()
        if pid == 0:
            code = BROKEN
            try:
                _output_to(log)
                work()
                code = NOT_CUT
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code not in (CUT, NOT_CUT):
            name = f"round {self.outcome.cuts} of seed {self._seed}"
            raise Broken(f"{name} ended with {code}:\n" + log.read_text(errors="replace")[-8000:])
        counts = Counter(self.outcome.counts)
        for line in said.read_text().splitlines() if said.exists() else []:
            word, _, value = line.partition(" ")
            if word == "converged":
                self.outcome.converged += 1
                self.outcome.files_compared += int(value)
            else:
                counts[word] += int(value)
        self.outcome.counts = dict(counts)

    # in the forked process

    def _say(self, word: str, value: int) -> None:
        with open(self._folder / "said", "a") as file:
            file.write(f"{word} {value}\n")

    def _living(self, ledger: Ledger) -> Any:
        return living(self._disk.mount / "state", self._tree, self._server.url, self._server.key, ledger)

    async def _compared(self, daemon: Daemon, ledger: Ledger) -> None:
        ledger.is_still = True
        files = await converged(daemon, self._tree, self._server.url, self._server.key)
        ledger.is_still = False
        again = ledger.counts["bytes_sent_again"]
        if again > CONNECTIONS * CHUNK_MB * MIB:
            raise Broken(f"{again} bytes were sent again that the server had acknowledged")
        self._say("converged", files)

    def _live_and_compare(self) -> None:
        async def live() -> None:
            ledger = Ledger(self._ledger, lambda name: None, threading.Lock())
            async with self._living(ledger) as daemon:
                await self._compared(daemon, ledger)
            for word, value in ledger.counts.items():
                self._say(word, value)

        asyncio.run(live())

    def _live_until_cut(self, plan: Plan, rng: random.Random) -> None:
        knife = Knife(plan, self._disk.mount)
        ledger = Ledger(self._ledger, knife.step, knife.gate)
        knife.last_words = lambda: [self._say(word, value) for word, value in ledger.counts.items()]
        _commits_pass_by(knife)

        async def live() -> None:
            knife.reach("start")
            async with self._living(ledger) as daemon:
                knife.reach("finish")
                await self._compared(daemon, ledger)
                knife.reach("work")
                await asyncio.to_thread(self._work, rng, knife)

        try:
            asyncio.run(live())
        except BaseException:
            if not knife.is_cut.is_set():
                raise
            traceback.print_exc()  # what a daemon says when its disk is gone; kept for whoever looks
        threading.Event().wait()  # the knife ends the process

    def _work(self, rng: random.Random, knife: Knife) -> None:
        tenant = Tenant(self._tree, rng)
        while not knife.is_cut.is_set():
            tenant.act()
            time.sleep(rng.uniform(0, 0.02))
        threading.Event().wait()


def _commits_pass_by(knife: Knife) -> None:
    """Have the daemon's commits pass by the knife. Called in forked processes only."""
    import aiosqlite

    commit = aiosqlite.Connection.commit

    async def watched(conn: aiosqlite.Connection) -> None:
        knife.step("before commit")
        await commit(conn)
        knife.step("after commit")

    aiosqlite.Connection.commit = watched  # type: ignore[method-assign]


def cut_clients(
    seed: int, cuts: int, seconds: float, per_disk: int = 50, say: Callable[[str], None] = print
) -> ClientOutcome:
    """Cut again and again, a new disk and server every *per_disk* cuts, until there were enough or the time is over."""
    total, began = ClientOutcome(), time.monotonic()
    while total.cuts < cuts and time.monotonic() - began < seconds:
        with ExitStack() as stack:
            folder = Path(tempfile.mkdtemp(prefix="pp-power-client-", dir=fast_folder()))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            disk = stack.enter_context(closing(LoopDisk(folder, mib=384)))
            server = stack.enter_context(closing(Server(folder)))
            server.start()
            assert server.key
            one = ClientCuts(disk, folder, server, seed + total.disks)
            while one.outcome.cuts < min(per_disk, cuts - total.cuts) and time.monotonic() - began < seconds:
                one.round()
                total.seconds = round(time.monotonic() - began, 1)
                say(f"{total.seconds:6.1f} s  {total.cuts + one.outcome.cuts} cuts: {one.outcome}")
            one.compare()
            assert server.stop() == 0, server.tail()
        _add(total, one.outcome)
        total.seconds = round(time.monotonic() - began, 1)
    return total


def _add(total: ClientOutcome, one: ClientOutcome) -> None:
    total.disks += 1
    for name in ("cuts", "converged", "files_compared", "lived_on", "renumbered"):
        setattr(total, name, getattr(total, name) + getattr(one, name))
    total.phases = dict(Counter(total.phases) + Counter(one.phases))
    total.counts = dict(Counter(total.counts) + Counter(one.counts))
