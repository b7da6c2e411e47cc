"""A tree with every kind of name and thing in it arrives, bit by bit, and is never sent twice."""

import os
import random
import socket

from tests.e2e.conftest import MakeWorld
from tests.e2e.harness import World, assert_server_equals_tree, content, name_of

ODD_NAMES = [
    b"plain.txt",
    b"with space",
    b" leading and trailing ",
    b"new\nline",
    b"tab\tand\rreturn",
    b"\xff\xfe not utf-8 \x80",
    b"caf\xc3\xa9 composed",
    b"cafe\xcc\x81 decomposed",
    "日本語 📁".encode(),
    b"100%_done%41",
    b"-rf",
    b"--help",
    b"quote'\"`$(x)",
    b"back\\slash",
    b"semi;colon?query#fragment&a=b",
    b"*?[glob]",
    b"\x01\x7f control",
    b"x" * 255,
    ("é" * 127).encode(),
    b"...",
    b".hidden",
]


SAME = b"the same content"


def make_odd_tree(made: World, rng: random.Random) -> None:
    """Every odd name as a file and as a directory, all sizes around the borders, and a deep path."""
    for number, name in enumerate(ODD_NAMES):
        made.write(name, content(rng, 100 + number))
        made.write(b"folder " + name[:200] + b"/" + name, content(rng, 50 + number))
    for size in (0, 1, 4095, 4096, 65537, (1 << 20) + 1, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, (8 << 20) + 5):
        made.write(f"sizes/{size}", content(rng, size))
    made.write(b"/".join([b"deep" * 30] * 12) + b"/bottom", b"deep down")
    made.write("same/one", SAME)
    made.write("same/two", SAME)
    made.write("modes/executable", b"#!/bin/sh\n")
    os.chmod(made.path("modes/executable"), 0o755)
    os.chmod(made.write("modes/secret", b"secret"), 0o600)
    os.chmod(made.write("modes/setuid", b"setuid"), 0o4755)
    os.utime(made.write("times/old", b"old"), ns=(1, 1_000_000_001))
    os.utime(made.write("times/before 1970", b"older"), ns=(1, -1_000_000_001))
    os.utime(made.write("times/future", b"future"), ns=(1, 4_000_000_000_123_456_789))
    os.makedirs(made.path("empty folder"))


def add_special_things(made: World) -> None:
    """What is no regular file."""
    os.mkfifo(made.path("a fifo"))
    os.symlink(b"plain.txt", made.path("a link"))
    os.symlink(b"/", made.path("a link to everything"))
    os.symlink(b"nowhere", made.path("a broken link"))
    here = os.getcwd()
    os.chdir(made.tree)  # the path of a socket must be short
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("a socket")
    finally:
        os.chdir(here)


def test_a_tree_of_odd_names_arrives_once_and_only_once(make_world: MakeWorld) -> None:
    made = make_world()
    make_odd_tree(made, random.Random(1))
    add_special_things(made)
    made.begin()
    count = made.finish()
    total = sum(os.path.getsize(path) for path in made.server.listing())
    assert total - len(SAME) <= made.daemon.bytes_sent <= total, "two that are sent at the same time may both be sent"

    found = made.daemon.ask("GET", "/files?status=unsupported")["files"]
    special = {name_of(file).rpartition(b"/")[2]: file["reason"] for file in found}
    assert special == {
        b"a fifo": "fifo",
        b"a socket": "socket",
    }
    links = {name_of(file).rpartition(b"/")[2]: file for file in made.daemon.ask("GET", "/files?kind=symlink")["files"]}
    assert {name: (link["status"], link["link_target"]) for name, link in links.items()} == {
        b"a link": ("completed", "plain.txt"),
        b"a link to everything": ("completed", "/"),
        b"a broken link": ("completed", "nowhere"),
    }

    made.daemon.restart()  # everything is known
    made.daemon.finish(made.tree)
    assert made.daemon.bytes_sent == 0
    assert made.daemon.stats()["components"]["uploader"]["total_uploaded"] == 0

    before = made.server.stats()
    assert made.daemon.stop() == 0
    for name in os.listdir(made.daemon.state):
        if name.startswith("assist.db"):
            os.unlink(made.daemon.state / name)
    made.daemon.start()  # nothing is known any more but what a person said: which folder, which server
    made.daemon.finish(made.tree)
    assert made.daemon.bytes_sent == 0
    assert made.daemon.stats()["files"]["unchanged"] == count - 1, "all but the empty file"
    assert assert_server_equals_tree(made.server, made.tree) == count
    assert made.server.stats()["bytes_received"] == before["bytes_received"]
