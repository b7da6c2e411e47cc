"""`pp_client`: files given to a server once, without a daemon."""

import base64
import hashlib
import json
import os
import subprocess
import sys

import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.harness import World, assert_server_equals_tree, clean_environment, request


def push(world: World, *arguments: str, key: str | None = None) -> tuple[int, list[dict[str, object]], str]:
    """Run pp_client; return its exit code, what it printed as JSON, and its complaints."""
    command = [sys.executable, "-m", "pp_assist.client", *arguments, "--json", "--hostname", "once"]
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
