"""Every module of the server loads where POSIX is missing, and the light ones stay light."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENV = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "pp_server").rglob("*.py")
    if path.name != "__main__.py" and "migrations" not in path.parts
)

HIDDEN = """
import sys
import asyncio, socket, subprocess, uvicorn, alembic, platformdirs  # what the libraries need of POSIX is theirs
for name in ("fcntl", "pwd", "grp", "resource"):
    sys.modules[name] = None
import importlib
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def test_every_module_loads_without_posix() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HIDDEN, *MODULES], env=ENV, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_wire_loads_nothing_of_the_server() -> None:
    code = "import sys, pp_server.wire.messages; print([m for m in sys.modules if 'sqlalchemy' in m or 'fastapi' in m])"
    done = subprocess.run([sys.executable, "-c", code], env=ENV, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
