"""`pp_assist add --wait`: it stays until everything is stored, or says what cannot be."""

import json
import os
import subprocess

import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.harness import World, assert_server_equals_tree
from tests.e2e.terminal import interrupted, on_a_terminal


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """Both programs run and know each other; nothing is watched."""
    made = make_world()
    made.server.start()
    made.daemon.start()
    return made


def add(world: World) -> list[str]:
    return world.daemon.command("add", os.fsdecode(world.tree), "--wait", "--state-dir", str(world.daemon.state))


def test_it_ends_when_everything_is_stored(world: World) -> None:
    world.daemon.use(world.server)
    for number in range(300):
        world.write(f"{number % 7}/{number}", b"%d" % number)
    world.write("large", os.urandom(9_000_000))
    os.symlink("large", world.path("link"))
    done = world.daemon.cli("add", os.fsdecode(world.tree), "--wait")
    assert (done.returncode, "301 of 301 files stored" in done.stdout) == (0, True), done.stdout + done.stderr
    assert_server_equals_tree(world.server, world.tree)


def test_a_second_time_it_waits_for_what_is_new(world: World) -> None:
    world.daemon.use(world.server)
    world.write("a", b"a")
    assert world.daemon.cli("add", os.fsdecode(world.tree), "--wait").returncode == 0
    world.write("b", b"b")
    again = world.daemon.cli("add", os.fsdecode(world.tree), "--wait", "--json")
    answer = json.loads(again.stdout)
    assert (again.returncode, answer["stored"], answer["pending"], answer["stuck"]) == (0, 2, 0, None)
    refused = world.daemon.cli("add", os.fsdecode(world.tree), "--json")
    assert (refused.returncode, json.loads(refused.stdout)["code"]) == (4, "path_exists")


def test_what_cannot_be_stored_is_named(world: World) -> None:
    world.write("a", b"a")
    done = world.daemon.cli("add", os.fsdecode(world.tree), "--wait")
    assert (done.returncode, "no server is known" in done.stdout) == (5, True), done.stdout + done.stderr


def test_a_bar_on_a_terminal(world: World) -> None:
    world.daemon.use(world.server)
    world.write("large", os.urandom(30_000_000))
    code, drawn = on_a_terminal(add(world))
    assert (code, "1 of 1 files stored" in drawn, "━" in drawn) == (0, True, True), drawn


def test_ctrl_c_leaves_the_folder_watched(world: World) -> None:
    world.write("a", b"a")

    def says_so(process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("watching")

    done = interrupted(add(world), says_so)
    assert (done.returncode, "stays watched" in done.stderr) == (130, True), done.stderr
    assert world.daemon.ask("GET", "/paths")["total"] == 1


def test_every_command_fails_in_json(world: World) -> None:
    state = str(world.folder / "none")
    for command in (["status"], ["add", "/nowhere"], ["scan"], ["server", "list"], ["pause"], ["why", "/x"], ["logs"]):
        done = world.daemon.run(*command, "--json", "--state-dir", state)
        told = json.loads(done.stdout)
        assert (told["exit_code"], bool(told["detail"]), bool(told["code"])) == (done.returncode, True, True)
        assert done.returncode in (1, 3)
    wrong = world.daemon.run("status", "--json", "--nonsense")
    assert (wrong.returncode, json.loads(wrong.stdout)["code"]) == (2, "usage")


def test_what_has_no_answer_of_the_daemon_is_json_too(world: World) -> None:
    state = str(world.folder / "other")
    environment = ["--state-dir", state, "--json"]
    assert json.loads(world.daemon.run("start", "--port", "0", *environment).stdout)["status"] == "started"
    assert json.loads(world.daemon.run("restart", "--port", "0", *environment).stdout)["url"].startswith("http://")
    assert json.loads(world.daemon.run("logs", "-n", "1", *environment).stdout)["line"]
    assert json.loads(world.daemon.run("stop", *environment).stdout) == {"status": "stopped"}
    assert json.loads(world.daemon.run("stop", *environment).stdout) == {"status": "not_running"}
    assert "ExecStart" in json.loads(world.daemon.run("install-service", "--print", *environment).stdout)["text"]
    assert world.daemon.run("purge", *environment).returncode == 2
    assert json.loads(world.daemon.run("purge", "--yes", *environment).stdout)["status"] == "removed"
    assert json.loads(world.daemon.run("aliases", "--json").stdout)["folder"]
