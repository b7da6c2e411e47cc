"""`pp_client`: files given to a server once, without a daemon."""

import base64
import hashlib
import json
import os
import subprocess
import sys

import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.harness import MIB, World, assert_server_equals_tree, clean_environment, eventually, request
from tests.e2e.terminal import interrupted, on_a_terminal


def push(
    world: World, *arguments: str, key: str | None = None, named: bool = True
) -> tuple[int, list[dict[str, object]], str]:
    """Run pp_client; return its exit code, what it printed as JSON, and its complaints."""
    command = [sys.executable, "-m", "pp_assist.client", *arguments, "--json"]
    command += ["--hostname", "once"] if named else []
    environment = clean_environment(PP_CLIENT_API_KEY=world.server.key if key is None else key)
    done = subprocess.run(command, capture_output=True, env=environment, cwd=world.folder, timeout=60, check=False)
    lines = done.stdout.decode().splitlines()
    return done.returncode, [json.loads(line) for line in lines], done.stderr.decode()


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """A server that runs, and a tree; no daemon."""
    made = make_world()
    made.server.start()
    return made


def test_a_folder_arrives_and_a_second_push_sends_nothing(world: World) -> None:
    for name, content in {"a": b"a", "sub/b": b"b" * 3_000_000, "empty": b"", b"caf\xe9": b"x"}.items():
        world.write(name, content)
    os.symlink("a", world.path("link"))
    url = f"http://127.0.0.1:{world.server.port}"
    code, files, _ = push(world, os.fsdecode(world.tree), "--server", url)
    assert code == 0
    assert {file["status"] for file in files} == {"stored"}
    assert sum(int(str(file["bytes_sent"])) for file in files) == 3_000_002
    assert assert_server_equals_tree(world.server, world.tree) == 4
    world.write("a", b"changed")
    code, files, _ = push(world, os.fsdecode(world.tree), "--server", url)
    assert (code, sum(int(str(file["bytes_sent"])) for file in files)) == (0, 7)
    assert_server_equals_tree(world.server, world.tree)


def test_one_file_that_cannot_be_sent_does_not_stop_the_others(world: World) -> None:
    good = world.write("good", b"x")
    url = f"http://127.0.0.1:{world.server.port}"
    code, files, _ = push(world, os.fsdecode(world.path("missing")), os.fsdecode(good), "--server", url)
    assert code == 1
    assert [file["status"] for file in files] == ["failed", "stored"]
    assert "no such file" in str(files[0]["problem"])


def test_exit_codes_say_what_is_wrong(world: World) -> None:
    good, url = os.fsdecode(world.write("good", b"x")), f"http://127.0.0.1:{world.server.port}"
    assert push(world, good, "--server", url, key="pp_wrong")[0] == 4
    assert push(world, good, "--server", "http://127.0.0.1:9")[0] == 3
    assert push(world, good, "--server", "ftp://x")[0] == 2
    assert push(world, good, "--server", "http://example.org")[0] == 2
    assert push(world, good, "--server", url, key="")[0] == 2


def test_folders_and_links_arrive_and_what_is_left_out_does_not(world: World) -> None:
    for name in ("keep/a", "keep/b.log", "cache/c", "keep/cache/d"):
        world.write(name, b"x")
    world.write("keep/.ppignore", b"*.log\n")
    os.makedirs(world.path("empty"))
    os.symlink("keep/a", world.path("link"))
    tree, url = os.fsdecode(world.tree), f"http://127.0.0.1:{world.server.port}"
    code, files, _ = push(world, "push", tree, "--url", url, "-e", "cache/")
    names = {os.path.relpath(str(file["filepath"]), tree): file["kind"] for file in files}
    assert code == 0
    assert names == {"keep/a": "file", "keep/.ppignore": "file", "keep": "dir", "empty": "dir", "link": "symlink"}
    entries = world.server.entries()
    assert (entries[world.path("link")].target, entries[world.path("empty")].kind) == (b"keep/a", "dir")
    listed = push(world, "push", "--path", tree, "--url", url, "--exclude", "cache/", "--dry-run")
    assert {str(file["filepath"]) for file in listed[1]} == {os.path.join(tree, name) for name in names}
    assert push(world, tree, "--url", url, "-e", "[")[0] == 2
    assert push(world, "--url", url)[0] == 2


def test_many_small_files_go_together(world: World) -> None:
    for number in range(1500):
        world.write(f"{number % 20}/{number}", b"%d" % number)
    code, files, _ = push(world, os.fsdecode(world.tree), "--url", f"http://127.0.0.1:{world.server.port}")
    assert (code, len(files)) == (0, 1520)
    assert assert_server_equals_tree(world.server, world.tree) == 1500
    assert world.server.stats()["fsyncs"] < 300


SIZE = 150 * MIB


def pushing(world: World, *more: str) -> list[str]:
    command = [sys.executable, "-m", "pp_assist.client", os.fsdecode(world.tree), "--hostname", "once"]
    return [*command, "--url", f"http://127.0.0.1:{world.server.port}", *more]


def arrived_bytes(world: World) -> int:
    """Return what lies half-received on the server's disk."""
    return sum(part.stat().st_blocks * 512 for part in (world.server.data / "staging").glob("*.part"))


def test_killed_in_a_large_file_it_goes_on_at_its_chunk(world: World) -> None:
    world.write("large", os.urandom(SIZE))
    environment = clean_environment(PP_CLIENT_API_KEY=world.server.key)
    process = subprocess.Popen(pushing(world), env=environment)
    eventually(lambda: arrived_bytes(world) >= 32 * MIB)
    process.kill()
    process.wait()
    arrived = int(world.server.stats()["bytes_received"])
    code, files, _ = push(world, os.fsdecode(world.tree), "--url", f"http://127.0.0.1:{world.server.port}")
    assert (code, arrived < SIZE) == (0, True)
    assert int(str(files[0]["bytes_sent"])) <= SIZE - arrived + 16 * MIB < SIZE
    assert_server_equals_tree(world.server, world.tree)


def test_it_is_interrupted_and_says_how_to_go_on(world: World) -> None:
    world.write("large", os.urandom(SIZE))
    key = world.server.key
    done = interrupted(pushing(world), lambda _: eventually(lambda: arrived_bytes(world)), PP_CLIENT_API_KEY=key)
    assert (done.returncode, "goes on where it was" in done.stderr) == (130, True), done.stderr


def test_a_bar_on_a_terminal_and_a_last_line(world: World) -> None:
    world.write("large", os.urandom(50_000_000))
    code, drawn = on_a_terminal(pushing(world, "--api-key", world.server.key))
    assert (code, "1 stored, 47.7 MiB sent" in drawn, "━" in drawn) == (0, True, True), drawn


def test_a_server_that_is_restarted_in_between_is_waited_for(world: World) -> None:
    world.write("large", os.urandom(SIZE))
    environment = clean_environment(PP_CLIENT_API_KEY=world.server.key)
    process = subprocess.Popen(pushing(world), env=environment, stdout=subprocess.DEVNULL)
    eventually(lambda: arrived_bytes(world))
    world.server.kill()
    world.server.start()
    assert process.wait(60) == 0
    assert_server_equals_tree(world.server, world.tree)


def test_problems_are_json_too(world: World) -> None:
    good = os.fsdecode(world.write("good", b"x"))
    code, lines, _ = push(world, good, "--url", "http://127.0.0.1:9")
    assert (code, lines[-1]["code"], lines[-1]["exit_code"]) == (3, "not_reachable", 3)
    for command in (["ls"], ["get", "/x", "--to", os.fsdecode(world.tree)]):
        code, lines, _ = push(world, *command, "--url", "http://127.0.0.1:9", named=False)
        assert (code, lines[-1]["code"]) == (3, "not_reachable")
    done = subprocess.run([sys.executable, "-m", "pp_assist.client", "--json"], capture_output=True, check=False)
    assert (done.returncode, json.loads(done.stdout)["code"]) == (2, "usage")


def test_a_receipt_is_checked_without_any_server(make_world: MakeWorld) -> None:
    made = make_world()
    made.begin()
    made.write("report.txt", b"what I gave away")
    made.write("other.txt", b"stored with it")
    made.finish()
    shown = made.daemon.cli("receipt", os.fsdecode(made.path("report.txt")), "--json").stdout
    (key,) = request(made.server.port, "GET", "/api/receipts/key").json()["keys"]
    made.server.stop()

    def verify(text: str, public_key: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "pp_assist.client", "verify-receipt", "-", "--key", public_key]
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=60, check=False)
        return done.returncode, (done.stdout + done.stderr).decode()

    code, said = verify(shown, key["public_key"])
    assert code == 0, said
    assert hashlib.sha256(b"what I gave away").hexdigest() in said
    code, said = verify(shown.replace('"size": 16', '"size": 17'), key["public_key"])
    assert (code, "NOT PROVEN" in said) == (1, True)
    assert verify(shown, base64.b64encode(bytes(32)).decode())[0] == 1
    assert verify(shown, "short")[0] == 2
    assert verify("{}", key["public_key"])[0] == 2
