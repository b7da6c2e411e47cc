"""Starting, stopping, refusing: what an operator sees."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest.mock
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pp_assist.cli import main, waits_for_a_person
from tests.e2e.conftest import MakeWorld
from tests.e2e.harness import Daemon, World, clean_environment, eventually, free_port, name_of


def test_a_signal_stops_both_within_seconds_in_mid_work(make_world: MakeWorld) -> None:
    made = make_world()
    for name in range(200):
        made.write(f"{name}", os.urandom(5000))
    made.begin()
    before = len(eventually(made.server.listing, what="work is going on"))
    for program, number in ((made.server, signal.SIGTERM), (made.daemon, signal.SIGINT)):
        began = time.monotonic()
        assert program.end(number) == 0, program.tail()
        assert time.monotonic() - began < 5
        errors = [line for line in program.log_lines() if "Traceback" in line or " ERROR " in line]
        assert not errors, program.tail()
        program.start()
    assert len(made.server.listing()) >= before
    made.finish()


def test_what_another_process_holds_is_refused_in_one_line(running: World) -> None:
    daemon, server = running.daemon, running.server
    cases = [
        (daemon, "--state-dir", str(daemon.state), free_port(), 4, "already running"),
        (server, "--data-dir", str(server.data), free_port(), 4, "running"),
        (daemon, "--state-dir", str(running.folder / "other"), daemon.port, 4, "is taken"),
        (server, "--data-dir", str(running.folder / "another"), server.port, 4, "in use"),
    ]
    for program, flag, folder, port, code, words in cases:
        second = program.run("run", flag, folder, "--port", str(port))
        assert second.returncode == code, second
        assert words in second.stderr.splitlines()[-1], second
        assert "Traceback" not in second.stderr
    running.write("a", b"the first ones go on")
    running.soon_equal()


@dataclass
class Said:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


def cli(daemon: Daemon, *arguments: str, stdin: str = "") -> Said:
    """Run a command of `pp_assist` against the daemon, in this process: thirty interpreters take half a minute."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        unittest.mock.patch("sys.stdin", io.StringIO(stdin)),
        pytest.raises(SystemExit) as ended,
    ):
        main([*arguments, "--state-dir", str(daemon.state)])
    return Said(int(ended.value.code or 0), out.getvalue(), err.getvalue())


def test_the_command_line_does_what_it_says(make_world: MakeWorld) -> None:
    made = make_world()
    daemon, tree = made.daemon, os.fsdecode(made.tree)
    made.write("a file", b"content")
    made.write(b"bad \xff name", b"more")
    made.server.start()
    key_file = made.folder / "key"
    key_file.write_text(made.server.key)
    add_server = ("server", "add", "one", made.server.url, "--api-key-file")

    assert cli(daemon, "status").code == 3, "no daemon has ever run"
    daemon.start()
    assert cli(daemon, "status", "--nonsense").code == 2
    assert cli(daemon, *add_server, "/nowhere").code == 2
    assert cli(daemon, "server", "add", "one", "ftp://x", "--api-key-file", str(key_file)).code == 4
    assert cli(daemon, "paths").out == "no folder is watched yet\n"
    assert cli(daemon, "server", "list").out == "no server is known yet\n"

    assert cli(daemon, "add", tree).code == 0
    assert cli(daemon, "add", tree).code == 4, "twice"
    assert cli(daemon, "add", str(made.folder / "nowhere")).code == 4
    eventually(lambda: daemon.stats()["files"]["total"] == 2)
    waiting = cli(daemon, "status")
    assert (waiting.code, "no_server" in waiting.out) == (5, True), waiting

    said = cli(daemon, *add_server, str(key_file), "--fingerprint", "xx").err
    assert "fingerprint: must be a SHA-256 fingerprint" in said, said
    added = cli(daemon, *add_server, "-", stdin=made.server.key)
    assert (added.code, len(added.out.splitlines()), "nothing can be sent" in added.out) == (0, 2, False), added
    away = cli(daemon, "server", "add", "away", "http://127.0.0.1:1", "--api-key-file", str(key_file))
    assert (away.code, "server_unreachable" in away.out) == (0, True), away
    assert cli(daemon, "server", "rm", "away").code == 0
    assert cli(daemon, *add_server, str(key_file)).code == 4
    ready = daemon.cli("status", "--wait", "20")
    assert (ready.returncode, "2 of 2 files stored" in ready.stdout) == (0, True), ready

    listed = cli(daemon, "files", "--json").json()
    assert {name_of(file): file["status"] for file in listed["files"]} == {
        made.path("a file"): "completed",
        made.path(b"bad \xff name"): "completed",
    }
    assert cli(daemon, "files", "--json", os.fsdecode(made.path("a file"))).json()["total"] == 1
    assert cli(daemon, "files", "--json", os.fsdecode(made.path(b"bad \xff name"))).json()["total"] == 1
    assert cli(daemon, "files", "--json", "--status", "unsupported").json()["total"] == 0
    assert cli(daemon, "files", "--status", "stored", os.fsdecode(made.path("a file"))).out.startswith("stored  ")
    assert [path["path"] for path in cli(daemon, "paths", "--json").json()["paths"]] == [tree]
    assert "2 files" in cli(daemon, "paths").out
    servers = cli(daemon, "server", "list", "--json")
    assert servers.json()["servers"][0]["state"] == "ok"
    assert made.server.key not in servers.out

    assert cli(daemon, "scan", "--force", "--json").json()["status"] == "scan_finished"
    assert cli(daemon, "scan", "/somewhere/else").code == 4
    assert cli(daemon, "status", "--wait", "20", "--json").code == 0

    assert cli(daemon, "rm", "/somewhere/else").code == 4
    assert cli(daemon, "rm", tree).code == 0
    assert len(made.server.listing()) == 2, "the server keeps everything"
    assert cli(daemon, "server", "rm", "two").code == 4
    assert cli(daemon, "server", "rm", "one").code == 0
    assert daemon.stop() == 0
    assert cli(daemon, "status").code == 3


def test_waiting_ends_where_only_a_person_can_go_on(running: World) -> None:
    for number in range(30):
        running.write(f"letters/{number}", b"x")
    running.finish()
    for number in range(30):
        os.unlink(running.path(f"letters/{number}"))
    running.daemon.scan()
    eventually(lambda: running.daemon.ask("GET", "/deletions")["held"] != [])
    begin = time.monotonic()
    waited = running.daemon.cli("status", "--wait", "100")
    assert (waited.returncode, "pp_assist deletions list" in waited.stdout) == (5, True), waited
    assert time.monotonic() - begin < 60


@pytest.mark.parametrize(
    ("codes", "is_no_use"),
    [([], False), (["held"], True), (["deletions_held", "unread"], True), (["held", "pending"], False)],
)
def test_waiting_is_no_use_where_there_are_reasons_and_all_are_a_persons(codes: list[str], is_no_use: bool) -> None:
    assert waits_for_a_person([{"code": code, "text": "x"} for code in codes]) == is_no_use


def test_settings_that_do_not_exist_stop_the_program(make_world: MakeWorld) -> None:
    made = make_world()
    for program, name in ((made.daemon, "PP_ASSIST_SCANNER__SCAN_INTERVALL"), (made.server, "PP_SERVER_PROT")):
        done = subprocess.run(
            program.command(*program.arguments, "--port", "0"),
            env=clean_environment(**{name: "1"}),
            cwd=made.folder,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert done.returncode == 2, done
        assert name in done.stderr


class Demo:
    """`make run`, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server_port, self.daemon_port = free_port(), free_port()
        self.starts = 0

    def start(self) -> "subprocess.Popen[str]":
        ports = {"PP_DEMO_SERVER_PORT": str(self.server_port), "PP_DEMO_DAEMON_PORT": str(self.daemon_port)}
        self.starts += 1
        with open(self.output, "w") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "pp_assist.demo"],
                stdout=output,
                stderr=output,
                env=clean_environment(**ports),
                cwd=self.folder,
                start_new_session=True,
            )

    @property
    def output(self) -> Path:
        return self.folder / f"output-{self.starts}"


@pytest.fixture
def demo() -> Iterator[Demo]:
    with tempfile.TemporaryDirectory(prefix="pp-e2e-") as folder:
        yield Demo(Path(folder))


def stored(daemon: Daemon) -> int:
    files = daemon.stats()["files"]
    return int(files["completed"] + files["unchanged"])


def assert_a_second_one_says_why_it_cannot_start(demo: Demo) -> None:
    second = demo.start()
    try:
        assert second.wait(30) == 1
        assert "is taken" in demo.output.read_text()
        assert "Traceback" not in demo.output.read_text()
    finally:
        second.kill()
        second.wait()


def test_make_run_starts_stops_and_goes_on(demo: Demo) -> None:
    daemon = Daemon(demo.folder)
    daemon.state, daemon.port = demo.folder / "data" / "assist", demo.daemon_port
    for round_number in (1, 2):
        process = demo.start()
        try:
            eventually(lambda: "Ctrl+C stops both" in demo.output.read_text(), 30, "it says what it does")
            assert stored(daemon) == round_number - 1, "it goes on where it was"
            (demo.folder / "inbox" / f"file {round_number}").write_bytes(os.urandom(1000))
            eventually(lambda n=round_number: stored(daemon) == n, 20, "the file is stored")
            if round_number == 2:
                assert_a_second_one_says_why_it_cannot_start(demo)
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        finally:
            process.terminate()  # a demo that is killed leaves its two programs behind
            process.wait(30)
        assert "both stopped" in (demo.folder / f"output-{round_number}").read_text()
        assert "Traceback" not in "".join(log.read_text() for log in (demo.folder / "data").glob("*.log"))
    for port in (demo.server_port, demo.daemon_port):
        with pytest.raises(OSError, match="refused"):
            daemon.port = port
            daemon.stats()
    packs = (demo.folder / "data" / "server" / "packs").rglob("*")
    assert sum(path.stat().st_size for path in packs if path.is_file()) >= 2 * 1000
