"""`pp_assist ui`: a link that lets one page in, once, and is known to nobody else."""

import contextlib
import http.client
import json
import os
from pathlib import Path

from tests.e2e.conftest import MakeWorld
from tests.e2e.harness import World

STATE = "--state-dir"


def entered(port: int, ticket: str) -> tuple[int, str]:
    """Show a ticket as the page does; return the status and the cookie."""
    origin = {"Origin": f"http://127.0.0.1:{port}", "Content-Type": "application/json"}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as daemon:
        daemon.request("POST", "/session", json.dumps({"ticket": ticket}), origin)
        with daemon.getresponse() as answer:
            answer.read()
            return answer.status, answer.headers.get("Set-Cookie", "").split(";")[0]


def test_the_link_lets_in_once_and_is_written_nowhere(running: World, tmp_path: Path) -> None:
    daemon = running.daemon
    state = str(running.daemon.state)
    done = daemon.run("ui", "--no-open", "--json", STATE, state)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    before, _, ticket = said["url"].partition("#ticket=")
    assert (before, said["opened"]) == (f"http://127.0.0.1:{daemon.port}/ui", False)
    status, cookie = entered(daemon.port, ticket)
    assert status == 200
    assert entered(daemon.port, ticket)[0] == 401
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=20)) as page:
        page.request("GET", "/status", headers={"Cookie": cookie})
        with page.getresponse() as answer:
            assert answer.status == 200 and b'"running":true' in answer.read()
    assert ticket not in "\n".join(daemon.log_lines())
    printed = daemon.run("ui", "--no-open", STATE, state).stdout.strip()
    assert printed.startswith(f"{before}#ticket=") and "\n" not in printed


def test_it_is_opened_in_the_browser(running: World, tmp_path: Path) -> None:
    browser, seen = tmp_path / "browser", tmp_path / "seen"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {seen}\n')
    browser.chmod(0o755)
    environment = {"BROWSER": f"{browser} %s", "DISPLAY": ":0"}
    os.environ.update(environment)
    try:
        done = running.daemon.run("ui", "--json", STATE, str(running.daemon.state))
    finally:
        for name in environment:
            del os.environ[name]
    assert json.loads(done.stdout)["opened"] is True
    assert "#ticket=" in seen.read_text()


def test_without_a_daemon_the_error_says_so(make_world: MakeWorld) -> None:
    world = make_world()
    done = world.daemon.run("ui", "--json", STATE, str(world.daemon.state))
    assert (done.returncode, json.loads(done.stdout)["code"]) == (3, "not_reachable")
