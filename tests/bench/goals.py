"""What is to be reached, and how near it is: ratios to a peer are made run by run, of runs that took turns."""

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Line = dict[str, Any]
Turn = tuple[str, int]
"""When a series of runs began, and which of its runs: what is compared was measured right after one another."""

MIB = 1 << 20
LINE_BYTES_PER_S = 100e6 / 8
"""Of the slow line of W12."""
PEERS = ("restic", "rsync", "rclone", "syncthing", "copyparty")


class Measured:
    """All right lines of a results file."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines = [line for line in lines if line["right"]]

    def by_run(self, step: str, who: str, field: str) -> dict[Turn, float]:
        """Return the median of a field in each run."""
        found: dict[Turn, list[float]] = {}
        for line in self._lines:
            if (line["step"], line["contender"]) == (step, who) and line.get(field) is not None:
                found.setdefault((line.get("series", ""), line.get("run", 0)), []).append(line[field])
        return {run: statistics.median(values) for run, values in found.items()}

    def numbered(self, prefix: str) -> list[str]:
        """Return the steps `PREFIX-NUMBER`, by their number."""
        steps = {line["step"] for line in self._lines if line["step"].startswith(f"{prefix}-")}
        return sorted(steps, key=lambda step: int(step.partition("-")[2]))


Figure = Callable[[Measured], list[float]]


def ratios(above: dict[Turn, float], below: dict[Turn, float]) -> list[float]:
    """Return the ratio in each run that has both."""
    return [above[run] / below[run] for run in above if below.get(run)]


def beside(peer: str, step: str, field: str = "wall_s", ours: str = "ours") -> Figure:
    """Ours to the peer's."""
    return lambda measured: ratios(measured.by_run(step, ours, field), measured.by_run(step, peer, field))


def beside_the_best(step: str) -> Figure:
    """Our wall time to that of whoever was the quickest in that run."""

    def figure(measured: Measured) -> list[float]:
        best: dict[Turn, float] = {}
        for peer in PEERS:
            for run, wall_s in measured.by_run(step, peer, "wall_s").items():
                best[run] = min(wall_s, best.get(run, wall_s))
        return ratios(measured.by_run(step, "ours", "wall_s"), best)

    return figure


def beside_the_line(step: str) -> Figure:
    """Our wall time to what the bytes we sent need on the line."""

    def figure(measured: Measured) -> list[float]:
        sent = measured.by_run(f"{step}-line", "ours", "up_bytes")
        needed = {run: size / LINE_BYTES_PER_S for run, size in sent.items()}
        return ratios(measured.by_run(step, "ours", "wall_s"), needed)

    return figure


def ours(step: str, field: str, unit: float = 1) -> Figure:
    """A figure of ours alone."""
    return lambda measured: [value / unit for value in measured.by_run(step, "ours", field).values()]


def growth(measured: Measured) -> list[float]:
    """Return the time per file of the largest tree to that of the smallest (W9)."""
    steps = measured.numbered("w9")
    each = [_per_file(measured, step) for step in (steps[:1] + steps[-1:] if len(steps) > 1 else [])]
    return ratios(each[1], each[0]) if each else []


def grown_memory(measured: Measured) -> list[float]:
    """Return the daemon's memory with the largest tree, in MiB (W9)."""
    return [figure for step in measured.numbered("w9")[-1:] for figure in ours(step, "client_rss_bytes", MIB)(measured)]


def crowded(measured: Measured) -> list[float]:
    """Return the throughput of most daemons together to that of one (W10)."""
    steps = measured.numbered("w10")
    return ratios(_per_file(measured, steps[0]), _per_file(measured, steps[-1])) if len(steps) > 1 else []


def _per_file(measured: Measured, step: str) -> dict[Turn, float]:
    files = measured.by_run(step, "ours", "files")
    return {run: wall_s / files[run] for run, wall_s in measured.by_run(step, "ours", "wall_s").items()}


@dataclass(frozen=True)
class Goal:
    """A figure, and what it should be: at most, or at least."""

    name: str
    against: str
    figure: Figure
    goal: float
    moonshot: float | None
    at_least: bool = False

    def row(self, measured: Measured) -> list[str] | None:
        """Return it as a row of a table; None where it was not measured."""
        if not (values := self.figure(measured)):
            return None
        median, sign = statistics.median(values), "≥" if self.at_least else "≤"
        shown = f"{median:.3g}" + (f" ({min(values):.3g}–{max(values):.3g})" if len(values) > 1 else "")
        wanted = [f"{sign} {self.goal:g}", "–" if self.moonshot is None else f"{sign} {self.moonshot:g}"]
        return [self.name, self.against, str(len(values)), f"**{shown}**", *wanted, self._reached(median)]

    def _reached(self, value: float) -> str:
        def reaches(wanted: float) -> bool:
            return value >= wanted if self.at_least else value <= wanted

        if self.moonshot is not None and reaches(self.moonshot):
            return "moonshot"
        return "goal" if reaches(self.goal) else "no"


def _peers(step: str, goals: dict[str, tuple[float, float]]) -> list[Goal]:
    """The wall time of one step beside several; beside those that encrypt what they send, over TLS as well."""
    found = []
    for peer, (goal, moonshot) in goals.items():
        found.append(Goal(step.upper(), peer, beside(peer, step), goal, moonshot))
        if peer in ("rsync", "syncthing"):
            found.append(Goal(f"{step.upper()} over TLS", peer, beside(peer, step, ours="ours-tls"), goal, moonshot))
    return found


GOALS = [
    *_peers("w1", {"restic": (0.75, 0.5), "rsync": (0.85, 0.55), "rclone": (0.08, 0.05), "syncthing": (0.08, 0.05)}),
    *_peers("w2", {"restic": (0.65, 0.4)}),
    Goal("W2, bytes on the wire", "restic", beside("restic", "w2", "wire_bytes"), 1.1, 1.0),
    Goal("W2, bytes on the disk", "restic", beside("restic", "w2", "server_disk_bytes"), 1.1, 1.0),
    *_peers("w3", {"rsync": (0.7, 0.55), "restic": (0.55, 0.4), "syncthing": (0.55, 0.4), "rclone": (0.55, 0.4)}),
    Goal("W4", "rsync", beside("rsync", "w4"), 0.6, 0.36),
    Goal("W5", "rsync", beside("rsync", "w5"), 0.9, 0.5),
    Goal("W6, overwritten", "restic", beside("restic", "w6-overwrite"), 0.7, 0.5),
    Goal("W6, overwritten", "MiB on the wire", ours("w6-overwrite", "wire_bytes", MIB), 8, None),
    Goal("W7, p50", "s", ours("w7", "p50_s"), 0.3, 0.12),
    Goal("W7, p99", "s", ours("w7", "p99_s"), 1.0, None),
    *(
        goal
        for files in (50_000, 200_000)
        for goal in (
            Goal(f"W8, {files:,} files", "% of a core", ours(f"w8-{files}", "client_percent"), 0.1, 0.03),
            Goal(f"W8, {files:,} files", "MiB of memory", ours(f"w8-{files}", "client_rss_bytes", MIB), 120, 75),
        )
    ),
    Goal("W9, time per file", "the smallest tree", growth, 1.2, None),
    Goal("W9", "MiB of memory", grown_memory, 250, 150),
    Goal("W10, all together", "one daemon", crowded, 1.0, None, at_least=True),
    Goal("W11 of W1", "restic", beside("restic", "w11-small"), 0.75, 0.5),
    Goal("W11 of W3", "restic", beside("restic", "w11-large"), 0.75, 0.5),
    Goal("W13, defaults", "our daemon", beside("ours", "w13", ours="indexedcp"), 1.2, 1.0),
    Goal("W13, defaults", "our daemon, as narrow", beside("ours-narrow", "w13", ours="indexedcp"), 1.2, 1.0),
    Goal("W13, 4 MiB, two at a time", "our daemon", beside("ours", "w13", ours="indexedcp-wide"), 1.2, 1.0),
    *(
        goal
        for name, step in (("W12 of W1", "w12-small"), ("W12 of W2", "w12-real"))
        for goal in (
            Goal(name, "the best peer", beside_the_best(step), 1.0, None),
            Goal(name, "bytes / bandwidth", beside_the_line(step), 1.2, 1.05),
        )
    ),
]


def rows(lines: Iterable[Line]) -> list[list[str]]:
    """Return the rows of what was measured."""
    measured = Measured(lines)
    return [row for goal in GOALS if (row := goal.row(measured)) is not None]
