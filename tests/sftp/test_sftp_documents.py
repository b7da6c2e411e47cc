"""What docs/sftp.md shows is run as it stands; only names of this test's server are put in."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pp_assist.sftp.variables import NAMES
from tests.sftp.announced_api import SECRET, Api
from tests.sftp.documents import pdf
from tests.sftp.sftp_servers import PASSWORD, USER, Other

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sftp.md").read_text()
PYTHON = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
CONSOLE = [
    line
    for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.split("\n")
]


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT), **more}


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_the_programs_run(other: Other, tmp_path: Path, number: int) -> None:
    (other.root / "in").mkdir()
    program = PYTHON[number].replace('"2222"', f'"{other.port}"')
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] in ("no signature fits", "9 True")


def test_the_commands_of_sftp_run(other: Other, tmp_path: Path) -> None:
    """Those that need no daemon; the daemon's are in test_drop_folders."""
    api = Api().start()
    (other.root / "in").mkdir()
    (other.root / "in" / "a.pdf").write_bytes(pdf())
    (tmp_path / "secret").write_text(f"{PASSWORD}\n")
    (tmp_path / "signing").write_text(f"{SECRET}\n")
    commands = [line.removeprefix("$ ") for line in CONSOLE if line.startswith("$ pp_assist sftp ")]
    assert [line.split()[2] for line in commands] == ["test", "ls", "poll"]
    said = []
    for line in commands:
        words = line.replace(":2222", f":{other.port}").replace("SHA256:...", other.fingerprint)
        words = words.replace("http://127.0.0.1:3333/process", f"{api.url} --secret-file signing")
        done = subprocess.run(
            [sys.executable, "-m", *words.split()],
            cwd=tmp_path,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    assert other.fingerprint in said[0]
    assert re.match(r"\+ file +\d+  a.pdf\n$", said[1])
    assert api.filenames == ["a.pdf"]
    api.stop()


@pytest.mark.parametrize(
    ("url", "more", "code", "text"),
    [
        ("sftp://{user}@127.0.0.1:{port}/in", ["--host-key", "SHA256:" + "A" * 43], 4, "nothing was sent"),
        ("sftp://{user}@127.0.0.1:{port}/in", [], 4, "is not known"),
        ("sftp://{user}@127.0.0.1:1/in", [], 3, "127.0.0.1"),
        ("sftp://{user}:secret@127.0.0.1/in", [], 2, "password"),
        ("/in", [], 2, "sftp://"),
    ],
)
def test_what_is_said_when_it_fails(
    other: Other, tmp_path: Path, url: str, more: list[str], code: int, text: str
) -> None:
    words = ["sftp", "test", url.format(user=USER, port=other.port), "--password-file", "-", *more]
    done = subprocess.run(
        [sys.executable, "-m", "pp_assist", *words], input="pw\n", cwd=tmp_path, env=environment(tmp_path),
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


def test_a_poll_reads_its_password_once_and_says_when_it_fails(other: Other, tmp_path: Path) -> None:
    def poll(folder: str) -> "subprocess.CompletedProcess[str]":
        url = f"sftp://{USER}@127.0.0.1:{other.port}/"
        words = ["sftp", "poll", url, "--password-file", "-", "--host-key", other.fingerprint, "--source-files", folder]
        words += ["--in-progress", "done", "--api-url", "http://127.0.0.1:1/"]
        return subprocess.run(
            [sys.executable, "-m", "pp_assist", *words], input=f"{PASSWORD}\n", cwd=tmp_path,
            env=environment(tmp_path), capture_output=True, text=True,
        )  # fmt: skip

    (other.root / "in").mkdir()
    done = poll("in")
    assert done.returncode == 0, done.stderr
    done = poll("no such folder")
    assert done.returncode == 4
    assert "Traceback" not in done.stderr


def test_every_variable_and_method_is_documented() -> None:
    from pp_assist.sftp import SftpService

    assert all(f"`{name}`" in PAGE for name in NAMES)
    methods = {name for name in vars(SftpService) if not name.startswith("_")}
    assert methods == set(re.findall(r"^\| `(?:await )?(\w+)\(", PAGE, re.MULTILINE))
