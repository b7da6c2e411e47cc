"""`pp_assist top`: one picture, many, and as lines of JSON."""

import json
import os
import signal
import subprocess
import time

from pp_assist.top.seen import MOST_UNDER_WAY, Seen, read_events
from tests.e2e.harness import World, clean_environment
from tests.e2e.terminal import on_a_terminal


def test_one_picture_has_everything(running: World) -> None:
    for name in ("a", "b", "gone\x1b[2J"):
        running.write(name, b"x")
    running.finish()
    done = running.daemon.cli("top", "--once")
    assert done.returncode == 0, done.stderr
    for said in (
        "3 of 3 files stored",
        "files are stored",
        "to hash",
        "healthy",
        "upload complete",
        os.fsdecode(running.tree)[:20],
    ):
        assert said in done.stdout, done.stdout
    assert "\x1b" not in done.stdout
    (line,) = running.daemon.cli("top", "--once", "--json").stdout.splitlines()
    told = json.loads(line)
    assert (told["stats"]["files"]["total"], bool(told["events"])) == (3, True)
    assert running.daemon.cli("top", "--interval", "0").returncode == 2
    running.daemon.stop()
    assert running.daemon.cli("top", "--once").returncode == 3


def test_it_lives_until_ctrl_c(running: World) -> None:
    command = running.daemon.command("top", "--interval", "0.2", "--state-dir", str(running.daemon.state))
    code, drawn = on_a_terminal(command, until="files stored")
    assert (code, "files stored" in drawn) == (0, True), drawn


def test_lines_of_json_follow_the_daemon(running: World) -> None:
    command = running.daemon.command("top", "--interval", "0.2", "--json", "--state-dir", str(running.daemon.state))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean_environment())
    assert process.stdout is not None
    with process.stdout as stdout:
        looks = [json.loads(stdout.readline()) for _ in range(3)]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert all(look["status"]["running"] for look in looks)


def test_what_is_under_way_is_forgotten_when_it_ends() -> None:
    seen = Seen()

    def event(kind: str, percent: int = 0) -> dict[str, object]:
        return {"event_type": kind, "filepath": "/x", "details": {"progress_percent": percent}}

    seen.hear(event("upload_started"))
    seen.hear(event("upload_progress", 40))
    assert seen.under_way["/x"]["details"]["progress_percent"] == 40 and not seen.events
    seen.hear(event("upload_complete"))
    assert not seen.under_way and len(seen.events) == 1


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


def test_uploads_whose_end_goes_unheard_are_forgotten() -> None:
    seen = Seen()
    for number in range(MOST_UNDER_WAY + 5):
        seen.hear({"event_type": "upload_started", "filepath": f"/{number}"})
    assert len(seen.under_way) == MOST_UNDER_WAY
    assert next(iter(seen.under_way)) == "/5"
    seen.note_sent(100, 1.0)
    seen.note_sent(0, 2.0)  # the daemon was started anew
    assert seen.under_way == {}


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
