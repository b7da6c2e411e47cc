"""Very many files, very deep folders and odd things, and a daemon that goes on answering: `make prove-scale`."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pp_assist.posix import is_root_user
from tests.e2e.harness import MIB, Daemon, Server, World, settled
from tests.scale.lag import Watch

DEEP = 3000
"""Folders in each other: far more than a path may be long."""

LAST_PHASES_S = 150.0

ODD = 2
"""A pipe and a socket."""

Results = dict[str, Any]


class Probed(Daemon):
    """`pp_assist run` with a stopwatch on its event loop."""

    @property
    def lags(self) -> Path:
        """Where the stopwatch writes."""
        return self.log.with_name("lags")

    def command(self, *more: str) -> list[str]:
        """Return the command line that runs this program."""
        if more[:1] != ("run",):
            return super().command(*more)
        command = [sys.executable, "-m", "tests.scale.probed", str(self.lags), *more]
        return ["nice", "-n", "-15", *command] if is_root_user() else command  # what others do here is not its fault


class Large:
    """A server, a probed daemon, and a tree in memory."""

    def __init__(self, folder: Path, tree: bytes, say: Callable[[str], None], until: float) -> None:
        self.made = World(folder)
        self.made.tree = tree
        root = str(Path(__file__).parents[2])
        quick = {"PP_ASSIST_SCANNER__SCAN_INTERVAL": "3600", "PYTHONPATH": root}
        self.daemon = self.made.daemon = Probed(folder, **quick)
        self.server: Server = self.made.server
        self.phases: Results = {}
        self._say = say
        self._until = until

    @property
    def left(self) -> float:
        """Seconds until the end."""
        return max(1.0, self._until - time.monotonic())

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure during the block."""
        total = self.daemon.stats()["files"]["total"]
        pages = ["/stats", "/paths", "/deletions", "/files?limit=1000", f"/files?limit=100&offset={total // 2}"]
        began = time.monotonic()
        with Watch(self.daemon.port, self.daemon.token, self.daemon.lags, lambda: pages).phase() as figures:
            yield
        self.daemon.note_rss()
        seconds = round(time.monotonic() - began, 1)
        told = {"seconds": seconds, **figures.told(), "peak_rss_mib": self.daemon.peak_rss_bytes // MIB}
        self.phases[name] = told
        self._say(f"{name}: {told}")

    def scan(self) -> None:
        """Scan everything, to the end."""
        self.daemon.scan(self.left)

    def drained(self) -> None:
        """Wait until nothing is left to do."""
        settled(lambda: list(self.daemon.pending().items()), self.left)

    def approve(self, count: int) -> None:
        """Wait until so many deletions are held, and let them go ahead."""

        def missing() -> list[int]:
            held = [each["count"] for each in self.daemon.ask("GET", "/deletions")["held"]]
            return [] if held == [count] else held or [0]

        settled(missing, self.left)
        self.made.approve_deletions(count)

    def drained_or(self, seconds: float) -> bool:
        """Wait until nothing is left to do, or that long; say which."""
        with contextlib.suppress(AssertionError):
            settled(lambda: list(self.daemon.pending().items()), max(0.0, seconds))
        return not self.daemon.pending()

    def stored(self) -> int:
        """Return how many files have a receipt."""
        files = self.daemon.stats()["files"]
        return int(files["completed"] + files["unchanged"])


def fill(folder: bytes, count: int, content: bool = True) -> None:
    """Make *count* files in one folder, each with its own content, or all empty."""
    os.makedirs(folder, exist_ok=True)
    for number in range(count):
        fd = os.open(b"%s/%07d" % (folder, number), os.O_CREAT | os.O_WRONLY, 0o644)
        if content:
            os.write(fd, b"%d of %s" % (number, os.path.basename(folder)))
        os.close(fd)


def odd_things(tree: bytes, deep: int) -> None:
    """Make links in circles, pipes, sockets, devices (where we may) and folders in folders in folders."""
    folder = tree + b"/odd"
    os.makedirs(folder)
    os.symlink(b".", folder + b"/here")
    os.symlink(b"..", folder + b"/above")
    os.symlink(b"itself", folder + b"/itself")
    for number in range(100):
        os.symlink(b"b%d" % number, folder + b"/a%d" % number)
        os.symlink(b"a%d" % number, folder + b"/b%d" % number)
    os.mkfifo(folder + b"/pipe")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.fsdecode(folder + b"/socket"))
    with contextlib.suppress(OSError):
        os.mknod(folder + b"/device", 0o20600, os.makedev(1, 3))
    fd = os.open(folder, os.O_RDONLY)
    for _ in range(deep):
        os.mkdir(b"d", dir_fd=fd)
        below = os.open(b"d", os.O_RDONLY, dir_fd=fd)
        os.close(os.open(b"f", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=below))
        os.close(fd)
        fd = below
    os.close(fd)


def measure(
    files: int, one_folder: int, burst: int, seconds: float, say: Callable[[str], None] = print, deep: int = DEEP
) -> Results:
    """Let the daemon meet one folder of many files, a tree of many more, their loss, and odd things."""
    folder = Path(tempfile.mkdtemp(prefix="pp-scale-"))
    try:
        with in_memory(folder / "memory") as memory:
            large = Large(folder, os.fsencode(memory), say, time.monotonic() + seconds)
            try:
                return _measure(large, files, one_folder, burst, deep)
            except BaseException:
                print(large.made.logs())
                raise
            finally:
                large.made.close()
    finally:
        subprocess.run(["rm", "-rf", folder], check=False)  # too deep for Python's own


@contextlib.contextmanager
def in_memory(path: Path) -> Iterator[Path]:
    """Yield a folder; where we may mount, one in which a million files cost little."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "nr_inodes=0,size=80%", "tmpfs", str(path)]
    mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0
    try:
        yield path
    finally:
        if mounted:
            subprocess.run(["umount", str(path)], check=True)
            path.rmdir()


def _measure(large: Large, files: int, one_folder: int, burst: int, deep: int) -> Results:
    tree = large.made.tree
    fill(tree + b"/many", one_folder)
    large.made.begin()
    with large.phase("one_folder_scan"):
        large.scan()
    with large.phase("one_folder_stored"):
        large.drained()
    with large.phase("one_folder_scan_again"):
        large.scan()
    with large.phase("burst_of_events"):
        fill(tree + b"/burst", burst)
        settled(lambda: [] if large.stored() == one_folder + burst else [large.stored()], large.left)
    with large.phase("burst_of_events_deleted_and_many_lost"):
        shutil.rmtree(tree + b"/many")
        large.scan()
        large.approve(one_folder)
    with large.phase("deletions_told"):
        large.drained()
    for number in range(files // 100):
        fill(tree + b"/tree/%02d/%05d" % (number % 100, number), 100, content=number % 10 == 0)
    with large.phase("tree_scan"):
        large.scan()
    known = large.daemon.stats()["files"]["total"]  # counted anew after a scan
    assert known == files + burst, f"{known} files known"
    with large.phase("tree_stored"):
        in_time = large.drained_or(large.left - LAST_PHASES_S)
    with large.phase("tree_scan_again"):
        large.scan()
    stored = large.stored()
    assert stored == files + burst or not in_time, f"{stored} files stored"
    with large.phase("odd_things"):
        odd_things(tree, deep)
        large.scan()
    with large.phase("odd_things_stored"):
        in_time = large.drained_or(large.left)
    counts = large.daemon.ask("GET", "/status")
    assert counts["files_unsupported"] >= ODD, counts
    assert large.stored() > stored or not in_time
    phases = large.phases.values()
    return {
        "files": files, "one_folder": one_folder, "burst": burst, "deep": deep, "known": known,
        "stored": large.stored(), "all_in_time": in_time, "unsupported": counts["files_unsupported"],
        "peak_rss_mib": large.daemon.peak_rss_bytes // MIB,
        "load_average": round(os.getloadavg()[1], 1),
        "worst_loop_lag_p99_ms": max(each["loop_lag_p99_ms"] for each in phases),
        "worst_loop_computing_p99_ms": max(each["loop_computing_p99_ms"] for each in phases),
        "phases": large.phases,
    }  # fmt: skip
