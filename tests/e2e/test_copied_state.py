"""Real processes: a state directory is copied, and both daemons run."""

import contextlib
import os
import shutil

from tests.e2e.harness import Daemon, Server, World, eventually


def greet_again(daemon: Daemon, server: Server, name: str) -> None:
    """Have the daemon ask the server anew who it is: it is another one to it."""
    added = daemon.ask("POST", "/servers", {"name": name, "url": server.url, "api_key": server.key, "is_default": True})

    def answered() -> bool:
        servers = daemon.ask("GET", "/servers")["servers"]
        return any(one["id"] == added["id"] and (one["last_contact_at"] or one["state"] != "ok") for one in servers)

    eventually(answered)


def warnings_of(daemon: Daemon) -> list[str]:
    try:
        return [warning["code"] for warning in daemon.ask("GET", "/status")["warnings"]]
    except OSError:
        return []


def test_one_of_two_daemons_becomes_another_host(running: World) -> None:
    for number in range(10):
        running.write(f"{number}", os.urandom(2000))
    running.finish()
    one, server = running.daemon, running.server
    assert one.stop() == 0
    two = Daemon(running.folder / "copied")
    shutil.copytree(one.state, two.state, dirs_exist_ok=True)
    host_id = (one.state / "host-id").read_text()
    try:
        one.start()
        greet_again(one, server, "first")
        two.start()
        for number in range(5):
            if (two.state / "host-id").read_text() != host_id:
                break
            with contextlib.suppress(OSError):  # it begins anew, under another name
                greet_again(two, server, f"two {number}")
            greet_again(one, server, f"one {number}")
        eventually(lambda: (two.state / "host-id").read_text() != host_id)
        assert (one.state / "host-id").read_text() == host_id
        eventually(lambda: warnings_of(two) == ["host_renewed"])
        two.finish(running.tree)
        one.finish(running.tree)
        assert two.bytes_sent == 0, "the server has all that is in the files"
        listed = server.admin("stats")["files"]
        assert listed == 20, "each daemon's files are its own"
    finally:
        two.close()
