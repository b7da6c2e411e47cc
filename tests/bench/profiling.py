"""`python -m tests.bench.profiling`: where the CPU time of one file goes, on both sides, while many are stored.

py-spy looks at both processes from outside, many times a second. What it sees a thread do (waiting left out), times the
CPU time that the kernel has counted for this thread, are microseconds per file. They count for the innermost function
of ours on the stack. Statements of SQL are timed inside, by `counting`: that is one table more, not time on top.
"""

import argparse
import json
import linecache
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench import workloads
from tests.bench.ours import DONE_S, Ours, wait_until_stored
from tests.bench.peers import installed

RATE_HZ = 400
ROOT = Path(__file__).parents[2]
PARTS = ("pp_assist", "pp_server")
IMPORTS = "<frozen importlib"
WAITING = re.compile(r"\b(get|poll|select|acquire|wait|accept|run_until_complete)\(")


@dataclass(frozen=True)
class Frame:
    """One function on a stack."""

    function: str
    path: str
    line: int

    @classmethod
    def read(cls, text: str) -> "Frame":
        """Read `function (path:line)`."""
        function, _, where = text.rstrip(")").rpartition(" (")
        path, _, line = where.rpartition(":")
        return cls(function, path, int(line)) if line.isdigit() else cls(text, "", 0)

    @property
    def waits(self) -> bool:
        """Say whether this line only waits for something to do: a queue, a lock, a descriptor."""
        return bool(WAITING.search(linecache.getline(self.path, self.line)))

    @property
    def module(self) -> str:
        """Return pp_assist/store/queue.py, asyncio/events.py ..."""
        parts = Path(self.path).parts
        for top in ("site-packages", f"python{sys.version_info[0]}.{sys.version_info[1]}"):
            if top in parts:
                return "/".join(parts[parts.index(top) + 1 :])
        return os.path.relpath(self.path, ROOT) if self.path.startswith("/") else self.path


Stack = tuple[Frame, ...]


@dataclass(frozen=True)
class Profile:
    """What was seen of one process: CPU seconds by stack."""

    name: str
    cpu_s: float
    files: int
    stacks: dict[Stack, float]
    statements: list[tuple[str, list[float]]]

    def table(self, key: Callable[[Stack], str], most: int) -> list[str]:
        """Return lines: microseconds per file, share, what."""
        found: Counter[str] = Counter()
        for stack, seconds in self.stacks.items():
            found[key(stack)] += round(seconds * 1e9)
        found["not seen at work"] = max(0, round(self.cpu_s * 1e9) - found.total())
        lines = [f"{self.name}: {self.cpu_s:.2f} s CPU, {self.cpu_s * 1e6 / self.files:.0f} µs per file"]
        for what, nanoseconds in found.most_common(most):
            share = nanoseconds / 1e7 / self.cpu_s
            lines.append(f"  {nanoseconds / 1e3 / self.files:8.1f} µs  {share:5.1f} %  {what}")
        return lines

    def sql(self, most: int) -> list[str]:
        """Return lines: microseconds per file, calls, rows per file, the statement."""
        lines = [f"{self.name}: SQL, {sum(each[0] for _, each in self.statements):.0f} calls"]
        for what, (calls, rows, seconds) in self.statements[:most]:
            lines.append(
                f"  {seconds * 1e6 / self.files:8.1f} µs {calls:6.0f} ×  {rows / self.files:5.2f} rows  {what}"
            )
        return lines


def stage_of(stack: Stack) -> str:
    """Return what part of us a stack belongs to: a package, or a module of ours at the top."""
    own = _own(stack)
    if any(frame.path.startswith(IMPORTS) for frame in stack):
        return "starting: imports"
    if own is None:
        return _foreign(stack)
    parts = own.module.split("/")
    return "/".join(parts[:2])


def place_of(stack: Stack) -> str:
    """Return the innermost function of ours, and what it called."""
    own = _own(stack)
    if any(frame.path.startswith(IMPORTS) for frame in stack):
        return "starting: imports"
    if own is None:
        return _foreign(stack)
    inner = stack[-1]
    called = "" if inner == own else f" → {inner.module}:{inner.function}"
    return f"{own.module}:{own.function}:{own.line}{called}"


def _own(stack: Stack) -> Frame | None:
    return next((frame for frame in reversed(stack) if frame.module.startswith(PARTS)), None)


def _foreign(stack: Stack) -> str:
    for frame in reversed(stack):
        if frame.module.startswith("aiosqlite"):
            return f"SQL in aiosqlite's thread: {frame.function}"
    inner = stack[-1]
    return f"library: {inner.module}:{inner.function}"


def seen_at_work(path: Path) -> dict[int, Counter[Stack]]:
    """Read what `py-spy record --format raw --threads` has written: for each thread, how often each stack was seen."""
    threads: dict[int, Counter[Stack]] = {}
    for line in path.read_text().splitlines():
        text, _, count = line.rpartition(" ")
        thread, *frames = text.split(";")
        number = re.match(r"thread \((\d+)\)", thread)
        stack = tuple(Frame.read(each) for each in frames)
        if number and stack and not stack[-1].waits:
            threads.setdefault(int(number[1]), Counter())[stack] += int(count)
    return threads


def cpu_of_threads(pid: int) -> dict[int, float]:
    """Return the CPU seconds of every thread."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return {int(task.name): int((task / "schedstat").read_text().split()[0]) / 1e9 for task in tasks}


class Watch:
    """py-spy, looking at one process until that ends."""

    def __init__(self, name: str, pid: int, output: Path) -> None:
        self.name, self.pid, self._output = name, pid, output
        record = ["record", "--pid", str(pid), "--format", "raw", "--full-filenames", "--threads"]
        command = [installed("py-spy"), *record, "--rate", str(RATE_HZ), "--output", f"{output / name}.stacks"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self._before = cpu_of_threads(pid)
        self._threads: dict[int, float] = {}

    def note(self) -> None:
        """Take the CPU time so far: afterwards the process may end."""
        now = cpu_of_threads(self.pid)
        self._threads = {thread: seconds - self._before.get(thread, 0.0) for thread, seconds in now.items()}

    def profile(self, files: int) -> Profile:
        """Return what was seen, once the process has ended."""
        _, said = self._process.communicate(timeout=60)
        path = self._output / f"{self.name}.stacks"
        if not path.exists():
            raise SystemExit(f"py-spy: {said.decode(errors='replace')[-500:]}")
        stacks: Counter[Stack] = Counter()
        for thread, seen in seen_at_work(path).items():
            for stack, count in seen.items():
                stacks[stack] += self._threads.get(thread, 0.0) * count / seen.total()  # type: ignore[assignment]
        statements = json.loads((self._output / f"{self.name}.sql").read_text())
        return Profile(self.name, sum(self._threads.values()), files, dict(stacks), statements)


def main() -> None:
    """Store many small files, and print where the time went."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.profiling", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--most", type=int, default=40, help="lines per table")
    parser.add_argument("--keep", type=Path, default=None, help="folder for what was seen and counted")
    options = parser.parse_args()
    if not installed("py-spy"):
        raise SystemExit("no py-spy: make profile installs it")
    with tempfile.TemporaryDirectory(prefix="pp-profile-") as folder:
        for each in measure(Path(folder), options.files, (options.keep or Path(folder)).absolute()):
            for table in (
                each.table(stage_of, options.most),
                each.table(place_of, options.most),
                each.sql(options.most),
            ):
                print("\n".join(table), end="\n\n")


def measure(folder: Path, files: int, output: Path) -> list[Profile]:
    """Watch a daemon and a server from the daemon's start to the last receipt of *files* small files."""
    tree = folder / "tree"
    workloads.small_files(tree, files, max(1, files // 50))
    workloads.rest()
    pair = Ours(folder / "pair", counted=output)
    watches: list[Watch] = []
    try:
        pair.open(tree)
        watches.append(Watch("pp_server", pair.servers()[0], output))
        time.sleep(2)  # py-spy reads symbols at first
        pair.begin(lambda pid: watches.append(Watch("pp_assist", pid, output)))
        began = time.monotonic()
        wait_until_stored(pair.daemons[0], files, began, began + DONE_S)
        for watch in watches:
            watch.note()
        for program in (*pair.daemons, pair.server):
            assert program.stop() == 0, program.tail()  # in good order: then it writes what it counted
    finally:
        pair.close()
    return [watch.profile(files) for watch in watches]


if __name__ == "__main__":
    main()
