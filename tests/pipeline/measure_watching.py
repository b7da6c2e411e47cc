"""Measures our reader of events against watchdog's: `python -m tests.pipeline.measure_watching` (decision 0012)."""

import asyncio
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from pp_assist.core import hints
from pp_assist.core.model import Root
from pp_assist.core.rules import Rules
from pp_assist.disk import identity
from pp_assist.scanner.sink import Sink
from pp_assist.scanner.walk import walk
from pp_assist.scanner.watch import Events
from pp_assist.scanner.watch_linux import LinuxEvents
from pp_assist.scanner.watch_others import OtherEvents

FILES = 50_000
FOLDERS = 20_000

BURST = """
import os, sys
for number in range(int(sys.argv[2])):
    os.close(os.open(f"{sys.argv[1]}/{number}", os.O_CREAT | os.O_WRONLY))
"""
"""In a process of its own: as others do it, with no interpreter to share."""


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def root_of(path: str) -> Root:
    return Root(
        1, os.fsencode(path), os.fsencode(path), True, True, *identity(os.fsencode(path)), 0, None, "healthy", None
    )


def watched(make: Callable[[Sink], Events], folder: str) -> tuple[Sink, Events, float, float]:
    """Return what watches *folder*, and the seconds and CPU seconds that took beyond walking it."""
    root = root_of(folder)
    began, cpu = time.perf_counter(), cpu_s()
    for _ in walk(root, Rules(frozenset(), root.device, len(folder))):
        pass
    walking = time.perf_counter() - began, cpu_s() - cpu
    sink = Sink()
    sink.root_ids.add(1)
    events = make(sink)
    events.start()
    began, cpu = time.perf_counter(), cpu_s()
    events.watch(root)
    if isinstance(events, LinuxEvents):
        before = lambda directory, fd: events.before_listing(root, directory, fd)  # noqa: E731
        for _ in walk(root, Rules(frozenset(), root.device, len(folder)), before=before):
            pass
        return sink, events, time.perf_counter() - began - walking[0], cpu_s() - cpu - walking[1]
    return sink, events, time.perf_counter() - began, cpu_s() - cpu


async def measure(name: str, make: Callable[[Sink], Events], folder: str) -> None:
    hints.MAX_HINTS = 10 * FILES  # here every name counts
    for number in range(FOLDERS // 100):
        for below in range(100):
            os.makedirs(f"{folder}/{number}/{below}", exist_ok=True)
    sink, events, took_s, cpu = watched(make, folder)
    print(f"{name}: watching {FOLDERS} folders took {took_s:.2f} s, {cpu:.2f} s of CPU")
    os.mkdir(f"{folder}/burst")
    os.mkdir(f"{folder}/burst/below")
    await asyncio.sleep(0.5)
    if isinstance(events, LinuxEvents):
        root = root_of(folder)
        before = lambda directory, fd: events.before_listing(root, directory, fd)  # noqa: E731
        list(walk(root, Rules(frozenset(), root.device, len(folder)), b"burst", before))
    sink.take(), sink.take_later()
    began, cpu = time.perf_counter(), cpu_s()
    subprocess.run([sys.executable, "-c", BURST, f"{folder}/burst/below", str(FILES)], check=True)
    burst_s, seen = time.perf_counter() - began, -1
    while seen != (seen := len(sink._notes.now.names.get((1, b"burst/below"), {}))):
        await asyncio.sleep(1)
    lost = sink.take().suspect.get(1, "no")
    print(
        f"  {FILES} files in {burst_s:.2f} s: told of {seen}, {cpu_s() - cpu:.2f} s of CPU; says it lost some: {lost}"
    )
    events.close()


def main() -> None:
    parts: dict[str, Callable[[Sink], Events]] = {"ours": LinuxEvents, "watchdog": lambda sink: OtherEvents(sink, ())}
    for name in sys.argv[1:] or parts:
        folder = tempfile.mkdtemp()
        try:
            asyncio.run(measure(name, parts[name], folder))
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
