"""`pp_assist verify`: here, in the receipt and on the server's disk."""

import json
import os
from typing import Any

from tests.e2e.harness import World, assert_server_equals_tree


def verified(world: World, *arguments: str) -> tuple[int, Any]:
    done = world.daemon.cli("verify", *arguments, "--json")
    return done.returncode, json.loads(done.stdout)


def test_what_is_damaged_on_the_server_is_named_and_sent_again(running: World) -> None:
    running.write("large", os.urandom(3_000_000))
    running.write("gone", os.urandom(2_000_000))
    for number in range(30):
        running.write(f"small/{number}", b"%d" % (number // 2))  # each content twice
    running.write(b"caf\xe9", b"no UTF-8")
    running.finish()
    code, told = verified(running, "--all")
    assert (code, told["verified"], told["checked"], told["problems"]) == (0, 33, 33, [])
    code, told = verified(running, os.fsdecode(running.path("small")), "--sample", "7")
    assert (code, told["verified"], told["stored"]) == (0, 7, 30)
    digests = {name: running.server.listing()[running.path(name)].sha256 for name in ("large", "gone")}
    blobs = {name: next((running.server.data / "blobs").rglob(f"{digest}*")) for name, digest in digests.items()}
    os.chmod(blobs["large"], 0o600)
    content = bytearray(blobs["large"].read_bytes())
    content[1_000_000] ^= 1
    blobs["large"].write_bytes(content)
    blobs["gone"].unlink()
    code, told = verified(running, "--all")
    names = {os.path.basename(each["filepath"]): each["code"] for each in told["problems"]}
    assert (code, told["offered_again"]) == (1, 2), told
    assert names["large"] == "server_damaged" and names["gone"] in ("server_damaged", "server_lost")
    running.finish()
    assert_server_equals_tree(running.server, running.tree)
    code, told = verified(running, "--all")
    assert (code, told["verified"]) == (0, 33), told


def test_a_server_that_is_away_is_said(running: World) -> None:
    running.write("a", b"a")
    running.finish()
    running.server.stop()
    refused = running.daemon.cli("verify", "--json")
    assert refused.returncode == 3 and json.loads(refused.stdout)["code"].startswith("server_un")
