"""`python -m tests.bench.report RESULTS.jsonl`: tables and a plot in docs/performance.md, from what `run` has written.

Only right runs count. A ratio is our median to the peer's, both from this one file; beside goals, the median of the
ratios of all runs.
"""

import argparse
import json
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from tests.bench import goals

DOCS = Path(__file__).parents[2] / "docs"
BEGIN, END = "<!-- results: make bench-report -->", "<!-- end of results -->"
PLOT = "performance.svg"
OURS = "ours"
MIB = 1 << 20
DISTURBED = 1.3
"""A run in which the machine spent so much more CPU time than both sides did is shown as disturbed."""

Line = dict[str, Any]


class Runs:
    """All right lines of one step and one contender."""

    def __init__(self, step: str, contender: str, lines: list[Line]) -> None:
        self.step, self.contender, self.lines = step, contender, lines

    def median(self, field: str) -> float | None:
        """Return the median of a field; None where it was not measured."""
        values = [line[field] for line in self.lines if line.get(field) is not None]
        return statistics.median(values) if values else None

    def spread(self, field: str, digits: int = 2) -> str:
        """Return `median (min–max)`."""
        values = [line[field] for line in self.lines if line.get(field) is not None]
        if not values:
            return "–"
        shown = f"{statistics.median(values):.{digits}f}"
        return shown if len(values) == 1 else f"{shown} ({min(values):.{digits}f}–{max(values):.{digits}f})"

    @property
    def disturbed(self) -> int:
        """Return in how many runs something else was busy, too."""
        both = [(line["machine_cpu_s"], line["client_cpu_s"] + line["server_cpu_s"]) for line in self.lines]
        return sum(machine > DISTURBED * ours + 0.2 for machine, ours in both)


def read(path: Path) -> list[Line]:
    """Read a results file."""
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def grouped(lines: Iterable[Line], field: str) -> dict[str, list[Runs]]:
    """Return step → contenders, the quickest first, of the lines that have *field*."""
    found: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        if line["right"] and field in line:
            found.setdefault((line["step"], line["contender"]), []).append(line)
    steps: dict[str, list[Runs]] = {}
    for (step, contender), those in found.items():
        steps.setdefault(step, []).append(Runs(step, contender, those))
    for runs in steps.values():
        runs.sort(key=lambda each: each.median(field) or 0.0)
    return dict(sorted(steps.items(), key=lambda item: _natural(item[0])))


def _natural(step: str) -> list[tuple[int, str]]:
    return [(int(number or 0), word) for number, word in re.findall(r"(\d+)|(\D+)", step)]


# -- tables


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def passes(lines: list[Line]) -> str:
    """Return the table of everything that has a wall time."""
    rows = []
    for step, contenders in grouped(lines, "wall_s").items():
        ours = next((each for each in contenders if each.contender == OURS), None)
        for each in contenders:
            wall, files = each.median("wall_s") or 0.0, each.median("files") or 0.0
            rows.append(
                [
                    step,
                    each.contender,
                    str(len(each.lines)) + (f", {each.disturbed} disturbed" if each.disturbed else ""),
                    each.spread("wall_s"),
                    _ratio(ours, each),
                    f"{files / wall:,.0f}" if wall else "–",
                    f"{each.median('client_cpu_s') or 0:.2f} + {each.median('server_cpu_s') or 0:.2f}",
                    f"{_mib(each, 'client_rss_bytes')} + {_mib(each, 'server_rss_bytes')}",
                    _mib(each, "wire_bytes"),
                    _mib(each, "server_disk_bytes"),
                    _count(each, "flushes"),
                ]
            )
    head = ["step", "who", "runs", "wall s", "ours / this", "files/s", "CPU s, client + server"]
    return table([*head, "RSS MiB, client + server", "wire MiB", "disk MiB", "flushes"], rows)


def _ratio(ours: Runs | None, each: Runs) -> str:
    wall = each.median("wall_s")
    if ours is None or each is ours or not wall:
        return "–"
    return f"**{(ours.median('wall_s') or 0.0) / wall:.2f}**"


def _mib(each: Runs, field: str) -> str:
    value = each.median(field)
    return "–" if value is None else f"{value / MIB:,.1f}"


def _count(each: Runs, field: str) -> str:
    value = each.median(field)
    return "–" if value is None else f"{value:,.0f}"


def others(lines: list[Line], field: str, title: str, columns: dict[str, Callable[[Runs], str]]) -> str:
    """Return a table of what is no pass, under its title; nothing where there is none."""
    rows = [
        [step, each.contender, str(len(each.lines)), *(show(each) for show in columns.values())]
        for step, contenders in grouped(lines, field).items()
        for each in contenders
    ]
    return f"\n\n### {title}\n\n{table(['step', 'who', 'runs', *columns], rows)}" if rows else ""


def aims(lines: list[Line]) -> str:
    """Return the table of what is to be reached; nothing where nothing of it was measured."""
    rows = goals.rows(lines)
    head = ["what", "against", "runs", "ours / theirs, or ours", "goal", "moonshot", "reached"]
    return f"### Goals\n\n{table(head, rows)}\n\n### All passes" if rows else ""


def text(lines: list[Line]) -> str:
    """Return all that stands between the markers."""
    wrong = Counter(f"{line['contender']} ({line['step']}): {line['error']}" for line in lines if not line["right"])
    parts = [
        _about(lines),
        aims(lines),
        f"![wall time beside ours]({PLOT})" if grouped(lines, "wall_s") else "",
        passes(lines)
        + others(
            lines,
            "p50_s",
            "Latency",
            {"p50 s": lambda each: each.spread("p50_s", 3), "p99 s": lambda each: each.spread("p99_s", 3)},
        )
        + others(
            lines,
            "client_percent",
            "Idle",
            {
                "client, % of a core": lambda each: each.spread("client_percent", 3),
                "client MiB": lambda each: _mib(each, "client_rss_bytes"),
                "server MiB": lambda each: _mib(each, "server_rss_bytes"),
            },
        )
        + others(lines, "up_bytes", "Over the slow line", {"MiB up": lambda each: _mib(each, "up_bytes")}),
        "\n".join(f"- wrong, {count} ×: {what}" for what, count in wrong.items()),
    ]
    return "\n\n".join(part for part in parts if part)


def _about(lines: list[Line]) -> str:
    def all_of(field: str) -> str:
        return "; ".join(dict.fromkeys(str(line[field]) for line in lines))

    dates = sorted(line["date"][:10] for line in lines)
    versions = dict.fromkeys(f"{line['contender']}: {line['version']}" for line in lines if line["contender"] != OURS)
    facts = [
        f"- measured {' to '.join(dict.fromkeys([dates[0], dates[-1]]))}, ours at {all_of('revision')}",
        f"- on {all_of('machine')}; {all_of('disk')}; network: {all_of('network')}",
        *(f"- {version}" for version in versions),
    ]
    return "\n".join(facts)


# -- the plot

WIDTH, BAR, GAP, LEFT, RIGHT = 760, 16, 26, 190, 90


def plot(lines: list[Line]) -> str:
    """Return an SVG: for each step, everybody's median wall time with its range; each step has its own scale."""
    shapes, y = [], 10
    for step, contenders in grouped(lines, "wall_s").items():
        most = max(line["wall_s"] for each in contenders for line in each.lines) or 1.0
        scale = (WIDTH - LEFT - RIGHT) / most
        shapes.append(f'<text x="8" y="{y + 13}" font-weight="bold">{escape(step)}</text>')
        for each in contenders:
            values = [line["wall_s"] for line in each.lines]
            median, low, high = (scale * value for value in (statistics.median(values), min(values), max(values)))
            colour = "#2a6fb0" if each.contender.startswith(OURS) else "#b9bec4"
            middle = y + BAR / 2
            shapes += [
                f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(each.contender)}</text>',
                f'<rect x="{LEFT}" y="{y}" width="{median:.1f}" height="{BAR}" fill="{colour}"/>',
                f'<path d="M{LEFT + low:.1f} {middle}H{LEFT + high:.1f}" stroke="#222"/>',
                f'<text x="{LEFT + high + 6:.1f}" y="{y + 13}">{statistics.median(values):.2f} s</text>',
            ]
            y += BAR + 4
        y += GAP - BAR
    frame = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" font-family="sans-serif" font-size="13"'
    background = f'<rect width="{WIDTH}" height="{y}" fill="white"/>'
    return "\n".join([f"<svg {frame}>", background, *shapes, "</svg>", ""])


def write(lines: list[Line], docs: Path) -> None:
    """Put tables and plot into the documents."""
    page = docs / "performance.md"
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{page}: where is {BEGIN} ... {END}?")
    page.write_text(f"{before}{BEGIN}\n\n{text(lines)}\n\n{END}{after}")
    if grouped(lines, "wall_s"):
        (docs / PLOT).write_text(plot(lines))


def main() -> None:
    """Write the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.report", description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder with performance.md")
    options = parser.parse_args()
    if not (lines := read(options.results)):
        raise SystemExit(f"{options.results} is empty")
    write(lines, options.docs)


if __name__ == "__main__":
    main()
