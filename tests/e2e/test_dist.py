"""What `make dist` makes is installed and started where nothing else is."""

import http.client
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.harness import clean_environment

ROOT = Path(__file__).parents[2]
PROGRAMS = ("pp_assist", "pp_server", "pp_client")

pytestmark = pytest.mark.timeout(900)  # packages are fetched and unpacked


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = clean_environment(
        PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_CONSTRAINT=str(ROOT / "config" / "constraints.txt")
    )
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, env=clean | environment, timeout=600, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run("make", "-C", ROOT, "dist", f"DIST={folder}")
    return folder


def starts_and_stops(command: list[str], folder: Path, **environment: str) -> None:
    """Start the daemon by *command*, ask it by HTTP, and stop it."""
    state = ["--state-dir", str(folder / "state")]
    started = json.loads(run(*command, "start", "--port", "0", "--json", *state, **environment).stdout)
    try:
        port = int(started["url"].rsplit(":", 1)[1])
        daemon = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        daemon.request("GET", "/health")
        with daemon.getresponse() as answer:
            assert json.loads(answer.read())["status"] == "ok"
        daemon.close()
    finally:
        run(*command, "stop", *state, **environment)


def test_the_wheel_is_enough(dist: Path, tmp_path: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    (sdist,) = dist.glob("*.tar.gz")
    assert sdist.stat().st_size > 100_000
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    binaries = tmp_path / "venv" / "bin"
    run(binaries / "pip", "install", "--quiet", wheel)
    for program in PROGRAMS:
        assert run(binaries / program, "--version").stdout.startswith(f"{program} ")
    starts_and_stops([str(binaries / "pp_assist")], tmp_path)
    run(binaries / "pp_server", "key", "create", "--data-dir", tmp_path / "data", "--name", "me")
    assert "complete" in run(binaries / "pp_assist", "completion", "bash").stdout


def test_the_one_file_is_enough(dist: Path, tmp_path: Path) -> None:
    alone = shutil.copy(dist / "pp_assist.pyz", tmp_path / "pp_assist.pyz")
    root = {"SHIV_ROOT": str(tmp_path / "unpacked")}
    assert run(sys.executable, "-I", alone, "--version", **root).stdout.startswith("pp_assist ")
    assert os.access(alone, os.X_OK)
    starts_and_stops([sys.executable, str(alone)], tmp_path, **root)
    unit = run(sys.executable, alone, "install-service", "--print", **root).stdout
    assert sys.platform != "linux" or f'"{alone}" "run"' in unit


if shutil.which("pipx"):

    def test_pipx_takes_the_wheel(dist: Path, tmp_path: Path) -> None:
        (wheel,) = dist.glob("*.whl")
        where = {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "bin")}
        run("pipx", "install", "--python", sys.executable, wheel, **where)
        for program in PROGRAMS:
            assert run(tmp_path / "bin" / program, "--version").stdout.startswith(f"{program} ")
