"""What `make dist` makes is installed and started where nothing else is."""

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
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


def test_each_of_them_is_enough(tmp_path: Path) -> None:
    dist = tmp_path / "dist"
    run("make", "-C", ROOT, "dist", f"DIST={dist}")
    for each in (the_wheel, the_one_file, by_pipx):
        folder = tmp_path / each.__name__
        folder.mkdir()
        each(dist, folder)


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
        daemon.request("GET", "/ui")
        with daemon.getresponse() as answer:
            start = answer.read().decode()
        script = re.search(r'src="(/ui/assets/[^"]+[.]js)"', start)
        assert script, start
        daemon.request("GET", script[1])
        with daemon.getresponse() as answer:
            assert (answer.status, len(answer.read()) > 10_000) == (200, True)
        daemon.close()
    finally:
        run(*command, "stop", *state, **environment)


def the_wheel(dist: Path, folder: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    (sdist,) = dist.glob("*.tar.gz")
    assert sdist.stat().st_size > 100_000
    with tarfile.open(sdist) as packed:
        named = {name.partition("/")[2] for name in packed.getnames()}
    with zipfile.ZipFile(wheel) as packed_wheel:
        page = [name for name in packed_wheel.namelist() if name.startswith("pp_assist/ui/")]
    assert "pp_assist/ui/built/index.html" in page
    assert {"pp_assist/ui/built/index.html", "pp_assist/ui/source/package.json"} <= named
    assert not [name for name in page if "/source/" in name], "what the page is made of is no use to whoever runs it"
    assert not [name for name in named if "node_modules" in name]
    run(sys.executable, "-m", "venv", folder / "venv")
    binaries = folder / "venv" / "bin"
    run(binaries / "pip", "install", "--quiet", wheel)
    for program in PROGRAMS:
        assert run(binaries / program, "--version").stdout.startswith(f"{program} ")
    starts_and_stops([str(binaries / "pp_assist")], folder)
    run(binaries / "pp_server", "key", "create", "--data-dir", folder / "data", "--name", "me")
    assert "complete" in run(binaries / "pp_assist", "completion", "bash").stdout


def the_one_file(dist: Path, folder: Path) -> None:
    alone = shutil.copy(dist / "pp_assist.pyz", folder / "pp_assist.pyz")
    root = {"SHIV_ROOT": str(folder / "unpacked")}
    assert run(sys.executable, "-I", alone, "--version", **root).stdout.startswith("pp_assist ")
    assert os.access(alone, os.X_OK)
    starts_and_stops([sys.executable, str(alone)], folder, **root)
    unit = run(sys.executable, alone, "install-service", "--print", **root).stdout
    assert sys.platform != "linux" or f'"{alone}" "run"' in unit


def by_pipx(dist: Path, folder: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    if (pipx := shutil.which("pipx")) is None:
        run(sys.executable, "-m", "venv", folder / "venv")
        run(folder / "venv" / "bin" / "pip", "install", "--quiet", "pipx")
        pipx = str(folder / "venv" / "bin" / "pipx")
    where = {"PIPX_HOME": str(folder / "pipx"), "PIPX_BIN_DIR": str(folder / "bin")}
    run(pipx, "install", "--python", sys.executable, wheel, **where)
    for program in PROGRAMS:
        assert run(folder / "bin" / program, "--version").stdout.startswith(f"{program} ")
