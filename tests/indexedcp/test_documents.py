"""The documents of IndexedCP: every example in them is run."""

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import free_port
from test_names import TABLE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "indexedcp.md").read_text()
EXAMPLES = ROOT / "docs" / "examples" / "indexedcp"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    bin_ = Path(sys.executable).parent
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("INDEX")},
        "HOME": str(tmp_path),
        "PATH": f"{bin_}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
    }


@pytest.fixture
def serving(tmp_path: Path, environment: dict[str, str]) -> Iterator[int]:
    """`pp_assist indexedcp server`, as the page starts it but for the port."""
    port = free_port()
    command = [sys.executable, "-m", "pp_assist", "indexedcp", "server", str(port), "./uploads", "--api-key", "secret"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        wanted = PAGE.partition("IndexedCP server ready")[2].partition("\n")[0].replace("3000", str(port))
        assert line == f"IndexedCP server ready{wanted}\n"
        yield port
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


def run(code: list[str], cwd: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(code, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_five_minutes_go_as_they_are_written(serving: int, tmp_path: Path, environment: dict[str, str]) -> None:
    [_, session] = re.findall(r"```console\n(.*?)```", PAGE.partition("## In Python")[0], re.DOTALL)
    steps = re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]
    assert len(steps) == 6
    environment |= {"PP": sys.executable}
    for step in steps:
        command, _, wanted = step.partition("\n")
        command = command.replace("3000", str(serving)).replace("pp_assist ", '"$PP" -m pp_assist ')
        assert run(["sh", "-c", command], tmp_path, environment) == wanted, command


def test_the_examples_in_python(serving: int, tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "note.txt").write_text("hello\n")
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    [client, server, synchronous, options] = [block.replace("3000", str(serving)) for block in blocks]
    assert run([sys.executable, "-c", client], tmp_path, environment) == "{'note.txt': 'note.txt'}\n"
    assert run([sys.executable, "-c", synchronous], tmp_path, environment).startswith("{'note.txt': 'note_")
    run([sys.executable, "-c", server.replace("__main__", "imported")], tmp_path, environment)
    run([sys.executable, "-c", f"from pp_server.indexedcp import IndexedCPServer\n{options}"], tmp_path, environment)


def test_the_table_of_path_modes_is_the_one_in_force() -> None:
    rows = {name: row for name, *row in TABLE}
    shown = re.findall(r"^\| `([^,]+?)` \| `T_R_(.+?)` \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)
    assert len(shown) >= 10
    for name, ignore, *others in shown:
        assert ignore in (rows[name][0], "…")
        for text, wanted in zip(others, rows[name][1:], strict=True):
            assert text.startswith("—") if wanted is None else text == f"`{wanted}`"


def test_every_argument_is_in_the_page() -> None:
    import inspect

    from pp_assist.indexedcp import IndexCPClient, IndexedCPClient
    from pp_server.indexedcp import IndexedCPServer

    for kind in (IndexedCPClient, IndexCPClient, IndexedCPServer):
        names = set(inspect.signature(kind).parameters) - {"_", "more", "db_name", "timeout", "encryption", "durable"}
        assert not {name for name in names if name not in PAGE}


@pytest.mark.parametrize("name", ["logger_demo.py", "storage_demo.py"])
def test_a_demo_runs(name: str, tmp_path: Path, environment: dict[str, str]) -> None:
    run([sys.executable, str(EXAMPLES / name)], tmp_path, environment)


def test_the_client_demo_runs_against_the_server_demo(tmp_path: Path, environment: dict[str, str]) -> None:
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, str(EXAMPLES / "server_demo.py"), str(port)],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health").close()
                break
            except OSError:
                time.sleep(0.05)
        said = run(
            [sys.executable, str(EXAMPLES / "client_demo.py"), f"http://127.0.0.1:{port}"], tmp_path, environment
        )
    finally:
        server.terminate()
        server.wait(20)
    assert "large: 4 chunks" in said and "the server is down" in said and "'succeeded': 1" in said
    for name in ("small.txt", "several0.txt", "several1.txt", "several2.txt", "large.bin", "later.txt"):
        assert (tmp_path / "demo_uploads" / name).read_bytes() == (tmp_path / name).read_bytes()


# -- the command line where it has nothing good to say


def test_exit_codes(serving: int, tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "f").write_text("x")

    def code(*arguments: str) -> int:
        command = [sys.executable, "-m", "pp_assist", "indexedcp", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False).returncode

    url = f"http://127.0.0.1:{serving}"
    assert code("add", "missing") == 1
    assert code("upload") == 2
    assert code("add", "f") == 0
    assert code("upload", url) == 1  # no key
    assert code("upload", url, "--api-key", "wrong") == 4
    assert code("upload", "http://127.0.0.1:9", "--api-key", "secret") == 3
    assert code("upload", url, "other", "--api-key", "secret") == 1
    assert code("upload", "--server", url, "f", "--api-key", "secret") == 0
    assert (tmp_path / "uploads" / "f").read_text() == "x"


def test_the_old_import_name(tmp_path: Path, environment: dict[str, str]) -> None:
    folder = run([sys.executable, "-m", "pp_assist", "aliases"], tmp_path, environment).strip()
    code = "from indexedcp import IndexedCPClient, IndexCPClient, IndexedCPServer, create_storage, create_logger"
    run([sys.executable, "-c", code], tmp_path, {**environment, "PYTHONPATH": f"{ROOT}:{folder}"})
    without = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, check=False
    )
    assert without.returncode != 0


def test_the_old_import_name_may_be_installed_and_shadows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import importlib.util
    import sysconfig

    from pp_assist import cli

    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    for arguments, code in ((["--install"], 0), (["--remove"], 0), (["--remove"], 0)):
        with pytest.raises(SystemExit) as ended:
            cli.main(["aliases", *arguments])
        assert ended.value.code == code
        pth = tmp_path / "putplace_aliases.pth"
        assert pth.exists() == ("--install" in arguments)
        assert not pth.exists() or Path(pth.read_text().strip(), "indexedcp.py").is_file()
    other = importlib.util.spec_from_file_location("indexedcp", tmp_path / "indexedcp" / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: other)
    with pytest.raises(SystemExit) as ended:
        cli.main(["aliases", "--install"])
    assert ended.value.code == 4 and "is installed" in capsys.readouterr().err
    assert not pth.exists()
