"""Power cuts under a real server process: cut the disk, kill the server, mount, start, compare, go on."""

import asyncio
import random
import shutil
import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.harness import Server
from tests.oracle.crowd import Crowd
from tests.oracle.oracle import Oracle
from tests.oracle.receipts_log import check_log
from tests.power.loopdisk import LoopDisk, fast_folder

CUSTOMERS = 6
LONGEST_S = 0.8


@dataclass
class RealOutcome:
    """What cutting under a real process came to."""

    cuts: int = 0
    acknowledged: int = 0
    contents_read_at_the_end: int = 0


def cut_real(seed: int, cuts: int, seconds: float = 600) -> RealOutcome:
    """Cut the power under a real server so many times. Raises Broken where it did not keep a promise."""
    end = time.monotonic() + seconds
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="pp-power-", dir=fast_folder()))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        disk = stack.enter_context(closing(LoopDisk(folder, mib=512)))
        oracle = stack.enter_context(closing(Oracle(folder / "oracle.jsonl")))
        server = Server(folder)
        server.use_data(disk.mount / "data")
        stack.callback(server.close)
        server.start()
        crowd = Crowd(server, oracle, CUSTOMERS, seed)
        return asyncio.run(_cut(crowd, server, disk, oracle, random.Random(seed), cuts, end))


async def _cut(
    crowd: Crowd, server: Server, disk: LoopDisk, oracle: Oracle, rng: random.Random, cuts: int, end: float
) -> RealOutcome:
    def cut() -> None:
        disk.cut()
        server.kill()

    outcome = RealOutcome()
    while outcome.cuts < cuts and time.monotonic() < end:
        await crowd.era(rng.uniform(0.05, LONGEST_S), cut, look_at=list(oracle.acked())[-100:])
        disk.come_back()
        server.start()
        outcome.cuts += 1
    await crowd.era(0)  # what the last cut interrupted
    outcome.contents_read_at_the_end = await crowd.verify()
    outcome.acknowledged = sum(1 for _ in oracle.acked())
    assert server.stop() == 0, server.tail()
    check_log(oracle, server.data / "receipts")
    return outcome
