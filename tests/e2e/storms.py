"""More happens in the tree than anybody can tell of: by the next scan all is right, and until then the status said so.

Every storm is made by programs of their own, several at a time; meanwhile the daemon is asked how it stands.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.harness import World, settled

PROGRAMS = 4
QUICK = {
    "PP_ASSIST_SCANNER__QUIET_SECONDS": "0.3",
    "PP_ASSIST_SCANNER__DELETE_GRACE_SECONDS": "0.3",
    "PP_ASSIST_SCANNER__CANARY_SECONDS": "1",
}

COMING_AND_GOING = """
import os, sys
for number in range(count):
    folder = f"{here}/{number % 125}"
    os.makedirs(folder, exist_ok=True)
    open(f"{folder}/{number}", "w").close()
for number in range(count):
    if keep == "none" or number % 10:
        os.unlink(f"{here}/{number % 125}/{number}")
"""
MAKING_FOLDERS = """
import os, random, shutil
rng = random.Random(seed)
for number in range(count):
    path = "/".join(f"{name}{rng.randrange(3)}" for name in "abcdef"[: rng.randint(1, 6)])
    try:
        if rng.random() < 0.2:
            shutil.rmtree(f"{shared}/{path}", ignore_errors=True)
        else:
            os.makedirs(f"{shared}/{path}", exist_ok=True)
            open(f"{shared}/{path}/{number % 7}", "w").write(f"{seed} {number}")
    except OSError:
        pass  # another one was faster
"""
RENAMING = """
import os, random
rng = random.Random(seed)
for number in range(200):
    os.makedirs(f"{here}/{number % 10}", exist_ok=True)
    open(f"{here}/{number % 10}/{number}", "w").write(f"{seed} {number}")
for number in range(count):
    folders = os.listdir(here)
    if rng.random() < 0.1:
        os.rename(f"{here}/{rng.choice(folders)}", f"{here}/folder {number}")
        continue
    one, other = rng.choice(folders), rng.choice(folders)
    if names := os.listdir(f"{here}/{one}"):
        os.rename(f"{here}/{one}/{rng.choice(names)}", f"{here}/{other}/name {number}")
"""
MOVING_TREES = """
import os, shutil
for number in range(count):
    tree = f"{outside}/{seed} {number}"
    for below in range(60):
        os.makedirs(f"{tree}/{below % 6}/deeper", exist_ok=True)
        open(f"{tree}/{below % 6}/deeper/{below}", "w").write(f"{seed} {number} {below}")
    os.rename(tree, f"{here}/in {number}")
    if number % 3:
        os.rename(f"{here}/in {number}", f"{outside}/out {seed} {number}")
"""


@dataclass
class Storm:
    """One of them, and how it was weathered."""

    seconds: float = 0.0
    equal_after_s: float = 0.0
    said: set[str] = field(default_factory=set)
    """How the path stood meanwhile."""
    announced: int = 0
    missed: int = 0
    """Changes that no event had told of, and a scan found."""
    held: int = 0
    files: int = 0


class Weather:
    """A daemon in storms."""

    def __init__(self, made: World) -> None:
        self.made = made
        self.outside = made.folder / "outside"
        self.outside.mkdir()

    def storm(self, name: str, program: str, count: int, timeout_s: float, keep: str = "some") -> Storm:
        """Let several programs do it at the same time; then all must be right by the next scan."""
        found, before = Storm(), self._scanner()
        shared = os.path.join(os.fsdecode(self.made.tree), name)
        with self._watched(found):
            began = time.monotonic()
            running = []
            for seed in range(PROGRAMS):
                here = f"{shared}/{seed}"
                os.makedirs(here, exist_ok=True)
                values = {"here": here, "shared": shared, "seed": seed, "outside": str(self.outside), "keep": keep}
                told = "".join(f"{key} = {value!r}\n" for key, value in {**values, "count": count}.items())
                running.append(subprocess.Popen([sys.executable, "-c", told + program]))
            assert [each.wait() for each in running] == [0] * PROGRAMS
            found.seconds = round(time.monotonic() - began, 1)
            time.sleep(0.5)  # what is behind is scanned by itself
        began = time.monotonic()
        self.made.daemon.scan(timeout_s)
        settled(lambda: self._left(found), timeout_s)
        assert not (wrong := self.made.differences()), "\n".join(wrong[:20])
        found.equal_after_s = round(time.monotonic() - began, 1)
        after = self._scanner()
        found.announced = after["announced_changes"] - before["announced_changes"]
        found.missed = after["missed_changes"] - before["missed_changes"]
        found.files = self.made.daemon.stats()["files"]["total"]
        if found.missed:
            assert found.said & {"behind", "polling"}, (
                f"{found.missed} changes were missed, and nobody was told: {found}"
            )
        return found

    def _scanner(self) -> dict[str, int]:
        told: dict[str, int] = self.made.daemon.stats()["components"]["scanner"]
        return told

    def _left(self, found: Storm) -> list[str]:
        """Say what is still to do; what is held was really deleted, and a person would say so."""
        for held in self.made.daemon.ask("GET", "/deletions")["held"]:
            with contextlib.suppress(AssertionError):  # more have joined them
                self.made.daemon.ask("POST", f"/deletions/{held['id']}/approve", {"count": held["count"]})
                found.held += held["count"]
        return self.made.daemon.unfinished(self.made.tree)

    @contextlib.contextmanager
    def _watched(self, found: Storm) -> Iterator[None]:
        stop = threading.Event()

        def ask() -> None:
            while not stop.wait(0.03):
                found.said |= {path["status"] for path in self.made.daemon.ask("GET", "/paths")["paths"]}

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def weather(folder: Path, files: int, seconds: float, say: Callable[[str], None] = print) -> dict[str, Storm]:
    """Let every storm pass, with bursts of so many *files*."""
    end = time.monotonic() + seconds
    made = World(folder, **QUICK)
    each = files // PROGRAMS
    storms = {
        "come and gone": (COMING_AND_GOING, each, "none"),
        "come and mostly gone": (COMING_AND_GOING, each, "some"),
        "folders made and removed": (MAKING_FOLDERS, each // 10, ""),
        "renamed": (RENAMING, each // 4, ""),
        "trees moved in and out": (MOVING_TREES, each // 400, ""),
    }
    found = {}
    try:
        made.begin()
        settled(lambda: made.daemon.unfinished(made.tree), 60)
        sky = Weather(made)
        for name, (program, count, keep) in storms.items():
            found[name] = sky.storm(name, program, count, max(60.0, end - time.monotonic()), keep)
            say(f"{name}: {found[name]}")
        shutil.rmtree(sky.outside)
        return found
    except BaseException:
        print(made.logs())
        raise
    finally:
        made.close()
