"""Daemon, client and server over TLS, set up with the commands that people use."""

import json
import os
import ssl
import subprocess
import sys

from tests.e2e.conftest import MakeWorld
from tests.e2e.harness import MIB, World, assert_server_equals_tree, clean_environment, eventually


def encrypt(world: World, folder: str = "tls") -> str:
    """Give the server a certificate of its own; return the fingerprint as the command prints it."""
    where = world.folder / folder
    done = world.server.run("tls", "self-signed", "--out", str(where), "--name", "127.0.0.1", "--json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    server = world.server
    server.arguments = [*server.arguments[:3], "--tls-cert", made["cert"], "--tls-key", made["key"]]
    server.encryption = ssl.create_default_context(cafile=made["cert"])
    return str(made["fingerprint"])


def add_server(world: World, *more: str) -> None:
    """Add the server by command."""
    arguments = ("server", "add", "main", world.server.url, "--api-key-file", "-", *more)
    done = world.daemon.cli(*arguments, stdin=world.server.key + "\n")
    assert done.returncode == 0, done.stderr


def test_files_are_stored_over_tls_and_only_with_the_pinned_certificate(make_world: MakeWorld) -> None:
    made = make_world()
    fingerprint = encrypt(made)
    made.server.start()
    made.daemon.start()
    made.daemon.watch(made.tree)
    sizes = {"empty": 0, "small": 100, "sub/chunks": 9 * MIB + 1}
    for name, size in sizes.items():
        made.write(name, os.urandom(size))
    add_server(made)  # without a word about its certificate
    eventually(lambda: made.daemon.ask("GET", "/servers")["servers"][0]["reason"], what="refused")
    assert made.daemon.ask("GET", "/status")["upload_obstacle"] == "server_untrusted"
    listed = made.daemon.cli("server", "list")
    assert "self-signed certificate" in listed.stdout, listed
    assert made.server.listing() == {}
    assert made.daemon.cli("server", "rm", "main").returncode == 0
    add_server(made, "--fingerprint", fingerprint.lower())
    assert made.finish() == 3
    shown = json.loads(made.daemon.cli("server", "list", "--json").stdout)["servers"][0]
    assert shown["fingerprint"] == fingerprint.replace(":", "").lower()

    assert made.server.stop() == 0  # another certificate in the same place
    other = encrypt(made, "other")
    made.server.start()
    made.write("small", b"changed")
    eventually(lambda: made.daemon.ask("GET", "/servers")["servers"][0]["reason"], what="refused")
    reason = made.daemon.ask("GET", "/servers")["servers"][0]["reason"]
    assert fingerprint in reason and other in reason
    assert made.daemon.ask("GET", "/status")["upload_obstacle"] == "server_untrusted"
    assert made.daemon.cli("server", "rm", "main").returncode == 0
    add_server(made, "--ca-file", str(made.folder / "other" / "cert.pem"))
    assert made.finish() == 3


def push(world: World, *arguments: str) -> tuple[int, str]:
    """Run pp_client on the tree; return its exit code and its complaints."""
    command = [sys.executable, "-m", "pp_assist.client", os.fsdecode(world.tree), "--server", world.server.url]
    environment = clean_environment(PP_CLIENT_API_KEY=world.server.key)
    done = subprocess.run(
        [*command, *arguments], capture_output=True, env=environment, cwd=world.folder, timeout=60, check=False
    )
    return done.returncode, done.stderr.decode()


def test_pp_client_speaks_tls_by_the_same_rules(make_world: MakeWorld) -> None:
    made = make_world()
    fingerprint = encrypt(made)
    made.server.start()
    made.write("a", os.urandom(5 * MIB))
    assert push(made)[0] == 3
    code, said = push(made, "--fingerprint", "ab" * 32)
    assert code == 3
    assert fingerprint in said and "AB:AB:AB" in said
    assert push(made, "--fingerprint", "ab")[0] == 2
    assert push(made, "--fingerprint", fingerprint, "--ca-file", "tls/cert.pem")[0] == 2
    assert made.server.listing() == {}
    assert push(made, "--fingerprint", fingerprint) == (0, "")
    assert assert_server_equals_tree(made.server, made.tree) == 1
    made.write("b", b"b")
    assert push(made, "--ca-file", "tls/cert.pem") == (0, "")
    assert assert_server_equals_tree(made.server, made.tree) == 2
