"""`python -m tests.bench.run RESULTS.jsonl`: measure our pair and its peers side by side; each step adds a line.

Contenders take turns (A B A B ...), so that whatever else the machine does meets them all. After each run, what arrived
is compared with the tree; a run that is wrong says so in its line and is in no table.
"""

import argparse
import json
import os
import platform
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench import workloads
from tests.bench.buffered import IndexedCp, IndexedCpWide
from tests.bench.contender import Contender
from tests.bench.goals import Turn
from tests.bench.ground import Ground, be_alone, ground
from tests.bench.ours import Ours, OursEncrypted, OursNarrow
from tests.bench.peers import Copyparty, RcloneSftp, Restic, Rsync
from tests.bench.plays import PART_OF, PLAYS, Run, Sizes, takes_part
from tests.bench.syncthing import Syncthing
from tests.e2e.prove import revision

OURS: tuple[type[Contender], ...] = (Ours, OursEncrypted, OursNarrow, IndexedCp, IndexedCpWide)
PEERS: tuple[type[Contender], ...] = (Restic, Rsync, RcloneSftp, Syncthing, Copyparty)


def main() -> int:
    """Run what is asked for; 1 if anything was wrong."""
    options = parse(sys.argv[1:])
    if "w2" in options.workloads or "w12" in options.workloads:
        workloads.download(options.cache)  # while there still is a network
    be_alone()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is stopped and removed
    wrong, end = 0, time.monotonic() + options.seconds
    sizes, series = sizes_of(options), datetime.now(UTC).isoformat(timespec="seconds")
    with ground(options.folder, options.disk_gib) as place:
        print(f"on {place.disk}; network: {place.network}", flush=True)
        for workload, number, contender in turns(options):
            if time.monotonic() > end:
                print(f"out of time: nothing from {workload}, run {number}, {contender.name} on", flush=True)
                break
            wrong += not one(place, sizes, workload, (series, number), contender, options)
    return 1 if wrong else 0


def turns(options: argparse.Namespace) -> Iterator[tuple[str, int, type[Contender]]]:
    """Yield who runs what, one after the other."""
    chosen = []
    for each in (*OURS, *PEERS):
        if each.name in options.contenders:
            if reason := each.why_not():
                print(f"{each.name} stays out: {reason}", flush=True)
            else:
                chosen.append(each)
    for workload in plays(options.workloads):
        for number in range(options.runs):
            yield from ((workload, number, each) for each in chosen if takes_part(each, workload))


def plays(wanted: list[str]) -> list[str]:
    """Return the plays in which everything wanted happens, in that order."""
    found: list[str] = []
    for step in wanted:
        if step in PLAYS:
            found.append(step)
        elif not set(PART_OF[step]) & set(wanted):
            found += PART_OF[step]
    return list(dict.fromkeys(found))


def one(
    place: Ground, sizes: Sizes, workload: str, turn: Turn, contender: type[Contender], options: argparse.Namespace
) -> bool:
    """One contender, once; say whether all was right. Its lines are written only once they are checked."""
    about = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": revision(),
        "machine": machine(),
        "disk": place.disk,
        "network": place.network,
        "load": round(os.getloadavg()[0], 2),
        "workload": workload,
        "series": turn[0],
        "run": turn[1],
        "contender": contender.name,
        "version": contender.version(),
    }
    lines: list[dict[str, Any]] = []
    run = Run(place, sizes, set(options.workloads), lambda facts: lines.append(facts))
    error = ""
    try:
        PLAYS[workload](run, contender)
    except Exception as failure:  # the others still want to be measured
        traceback.print_exc()
        error = f"{type(failure).__name__}: {failure}"[:1000]
    finally:
        run.close()
    with open(options.results, "a") as file:
        for facts in lines or [{"step": workload}]:
            entry = about | facts | {"right": not error} | ({"error": error} if error else {})
            file.write(json.dumps(entry) + "\n")
            print(brief(entry), flush=True)
    return not error


def machine() -> str:
    """Say what this is measured on."""
    cpu = "?"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    return f"{os.cpu_count()} × {cpu}, Linux {platform.release()}, Python {platform.python_version()}"


def brief(entry: dict[str, Any]) -> str:
    """One line for whoever waits."""
    said = [f"{entry['step']:14} {entry['contender']:10} run {entry['run']}"]
    if "wall_s" in entry:
        said.append(f"{entry['wall_s']:8.2f} s  CPU {entry['client_cpu_s']:6.2f} + {entry['server_cpu_s']:6.2f} s")
    said += [f"{key} {entry[key]}" for key in ("p50_s", "p99_s", "client_percent") if key in entry]
    return "  ".join([*said, entry.get("error", "")])


def sizes_of(options: argparse.Namespace) -> Sizes:
    """Return how large everything is to be."""
    return Sizes(
        files=options.files,
        dirs=options.dirs or max(1, options.files // 50),
        real_files=options.real_files,
        large_mib=options.large_mib,
        edited_mib=options.edited_mib,
        buffered_mib=options.buffered_mib,
        samples=options.samples,
        idle_s=options.idle_s,
        growth=tuple(options.growth),
        daemons=tuple(options.daemons),
        cache=options.cache.absolute(),
    )


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    every = [*PLAYS, *PART_OF]
    contenders = [each.name for each in (*OURS, *PEERS)]
    parser = argparse.ArgumentParser(prog="python -m tests.bench.run", description=__doc__)
    parser.add_argument("results", type=Path, help="file that gets a line per step")
    parser.add_argument(
        "--workloads", type=words(every), default=["w1", "w4", "w5", "w11"], help=f"in this order: {','.join(every)}"
    )
    parser.add_argument("--contenders", type=words(contenders), default=contenders, help=",".join(contenders))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin nothing after so long")
    parser.add_argument("--files", type=int, default=50_000, help="W1, W4, W5, W7, W8, W10, W11, W12")
    parser.add_argument("--dirs", type=int, default=0, help="folders they lie in (default: a fiftieth)")
    parser.add_argument("--real-files", type=int, default=workloads.REAL_FILES, help="W2, W12")
    parser.add_argument("--large-mib", type=int, default=4096, help="W3, W11")
    parser.add_argument("--edited-mib", type=int, default=1024, help="W6")
    parser.add_argument("--buffered-mib", type=int, default=512, help="W13")
    parser.add_argument("--samples", type=int, default=100, help="W7: new files")
    parser.add_argument("--idle-s", type=float, default=60.0, help="W8: seconds")
    parser.add_argument("--growth", type=numbers, default=[10_000, 100_000, 1_000_000], help="W9: files")
    parser.add_argument("--daemons", type=numbers, default=[1, 4, 16], help="W10")
    parser.add_argument("--folder", type=Path, default=None, help="where the disk's image goes")
    parser.add_argument("--disk-gib", type=int, default=24, help="how large it may grow")
    parser.add_argument("--cache", type=Path, default=Path(".bench/wheels"), help="where downloaded wheels are kept")
    options = parser.parse_args(arguments)
    options.results = options.results.absolute()
    return options


class words:
    """Reads names separated by commas, all of them known."""

    def __init__(self, known: list[str]) -> None:
        self._known = known

    def __call__(self, text: str) -> list[str]:
        found = [word for word in text.replace(",", " ").split() if word]
        if unknown := [word for word in found if word not in self._known]:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}")
        return found


def numbers(text: str) -> list[int]:
    """Read numbers separated by commas."""
    return [int(word) for word in text.replace(",", " ").split()]


if __name__ == "__main__":
    sys.exit(main())
