"""The daemon in the background: started, looked at, stopped, removed, by its commands alone."""

import json
import os
import plistlib
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pp_assist.cli_service import plist, unit


def assist(*arguments: str, state: Path, answer: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PP_ASSIST_STATE_DIR": str(state)}
    command = [sys.executable, "-m", "pp_assist", *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False, input=answer
    )


@pytest.fixture
def state(tmp_path: Path):  # type: ignore[no-untyped-def]
    folder = tmp_path / "state"
    yield folder
    assist("stop", state=folder)


def test_it_is_started_looked_at_stopped_and_removed(state: Path) -> None:
    nothing = assist("stop", state=state)
    assert nothing.returncode == 0 and "no daemon" in nothing.stdout
    started = assist("start", "--port", "0", state=state)
    assert started.returncode == 0 and "ready on" in started.stdout, started.stderr
    assert json.loads(assist("status", "--json", state=state).stdout)["running"]
    again = assist("start", "--port", "0", state=state)
    assert again.returncode == 4 and "already running" in again.stderr
    log = state / "logs" / "pp_assist.log"
    assert log.stat().st_mode & 0o777 == 0o600
    assert "daemon on" in assist("logs", state=state).stdout
    assert assist("logs", "-n", "0", state=state).stdout == ""
    refused = assist("purge", "--yes", state=state)
    assert refused.returncode == 4 and "pp_assist stop" in refused.stderr
    restarted = assist("restart", "--port", "0", state=state)
    assert restarted.returncode == 0 and "ready on" in restarted.stdout
    assert assist("stop", state=state).stdout.strip() == "stopped"
    assert assist("status", state=state).returncode == 3
    kept = assist("purge", state=state, answer="no\n")
    assert kept.returncode == 4 and state.exists()
    assert assist("purge", state=state, answer="purge\n").returncode == 0
    assert not state.exists()


def test_why_it_cannot_start_is_said(state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = assist("start", "--port", port, state=state)
    assert refused.returncode == 4 and "is taken" in refused.stderr
    state.mkdir(exist_ok=True)
    (state / "pp_assist.toml").write_text("nonsense = 1\n")
    wrong = assist("start", state=state)
    assert wrong.returncode == 2 and "nonsense" in wrong.stderr


def test_only_a_state_directory_is_removed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    refused = assist("purge", "--yes", state=tmp_path)
    assert refused.returncode == 4 and (tmp_path / "precious").exists()


def test_there_is_no_log_of_a_daemon_in_the_foreground(tmp_path: Path) -> None:
    answer = assist("logs", state=tmp_path)
    assert answer.returncode == 1 and "No such file" in answer.stderr


ANALYZE = shutil.which("systemd-analyze")
HOSTILE = ["/opt/my python/bin/python", "-m", "pp_assist", '/srv/a"b\\c', "/srv/$HOME/%h; rm -rf /"]


def test_nothing_in_a_path_means_anything_in_the_unit() -> None:
    text = unit(HOSTILE, 10.0)
    assert '"/srv/$$HOME/%%h; rm -rf /"' in text and '"/srv/a\\"b\\\\c"' in text


if ANALYZE:

    def test_the_unit_is_what_systemd_takes(tmp_path: Path) -> None:
        path = tmp_path / "putplace-assist.service"
        path.write_text(unit([sys.executable, *HOSTILE[1:]], 10.0))
        environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
        judged = subprocess.run(
            [ANALYZE, "verify", "--user", str(path)], env=environment, capture_output=True, text=True, check=False
        )
        assert (judged.returncode, judged.stderr) == (0, "")


def test_the_agent_is_what_launchd_takes() -> None:
    read = plistlib.loads(plist(HOSTILE, "/log").encode())
    assert read["ProgramArguments"] == HOSTILE
    assert read["KeepAlive"] == {"SuccessfulExit": False}


@pytest.mark.skipif(sys.platform != "linux", reason="systemd")
def test_it_is_installed_and_uninstalled(tmp_path: Path) -> None:
    environment = {"XDG_CONFIG_HOME": str(tmp_path), "PP_ASSIST_STATE_DIR": "/srv/state", "PATH": "/nowhere"}
    place = tmp_path / "systemd" / "user" / "putplace-assist.service"

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pp_assist", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert "ExecStart" in run("install-service", "--print").stdout and not place.exists()
    installed = run("install-service")
    assert installed.returncode == 0 and "not done: systemctl --user daemon-reload" in installed.stdout
    assert "/srv/state" in place.read_text()
    assert run("uninstall-service").returncode == 0 and not place.exists()
    assert run("uninstall-service").returncode == 4
