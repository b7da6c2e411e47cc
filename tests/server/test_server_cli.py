"""The program as people and scripts run it: processes, exit codes, signals."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import content, sha

ROOT = Path(__file__).parents[2]
ENV = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
COMMAND = [sys.executable, "-m", "pp_server"]


def run(*arguments: str, cwd: Path, code: int = 0, **env: str) -> str:
    done = subprocess.run(
        [*COMMAND, *arguments], cwd=cwd, env=ENV | env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


class Process:
    """A server in its own process."""

    def __init__(self, data_dir: Path, cwd: Path, *arguments: str) -> None:
        command = [*COMMAND, "run", "--data-dir", str(data_dir), "--port", "0", *arguments]
        self.process = subprocess.Popen(
            command, cwd=cwd, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        self.ready = self.process.stdout.readline()

    @property
    def url(self) -> str:
        return self.ready.split()[3]

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def begin(data_dir: Path, *arguments: str) -> Process:
        started.append(Process(data_dir, tmp_path, *arguments))
        return started[-1]

    yield begin
    for process in started:
        if process.process.poll() is None:
            process.stop(signal.SIGKILL)


def key(data_dir: Path, cwd: Path, *more: str) -> dict[str, Any]:
    return json.loads(run("key", "create", "--data-dir", str(data_dir), "--name", "bob", "--json", *more, cwd=cwd))


def upload(http: httpx.Client, path: str, data: bytes) -> httpx.Response:
    started = http.post("/api/uploads/initiate", json={"filepath": path, "sha256": sha(data), "file_size": len(data)})
    upload_id = started.json()["upload_id"]
    for first, last in started.json()["missing"]:
        assert (first, last) == (0, 0)
        assert http.put(f"/api/uploads/{upload_id}/chunk/0", content=data).status_code == 200
    return http.post(f"/api/uploads/{upload_id}/complete")


def test_commands_work_without_and_beside_a_running_server(tmp_path: Path, start) -> None:
    data_dir = tmp_path / "data"
    first = key(data_dir, tmp_path)
    assert list(first) == ["id", "name", "owner", "scopes", "created_at", "api_key"]
    assert (first["name"], first["owner"], first["scopes"]) == ("bob", "bob", ["upload", "read", "delete"])
    assert data_dir.stat().st_mode & 0o777 == 0o700

    server = start(data_dir)
    assert server.ready == f"pp_server ready on {server.url} (data in {data_dir})\n"
    assert (data_dir / "admin.sock").stat().st_mode & 0o777 == 0o600
    second = key(data_dir, tmp_path, "--owner", "eve", "--scope", "read", "--host", "h1")
    assert (second["owner"], second["scopes"]) == ("eve", ["read"])

    data = content(100)
    with httpx.Client(base_url=server.url, headers={"X-API-Key": first["api_key"]}) as http:
        assert upload(http, "/a", data).status_code == 200
        assert http.get(f"/api/files/{sha(data)}/content").content == data
        stats = json.loads(run("stats", "--data-dir", str(data_dir), "--json", cwd=tmp_path))
        wanted = ("files", "bytes_stored", "bytes_received", "bytes_duplicate", "chunks_received")
        assert [stats[name] for name in wanted] == [1, 100, 100, 0, 1]
        assert stats["fsyncs"] > 0

        body = {"filepath": "/b", "sha256": sha(b"x"), "file_size": 1}
        upload_id = http.post("/api/uploads/initiate", json=body).json()["upload_id"]
        run("session", "expire", "--data-dir", str(data_dir), upload_id, cwd=tmp_path)
        assert http.put(f"/api/uploads/{upload_id}/chunk/0", content=b"x").status_code == 410

        run("key", "revoke", "--data-dir", str(data_dir), first["id"], cwd=tmp_path)
        assert http.get("/api/files").status_code == 401
    assert "there is no key" in run("key", "revoke", "--data-dir", str(data_dir), "nope", cwd=tmp_path, code=1)
    assert server.stop() == 0

    listed = json.loads(run("key", "list", "--data-dir", str(data_dir), "--json", cwd=tmp_path))["keys"]
    assert [(k["id"], k["revoked_at"] is None) for k in listed] == [(first["id"], False), (second["id"], True)]
    assert listed[0]["last_used_at"]
    assert json.loads(run("stats", "--data-dir", str(data_dir), "--json", cwd=tmp_path))["files"] == 1
    assert "files" in run("stats", "--data-dir", str(data_dir), cwd=tmp_path)
    assert "admin.sock" not in os.listdir(data_dir)


def test_a_second_server_on_the_same_data_refuses(tmp_path: Path, start) -> None:
    data_dir = tmp_path / "data"
    start(data_dir)
    said = run("run", "--data-dir", str(data_dir), "--port", "0", cwd=tmp_path, code=4)
    assert "Another server is running" in said


def test_a_port_in_use_is_refused(tmp_path: Path, start) -> None:
    port = start(tmp_path / "one").url.rsplit(":", 1)[1]
    said = run("run", "--data-dir", str(tmp_path / "two"), "--port", port, cwd=tmp_path, code=4)
    assert "Cannot listen" in said


def test_an_interrupt_stops_it_in_good_order(tmp_path: Path, start) -> None:
    assert start(tmp_path / "data").stop(signal.SIGINT) == 0


def test_killed_and_started_again_it_still_has_everything_and_counts_on(tmp_path: Path, start) -> None:
    data_dir = tmp_path / "data"
    headers = {"X-API-Key": key(data_dir, tmp_path)["api_key"]}
    server = start(data_dir)
    with httpx.Client(base_url=server.url, headers=headers) as http:
        receipt = upload(http, "/a", b"data").json()["receipt"]
    assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    server = start(data_dir)
    with httpx.Client(base_url=server.url, headers=headers) as http:
        assert [f["filepath"] for f in http.get("/api/files").json()["files"]] == ["/a"]
        later = upload(http, "/b", b"more").json()["receipt"]
    assert later["sequence"] > receipt["sequence"]
    stats = json.loads(run("stats", "--data-dir", str(data_dir), "--json", cwd=tmp_path))
    assert (stats["bytes_received"], stats["chunks_received"]) == (8, 2)


def test_a_stop_does_not_wait_for_a_stuck_client_for_ever(tmp_path: Path, start) -> None:
    toml = tmp_path / "some.toml"
    toml.write_text("shutdown_seconds = 1\n")
    data_dir = tmp_path / "data"
    api_key = key(data_dir, tmp_path)["api_key"]
    server = start(data_dir, "--config", str(toml))
    with httpx.Client(base_url=server.url, headers={"X-API-Key": api_key}) as http:
        body = {"filepath": "/a", "sha256": sha(b"xx"), "file_size": 2}
        upload_id = http.post("/api/uploads/initiate", json=body).json()["upload_id"]
    import socket

    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as stuck:
        head = f"PUT /api/uploads/{upload_id}/chunk/0 HTTP/1.1\r\nHost: x\r\nX-API-Key: {api_key}\r\n"
        stuck.sendall(f"{head}Content-Length: 2\r\n\r\nx".encode())
        assert server.stop() == 0


def test_a_data_directory_with_a_long_path_can_be_administered(tmp_path: Path, start) -> None:
    data_dir = tmp_path / ("long" * 30) / "data"
    start(data_dir)
    assert key(data_dir, tmp_path)["api_key"].startswith("pp_")


@pytest.mark.parametrize(
    ("arguments", "env", "code", "said"),
    [
        (("run", "--nope"), {}, 2, "--nope"),
        (("key", "create"), {}, 2, "--name"),
        (("stats",), {"PP_SERVER_UPLAODS__X": "1"}, 2, "PP_SERVER_UPLAODS__X"),
        (("stats",), {"PP_SERVER_PORT": "x"}, 2, "port"),
        (("stats", "--config", "none.toml"), {}, 2, "none.toml"),
        (("key", "create", "--name", " "), {}, 1, "name"),
        (("session", "expire", "nope"), {}, 1, "no open upload"),
    ],
)
def test_mistakes_are_named_with_an_exit_code(
    tmp_path: Path, arguments: tuple[str, ...], env: dict[str, str], code: int, said: str
) -> None:
    (tmp_path / "data").mkdir()
    env = {"PP_SERVER_DATA_DIR": str(tmp_path / "data"), **env}
    assert said in run(*arguments, cwd=tmp_path, code=code, **env)


@pytest.mark.parametrize("command", [("stats",), ("key", "list"), ("key", "revoke", "x"), ("session", "expire", "x")])
def test_a_mistyped_data_directory_does_not_become_an_empty_server(tmp_path: Path, command: tuple[str, ...]) -> None:
    assert "no such data directory" in run(*command, "--data-dir", str(tmp_path / "typo"), cwd=tmp_path, code=1)
    assert not (tmp_path / "typo").exists()


def test_a_lock_without_an_answering_server_is_unreachable(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    holder = "import sys, os, fcntl, time; fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT); "
    holder += "fcntl.flock(fd, fcntl.LOCK_EX); print('held', flush=True); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(data_dir / "LOCK")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert "starting or stopping" in run("stats", "--data-dir", str(data_dir), cwd=tmp_path, code=3)
        process.kill()


def test_the_store_is_checked_and_its_records_are_made_again(start: Callable[..., Process], tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    at = ["--data-dir", str(data_dir), "--json"]
    key = json.loads(run("key", "create", "--name", "bob", *at, cwd=tmp_path))["api_key"]
    server = start(data_dir)
    put = {"op": "put", "filepath": "/a", "gen": 1, "sha256": sha(b"data"), "file_size": 4, "content": "inline"}
    body = json.dumps({"operations": [put]}).encode() + b"\ndata"
    answer = httpx.post(f"{server.url}/api/batch", content=body, headers={"X-API-Key": key}, trust_env=False)
    assert answer.json()["results"][0]["status"] == "stored"
    assert json.loads(run("check", *at, cwd=tmp_path))["blobs"] == 1, "beside the running server"
    assert json.loads(run("compact", *at, cwd=tmp_path))["rewritten"] == 0
    assert "running" in run("rebuild", "--force", *at, cwd=tmp_path, code=4)
    assert "running" in run("receipts", "new-key", *at, cwd=tmp_path, code=4)
    server.stop()
    assert "--force" in run("rebuild", *at, cwd=tmp_path, code=4)
    (data_dir / "meta" / "pp.db").unlink()
    assert "rebuild" in run("stats", *at, cwd=tmp_path, code=4)
    assert json.loads(run("rebuild", *at, cwd=tmp_path))["versions"] == 1
    stats = json.loads(run("stats", *at, cwd=tmp_path))
    assert (stats["files"], stats["bytes_stored"]) == (1, 4)
    (pack,) = (data_dir / "packs").iterdir()
    pack.chmod(0o600)
    pack.write_bytes(pack.read_bytes()[:-1] + b"x")
    done = subprocess.run([*COMMAND, "check", *at], cwd=tmp_path, env=ENV, capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout)["damaged"]) == (1, [sha(b"data")])
    new = json.loads(run("receipts", "new-key", *at, cwd=tmp_path))
    assert new["key_id"] != new["previous_key_id"]
