"""What is done with a contender, workload by workload: a play makes its tree, lets one contender at it, and checks."""

import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench import workloads
from tests.bench.buffered import IndexedCp
from tests.bench.contender import Contender
from tests.bench.ground import Ground
from tests.bench.meter import Meter, exact_cpu_s, memory, on_disk
from tests.bench.ours import Ours, OursNarrow
from tests.bench.slowlink import SlowLink
from tests.bench.workloads import MIB, extent, rest

Note = Callable[[dict[str, Any]], None]
Maker = Callable[..., Contender]

ARRIVES_S = 120.0
LOOK_S = 0.004


class Wrong(Exception):
    """What arrived is not what was sent."""


@dataclass(frozen=True)
class Sizes:
    """How large the workloads are."""

    files: int = 50_000
    dirs: int = 1_000
    real_files: int = workloads.REAL_FILES
    large_mib: int = 4096
    edited_mib: int = 1024
    buffered_mib: int = 512
    samples: int = 100
    idle_s: float = 60.0
    growth: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    daemons: tuple[int, ...] = (1, 4, 16)
    cache: Path = Path(".bench/wheels")


class Run:
    """One contender in one run of one play: where it is, and what has been measured."""

    def __init__(self, ground: Ground, sizes: Sizes, steps: set[str], note: Note) -> None:
        self.ground, self.sizes, self.steps, self._note = ground, sizes, steps, note
        self.folder = ground.folder / "run"
        self.tree = self.folder / "tree"
        self.folder.mkdir()

    @contextmanager
    def with_contender(self, make: Maker, **more: Any) -> Iterator[Contender]:
        """Yield a contender that is open, with the tree before it."""
        contender = make(self.folder / "contender", **more)
        try:
            contender.open(self.tree)
            yield contender
        finally:
            contender.close()

    def step(
        self,
        name: str,
        contender: Contender,
        action: Callable[[], None],
        prepare: Callable[[], object] = lambda: None,
        **facts: Any,
    ) -> None:
        """Measure one step, and note what it cost. What it is about happens in *prepare*, right before."""
        before = contender.facts()
        with Meter(contender.clients, contender.servers, contender.spent, self.ground.flushes, prepare) as meter:
            action()
        assert meter.figures is not None
        counted = {key: value - before.get(key, 0) for key, value in contender.facts().items()}
        there = extent(self.tree)
        self._note(
            {
                "step": name,
                "files": there.files,
                "bytes": there.size_bytes,
                **asdict(meter.figures),
                **counted,
                "server_disk_bytes": on_disk(*contender.stored()),
                **facts,
            }
        )

    def check(self, contender: Contender) -> None:
        """Compare what arrived with the tree."""
        refuse(contender.faults(self.tree))

    def restored(self, contender: Contender, name: str) -> None:
        """Have the tree brought back, and compare."""
        to = self.folder / "restored"
        to.mkdir()
        self.step(name, contender, lambda: contender.restore(self.tree, to))
        refuse(contender.restored_faults(self.tree, to))
        shutil.rmtree(to)

    def note(self, **facts: Any) -> None:
        """Note what is not a step."""
        self._note(facts)

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder)


def refuse(faults: list[str]) -> None:
    """Raise if there are faults."""
    if faults:
        raise Wrong(f"{len(faults)} faults: {'; '.join(sorted(faults)[:5])}")


def cold(run: Run, contender: Contender, name: str, **facts: Any) -> None:
    """The first pass, from nothing."""
    run.step(name, contender, lambda: contender.sync(run.tree), **facts)


# -- the plays


def small(run: Run, make: Maker) -> None:
    """W1, and what follows it: W4 nothing changed, W11 all comes back, W5 a little changed."""
    workloads.small_files(run.tree, run.sizes.files, run.sizes.dirs)
    rest()
    with run.with_contender(make) as contender:
        cold(run, contender, "w1")
        run.check(contender)
        if "w4" in run.steps:
            again = contender.rescan if isinstance(contender, Ours) else lambda: contender.sync(run.tree)
            for _ in range(2):
                run.step("w4", contender, again)
        if "w11" in run.steps and contender.restores:
            run.restored(contender, "w11-small")
        if "w5" in run.steps:
            run.step("w5", contender, lambda: contender.sync(run.tree), lambda: workloads.mutate(run.tree))
            run.check(contender)


def real(run: Run, make: Maker) -> None:
    """W2: real files."""
    workloads.real_files(run.tree, run.sizes.cache, run.sizes.real_files)
    rest()
    with run.with_contender(make) as contender:
        cold(run, contender, "w2")
        run.check(contender)


def large(run: Run, make: Maker) -> None:
    """W3: one large file; W11: it comes back."""
    workloads.large_file(run.tree, run.sizes.large_mib * MIB)
    rest()
    with run.with_contender(make) as contender:
        cold(run, contender, "w3")
        run.check(contender)
        if "w11" in run.steps and contender.restores:
            run.restored(contender, "w11-large")


def edited(run: Run, make: Maker) -> None:
    """W6: a little is overwritten inside a large file, then everything moves by one byte."""
    workloads.large_file(run.tree, run.sizes.edited_mib * MIB, seed=6)
    rest()
    with run.with_contender(make) as contender:
        cold(run, contender, "w6")
        for name, edit in (("w6-overwrite", workloads.overwrite), ("w6-insert", workloads.insert)):
            rest()
            run.step(name, contender, lambda: contender.sync(run.tree), lambda edit=edit: edit(run.tree))
            run.check(contender)


def latency(run: Run, make: Maker) -> None:
    """W7: a new file of 10 KiB beside many others, from the end of its writing until it is durable."""
    workloads.small_files(run.tree, run.sizes.files, run.sizes.dirs)
    rest()
    with run.with_contender(make) as contender:
        contender.sync(run.tree)
        rest(10)
        folders = sorted(path for path in run.tree.glob("*/*") if path.is_dir())
        took = []
        for number in range(run.sizes.samples):
            path = folders[number * 37 % len(folders)] / f"new{number}"
            path.write_bytes(b"%10240d" % number)
            took.append(_until_there(contender, path))
            time.sleep(0.2 + number % 7 / 10)
        cuts = statistics.quantiles(took, n=100, method="inclusive")
        run.note(
            step="w7", files=run.sizes.files, samples=len(took), p50_s=round(cuts[49], 4), p99_s=round(cuts[98], 4)
        )
        run.check(contender)


def _until_there(contender: Contender, path: Path) -> float:
    began = time.perf_counter()
    while not contender.has(path):
        if time.perf_counter() - began > ARRIVES_S:
            raise Wrong(f"{path} has not arrived within {ARRIVES_S} s")
        time.sleep(LOOK_S)
    return time.perf_counter() - began


def idle(run: Run, make: Maker) -> None:
    """W8: nothing happens, and many files are watched."""
    workloads.small_files(run.tree, run.sizes.files, run.sizes.dirs)
    rest()
    with run.with_contender(make) as contender:
        contender.sync(run.tree)
        rest(30)
        sides = {"client": contender.clients(), "server": contender.servers()}
        before = {side: exact_cpu_s(pids) for side, pids in sides.items()}
        time.sleep(run.sizes.idle_s)
        used = {f"{side}_cpu_s": round(exact_cpu_s(pids) - before[side], 4) for side, pids in sides.items()}
        held = {f"{side}_rss_bytes": memory(pids, "VmRSS") for side, pids in sides.items()}
        share = round(100 * used["client_cpu_s"] / run.sizes.idle_s, 4)
        run.note(
            step=f"w8-{run.sizes.files}",
            files=run.sizes.files,
            seconds=run.sizes.idle_s,
            client_percent=share,
            **used,
            **held,
        )


def growing(run: Run, make: Maker) -> None:
    """W9: ten times, a hundred times as many files: the time per file, and memory."""
    for count in run.sizes.growth:
        workloads.small_files(run.tree, count, max(1, count // 50))
        rest()
        with run.with_contender(make) as contender:
            cold(run, contender, f"w9-{count}")
            run.check(contender)
        run.close()
        run.folder.mkdir()


def crowd(run: Run, make: Maker) -> None:
    """W10: several daemons, which run already, share the same files against one server."""
    for daemons in run.sizes.daemons:
        for number in range(daemons):
            part = run.tree / f"part{number:02d}" if daemons > 1 else run.tree
            workloads.small_files(part, run.sizes.files // daemons, max(1, run.sizes.dirs // daemons), seed=1 + number)
        rest()
        with run.with_contender(make, daemons=daemons) as contender:
            assert isinstance(contender, Ours)
            contender.launch()
            cold(run, contender, f"w10-{daemons}", daemons=daemons)
            run.check(contender)
        run.close()
        run.folder.mkdir()


def far(run: Run, make: Maker) -> None:
    """W12: W1 and W2 through 40 ms and 100 Mbit/s."""
    trees = {
        "w12-small": lambda: workloads.small_files(run.tree, run.sizes.files, run.sizes.dirs),
        "w12-real": lambda: workloads.real_files(run.tree, run.sizes.cache, run.sizes.real_files),
    }
    for name, plant in trees.items():
        plant()
        rest()
        with SlowLink() as link, run.with_contender(make, link=link) as contender:
            up, down = link.up.bytes, link.down.bytes
            cold(run, contender, name)
            run.note(step=f"{name}-line", up_bytes=link.up.bytes - up, down_bytes=link.down.bytes - down)
            run.check(contender)
        run.close()
        run.folder.mkdir()


def buffered(run: Run, make: Maker) -> None:
    """W13: a large file by IndexedCP, put into the buffer and then uploaded, beside the daemon."""
    workloads.large_file(run.tree, run.sizes.buffered_mib * MIB, seed=13)
    rest()
    with run.with_contender(make) as contender:
        if isinstance(contender, IndexedCp):
            run.step("w13-add", contender, lambda: contender.add(run.tree))
        cold(run, contender, "w13")
        run.check(contender)


PLAYS: dict[str, Callable[[Run, Maker], None]] = {
    "w1": small,
    "w2": real,
    "w3": large,
    "w6": edited,
    "w7": latency,
    "w8": idle,
    "w9": growing,
    "w10": crowd,
    "w12": far,
    "w13": buffered,
}
PART_OF = {"w4": ("w1",), "w5": ("w1",), "w11": ("w1", "w3")}
"""Steps that happen in the plays of others."""

BUFFERED = "w13"

ALONE = {"w9", "w10", BUFFERED}
"""Compared only with ourselves."""

WATCHING = {"w7", "w8"}
"""For those that notice changes by themselves."""


def takes_part(contender: type[Contender], workload: str) -> bool:
    """Say whether a workload means anything for a contender."""
    if issubclass(contender, (IndexedCp, OursNarrow)):
        return workload == BUFFERED
    if workload in ALONE:
        return contender is Ours
    return contender.watches or workload not in WATCHING
