"""The report says what the results file says, and nothing of runs that were wrong."""

import json
import shutil
import xml.etree.ElementTree
from pathlib import Path
from typing import Any

import pytest

from tests.bench import report, run

ABOUT = {
    "date": "2026-01-02T03:04:05+00:00",
    "revision": "abc",
    "machine": "2 × none",
    "disk": "ext4",
    "network": "own",
    "version": "1",
}


def line(contender: str, wall_s: float, step: str = "w1", right: bool = True, **more: Any) -> dict[str, Any]:
    figures = {"client_cpu_s": 1.0, "server_cpu_s": 1.0, "machine_cpu_s": 2.1, "wire_bytes": None, "flushes": 3}
    figures |= {"client_rss_bytes": 10 << 20, "server_rss_bytes": 20 << 20, "server_disk_bytes": 5 << 20, "files": 100}
    entry = ABOUT | figures | {"step": step, "contender": contender, "wall_s": wall_s, "right": right}
    return entry | ({} if right else {"error": "Wrong: <1 fault>"}) | more


LINES = [
    line("ours", 1.0),
    line("restic", 4.0),
    line("ours", 2.0),
    line("restic", 6.0, machine_cpu_s=9.0),
    line("ours", 3.0),
    line("rsync", 0.001, right=False),
    line("ours", 1.0, step="w10-16"),
    line("ours", 1.0, step="w9-10000"),
    ABOUT | {"step": "w7", "contender": "ours", "right": True, "p50_s": 0.1234, "p99_s": 0.5},
]


def rows(text: str, step: str) -> list[list[str]]:
    lines = [[cell.strip() for cell in each.strip("|").split("|")] for each in text.splitlines() if each[:1] == "|"]
    return [cells for cells in lines if cells[0] == step]


def test_medians_spreads_and_ratios() -> None:
    text = report.text(LINES)
    ours, restic = rows(text, "w1")
    assert ours[:7] == ["w1", "ours", "3", "2.00 (1.00–3.00)", "–", "50", "1.00 + 1.00"]
    assert restic[:5] == ["w1", "restic", "2, 1 disturbed", "5.00 (4.00–6.00)", "**0.40**"]
    assert restic[-3:] == ["–", "5.0", "3"], "what was not measured is not shown as nothing"
    assert rows(text, "w7") == [["w7", "ours", "1", "0.123", "0.500"]]
    assert text.index("w9-10000") < text.index("w10-16")


def test_beside_goals_ratios_are_made_run_by_run() -> None:
    text = report.text(
        [
            *(line("ours", 1.0 * n, run=n) for n in (1, 2, 3)),
            *(line("restic", 2.0 * n * n, run=n) for n in (1, 2, 3)),
            line("restic", 1000.0, run=1, series="another day"),
            line("rsync", 1.0, run=9),
            line("ours", 1.0, step="w9-100", files=100),
            line("ours", 30.0, step="w9-1000", files=1000),
            line("ours", 1.0, step="w10-1", files=100),
            line("ours", 0.5, step="w10-16", files=100),
            line("ours", 1.0, step="w12-small"),
            line("rclone", 2.0, step="w12-small"),
            line("rsync", 0.5, step="w12-small"),
            ABOUT | {"step": "w12-small-line", "contender": "ours", "right": True, "up_bytes": 12_500_000},
        ]
    )
    assert rows(text, "W1") == [["W1", "restic", "3", "**0.25 (0.167–0.5)**", "≤ 0.75", "≤ 0.5", "moonshot"]]
    assert rows(text, "W9, time per file")[0][3:] == ["**3**", "≤ 1.2", "–", "no"]
    assert rows(text, "W10, all together")[0][3:] == ["**2**", "≥ 1", "–", "goal"]
    best, line_itself = rows(text, "W12 of W1")
    assert (best[1], best[3], best[-1]) == ("the best peer", "**2**", "no")
    assert (line_itself[3], line_itself[-1]) == ("**1**", "moonshot")


def test_a_wrong_run_is_named_and_is_in_no_table() -> None:
    text = report.text(LINES)
    assert "- wrong, 1 ×: rsync (w1): Wrong: <1 fault>" in text
    assert "rsync" not in "".join("".join(cells) for cells in rows(text, "w1"))
    assert "rsync" not in report.plot(LINES)


def test_the_page_is_written_between_its_markers_again_and_again(tmp_path: Path) -> None:
    shutil.copy(report.DOCS / "performance.md", tmp_path)
    page = tmp_path / "performance.md"
    before = page.read_text().partition(report.BEGIN)[0]
    for lines in (LINES, LINES[:1]):
        report.write(lines, tmp_path)
        text = page.read_text()
        assert text.startswith(before) and text.count(report.BEGIN) == text.count(report.END) == 1
        plot = xml.etree.ElementTree.fromstring((tmp_path / report.PLOT).read_text())
        bars = [shape for shape in plot.iter("{http://www.w3.org/2000/svg}rect") if shape.get("x")]
        assert len(bars) == len(
            {(each["step"], each["contender"]) for each in lines if "wall_s" in each and each["right"]}
        )
    assert "restic: 1" not in page.read_text(), "nothing is left of the first report"


def test_steps_bring_the_plays_that_they_are_part_of(capsys: pytest.CaptureFixture[str]) -> None:
    def plays(*arguments: str) -> list[str]:
        options = run.parse(["x.jsonl", "--contenders", "ours", "--runs", "1", *arguments])
        return [workload for workload, _, _ in run.turns(options)]

    assert plays("--workloads", "w1,w4,w11") == ["w1"]
    assert plays("--workloads", "w11") == ["w1", "w3"]
    assert plays("--workloads", "w5 w3") == ["w1", "w3"]
    assert plays("--workloads", "w3,w4,w11,w2") == ["w3", "w1", "w2"], "the most important first"
    with pytest.raises(SystemExit):
        plays("--workloads", "w99")
    assert "unknown: w99" in capsys.readouterr().err


def test_contenders_take_turns() -> None:
    options = run.parse(["x.jsonl", "--contenders", "ours,ours-tls", "--runs", "2", "--workloads", "w1,w9"])
    turns = [(workload, number, contender.name) for workload, number, contender in run.turns(options)]
    assert turns == [
        ("w1", 0, "ours"),
        ("w1", 0, "ours-tls"),
        ("w1", 1, "ours"),
        ("w1", 1, "ours-tls"),
        ("w9", 0, "ours"),
        ("w9", 1, "ours"),
    ]


def test_lines_are_json(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text("\n".join(map(json.dumps, LINES)) + "\n\n")
    assert report.read(path) == LINES
