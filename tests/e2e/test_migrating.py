"""Every command in docs/migrating.md does what the page says, from top to bottom."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from pp_assist.settings import Settings
from tests.e2e.harness import clean_environment, free_port

PAGE = (Path(__file__).parents[2] / "docs" / "migrating.md").read_text()
ROWS = re.findall(r"^\|(.*)\|(.*)\|(.*)\|$", PAGE, re.MULTILINE)
COMMANDS = [found[1] for _, now, _ in ROWS if (found := re.fullmatch(r" `(.+)` ", now))]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    for name in ("Documents", "Pictures", "bin"):
        (tmp_path / name).mkdir()
    (tmp_path / "Documents" / "report.txt").write_text("what matters")
    (tmp_path / "Documents" / "draft.tmp").write_text("what does not")
    (tmp_path / "Pictures" / "one.jpg").write_bytes(b"\xff\xd8")
    programs = {
        "pp_assist": "-m pp_assist",
        "pp_server": "-m pp_server",
        "pp_client": "-m pp_assist.client",
        "python": "",
    }
    for name, arguments in programs.items():
        script = tmp_path / "bin" / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable} {arguments} "$@"\n')
        script.chmod(0o755)
    yield tmp_path


@pytest.mark.timeout(600)
def test_every_command_works(home: Path) -> None:
    assert len(COMMANDS) >= 28
    ports = {port: str(free_port()) for port in ("8100", "8765", "3000")}
    environment = clean_environment(HOME=str(home), PATH=f"{home}/bin:{os.environ['PATH']}")
    environment = {name: value for name, value in environment.items() if not name.startswith("XDG_")}
    running: list[subprocess.Popen[str]] = []
    try:
        for command in COMMANDS:
            line = re.sub(r"\b(8100|8765|3000)\b", lambda found: ports[found[0]], command)
            if line.endswith(" &"):
                process = subprocess.Popen(
                    ["bash", "-c", f"exec {line[:-2]}"], cwd=home, env=environment, text=True,
                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
                )  # fmt: skip
                running.append(process)
                assert process.stdout is not None
                assert "ready on" in process.stdout.readline(), line
                continue
            done = subprocess.run(
                ["bash", "-c", line],
                cwd=home,
                env=environment,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, f"{line}: {done.returncode}\n{done.stdout}{done.stderr}"
        assert (home / "back" / "report.txt").read_text() == "what matters"
        assert (home / "uploads" / "report.txt").read_text() == "what matters"
        assert not (home / ".local" / "state" / "putplace-assist").exists()
    finally:
        for process in running:
            os.killpg(process.pid, signal.SIGTERM)
            assert process.stdout is not None
            process.stdout.close()
            process.wait(30)
        subprocess.run(["bash", "-c", "pp_assist stop"], cwd=home, env=environment, capture_output=True, check=False)


def _names(model: type[BaseModel], above: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _names(kind, f"{above}{name}.")
        else:
            yield above + name


def test_every_setting_is_one() -> None:
    rows = PAGE.partition("| setting before | setting now |")[2].partition("\n\n")[0].splitlines()[2:]
    now = [name for row in rows if "none:" not in row for name in re.findall(r"`([\w.]+)`", row.split("|")[2])]
    assert len(now) >= 14
    assert set(now) <= set(_names(Settings))
