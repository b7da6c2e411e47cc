"""Both programs can at least be imported where POSIX modules do not exist, and the daemon stays small."""

import pkgutil
import subprocess
import sys

import pytest

HIDE = """
import sys
for name in ("fcntl", "pwd", "grp", "resource"):
    sys.modules[name] = None
import importlib
for name in {names!r}:
    importlib.import_module(name)
"""


def modules(package: str) -> list[str]:
    found = __import__(package)
    names = [m.name for m in pkgutil.walk_packages(found.__path__, f"{package}.")]
    return [name for name in names if not name.endswith("__main__") and ".migrations" not in name]


@pytest.mark.parametrize("package", ["pp_assist", "pp_server"])
def test_everything_imports_without_posix_modules(package: str) -> None:
    code = HIDE.format(names=modules(package))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_running_daemon_imports_only_what_it_needs() -> None:
    code = "import pp_assist.cli, pp_assist.daemon, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {"sqlalchemy", "alembic", "rich", "typer", "boto3", "aiobotocore", "paramiko", "asyncssh"}
    ours = {name for name in done.stdout.split() if name.startswith("pp_server.")}
    assert all(name.startswith("pp_server.wire") for name in ours), ours


def test_asking_the_daemon_starts_quickly_because_it_imports_little() -> None:
    code = "import pp_assist.cli, pp_assist.asking, pp_assist.settings, pp_assist.state, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {"fastapi", "uvicorn", "httpx", "watchdog", "aiosqlite", "uvloop", "rich", "shtab"}


def test_asking_the_server_starts_quickly_because_it_imports_little() -> None:
    code = "import pp_server.cli, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {"fastapi", "uvicorn", "httpx", "sqlalchemy", "uvloop"}
