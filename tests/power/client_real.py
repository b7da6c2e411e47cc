"""Power cuts of the client's disk under a real `pp_assist run`: cut, kill, mount, start, compare, go on."""

import random
import shutil
import tempfile
import threading
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.harness import World, request
from tests.power.client_daemon import Tenant
from tests.power.loopdisk import LoopDisk, fast_folder

LONGEST_S = 2.0
PATIENCE_S = 60.0
QUICK = {"PP_ASSIST_SCANNER__QUIET_SECONDS": "0.1", "PP_ASSIST_SCANNER__DELETE_GRACE_SECONDS": "0.1"}


@dataclass
class RealClientOutcome:
    """What cutting under a real daemon came to."""

    cuts: int = 0
    files_compared: int = 0
    changes: int = 0


class OnDisk(World):
    """A world in which the daemon's state and the tree lie on a disk of their own."""

    def __init__(self, folder: Path, disk: LoopDisk) -> None:
        super().__init__(folder, **QUICK)
        self.tree_path = disk.mount / "tree"
        self.tree_path.mkdir()
        self.tree = bytes(self.tree_path)
        self.daemon.state = disk.mount / "assist"
        self.daemon.arguments = ["run", "--state-dir", str(self.daemon.state)]

    def caught_up(self) -> int:
        """Wait until the server has exactly what the tree has; approve what the cut took. Return how many files."""
        end = time.monotonic() + PATIENCE_S
        while True:
            self.daemon.scan()
            for held in self.daemon.ask("GET", "/deletions")["held"]:
                self._approve(held["id"], held["count"])
            if not self.daemon.unfinished(self.tree) and not self.differences():
                return len(self.server.listing())
            assert time.monotonic() < end, f"{self.daemon.unfinished(self.tree)} {self.differences()}\n{self.logs()}"
            time.sleep(0.1)

    def _approve(self, held_id: int, count: int) -> None:
        """Approve as many as were seen; where more were found missing meanwhile, the next round sees those too."""
        path = f"/deletions/{held_id}/approve"
        reply = request(self.daemon.port, "POST", path, self.daemon.token, {"count": count})
        assert reply.status == 200 or reply.json()["code"] == "count_changed", reply.body


def cut_real_client(seed: int, cuts: int, seconds: float = 600) -> RealClientOutcome:
    """Cut the power under a real daemon so many times. Raises AssertionError where something is not as promised."""
    outcome, rng, end = RealClientOutcome(), random.Random(seed), time.monotonic() + seconds
    with ExitStack() as stack:
        fast, folder = (Path(tempfile.mkdtemp(prefix="pp-power-client-", dir=each)) for each in (fast_folder(), None))
        for each in (fast, folder):  # nobody may watch what is below /dev
            stack.callback(shutil.rmtree, each, ignore_errors=True)
        disk = stack.enter_context(closing(LoopDisk(fast, 384, folder)))
        made = OnDisk(folder, disk)
        stack.callback(made.close)
        made.begin()
        while outcome.cuts < cuts and time.monotonic() < end:
            outcome.changes += _work_until_cut(made, disk, rng)
            made.daemon.kill()
            disk.come_back()
            made.daemon.start()
            outcome.cuts += 1
            outcome.files_compared += made.caught_up()
        made.daemon.restart()
        assert made.daemon.finish(made.tree) >= 0
        assert made.daemon.bytes_sent == 0, "everything was stored"
        assert made.daemon.stop() == 0, made.daemon.tail()
    return outcome


def _work_until_cut(made: OnDisk, disk: LoopDisk, rng: random.Random) -> int:
    tenant, over = Tenant(made.tree_path, random.Random(rng.random())), threading.Event()

    def work() -> None:
        try:
            while not over.is_set():
                tenant.act()
                over.wait(0.01)
        except OSError:
            over.wait()  # the disk is gone

    working = threading.Thread(target=work)
    working.start()
    time.sleep(rng.uniform(0.1, LONGEST_S))
    disk.cut()
    over.set()
    working.join()
    return tenant.changes
