"""`pp_assist top`: one picture, many, and as lines of JSON."""

import io
import json
import os
import signal
import subprocess
import time

from rich.console import Console

from pp_assist.top.frame import UNDER_WAY, _under_way
from pp_assist.top.seen import Seen, read_events
from tests.e2e.harness import World, clean_environment
from tests.e2e.terminal import on_a_terminal


def test_one_picture_has_everything(running: World) -> None:
    for name in ("a", "b", "gone\x1b[2J"):
        running.write(name, b"x")
    running.finish()
    done = running.daemon.cli("top", "--once")
    assert done.returncode == 0, done.stderr
    for said in (
        "All 3 files are stored.",
        "to hash",
        "healthy",
        "upload complete",
        os.fsdecode(running.tree)[:20],
    ):
        assert said in done.stdout, done.stdout
    assert done.stdout.count("files are stored") == 1
    assert "\x1b" not in done.stdout
    (line,) = running.daemon.cli("top", "--once", "--json").stdout.splitlines()
    told = json.loads(line)
    assert (told["stats"]["files"]["total"], bool(told["events"]), told["under_way"]["items"]) == (3, True, [])
    assert running.daemon.cli("top", "--interval", "0").returncode == 2
    running.daemon.stop()
    assert running.daemon.cli("top", "--once").returncode == 3


def test_it_lives_until_ctrl_c(running: World) -> None:
    command = running.daemon.command("top", "--interval", "0.2", "--state-dir", str(running.daemon.state))
    code, drawn = on_a_terminal(command, until="to hash")
    assert (code, "files are stored" in drawn) == (0, True), drawn


def test_lines_of_json_follow_the_daemon(running: World) -> None:
    command = running.daemon.command("top", "--interval", "0.2", "--json", "--state-dir", str(running.daemon.state))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean_environment())
    assert process.stdout is not None
    with process.stdout as stdout:
        looks = [json.loads(stdout.readline()) for _ in range(3)]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert all(look["status"]["running"] for look in looks)


def test_what_is_under_way_is_drawn_the_largest_first() -> None:
    def item(stage: str, name: str, total: int, sent: int = 0) -> dict[str, object]:
        return {"stage": stage, "filepath": name, "bytes_total": total, "bytes_sent": sent}

    items = [item("checksum", f"/small{n}", 10 + n) for n in range(8)] + [
        item("upload", "/film\x1b[2J", 1 << 30, 1 << 29)
    ]
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(_under_way(items))
    drawn = console.export_text().splitlines()
    assert [word in drawn[0] for word in ("uploading", "50 %", "1.0 GiB", "/film")] == [True] * 4, drawn
    assert len(drawn) == UNDER_WAY + 1
    assert "hashing" in drawn[1] and "/small7" in drawn[1]
    assert "and 3 more" in drawn[-1]
    assert "\x1b" not in drawn[0]


def test_the_speed_is_that_of_the_last_seconds() -> None:
    seen = Seen()
    assert seen.note_sent(100, 0.0) == 0.0
    assert seen.note_sent(1100, 1.0) == 1000.0
    assert seen.note_sent(1100, 100.0) == 0.0
    assert seen.note_sent(50, 101.0) == 0.0  # started anew


def test_a_stream_is_cut_into_events() -> None:
    lines = [
        b"event: connected\n",
        b"data: {}\n",
        b"\n",
        b": still here\n",
        b"\n",
        b"id: 7\n",
        b"event: x\n",
        b"data: {1}\n",
        b"\n",
    ]
    assert list(read_events(lines)) == [("7", "{1}")]


def test_without_a_terminal_what_happens_is_heard_too(running: World) -> None:
    command = running.daemon.command("top", "--json", "--interval", "0.3", "--state-dir", str(running.daemon.state))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean_environment()) as top:
        try:
            assert top.stdout is not None
            known = {event["id"] for event in json.loads(top.stdout.readline())["events"]}
            running.write("later", b"x")
            running.daemon.scan()
            end = time.monotonic() + 30
            for line in top.stdout:
                if {event["id"] for event in json.loads(line)["events"]} - known:
                    break
                assert time.monotonic() < end, "nothing new was heard"
        finally:
            top.kill()
