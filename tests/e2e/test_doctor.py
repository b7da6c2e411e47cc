"""`pp_assist doctor`: all is well here, and each sabotaged set-up is called by its name."""

import contextlib
import http.client
import http.server
import json
import os
import shutil
import sqlite3
import subprocess
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pp_assist.doctor.bundle import write
from pp_assist.doctor.local import secrets_in
from pp_assist.state import DATABASE
from tests.e2e.conftest import MakeWorld
from tests.e2e.harness import World, clean_environment


def doctor(world: World, *arguments: str, **environment: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code, and each check by its name."""
    command = world.daemon.command("doctor", "--json", "--state-dir", str(world.daemon.state), *arguments)
    done = subprocess.run(
        command, capture_output=True, env=clean_environment(**environment), cwd=world.folder, timeout=170, check=False
    )
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    return done.returncode, {check["name"]: check for check in told["checks"]}


def faults(checks: dict[str, Any]) -> list[str]:
    return [name for name, check in checks.items() if check["status"] == "failed"]


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """A daemon that knows its server, stopped; the server runs."""
    made = make_world()
    made.begin()
    made.write("a", b"a")
    made.finish()
    return made


def test_all_is_well_here(world: World) -> None:
    code, checks = doctor(world)
    assert (code, faults(checks)) == (0, []), checks
    assert {check["status"] for check in checks.values()} == {"ok"}
    assert "afterwards" in checks["kill_and_resume"]["detail"]
    assert set(world.server.listing()) == {world.path("a")}  # what was rehearsed is deleted again


def test_without_a_server_it_brings_its_own(make_world: MakeWorld) -> None:
    code, checks = doctor(make_world())
    assert (code, faults(checks)) == (0, []), checks
    assert "server of its own" in checks["rehearsal"]["detail"]
    assert checks["api_key"]["status"] == checks["database"]["status"] == "skipped"


def test_a_wrong_key(world: World) -> None:
    (key,) = world.server.admin("key", "list")["keys"]
    world.server.admin("key", "revoke", key["id"])
    code, checks = doctor(world)
    assert (code, faults(checks), checks["odd_names"]["status"]) == (1, ["api_key"], "skipped"), checks
    assert "new one" in checks["api_key"]["advice"]


def test_a_server_that_is_down(world: World) -> None:
    world.server.stop()
    code, checks = doctor(world)
    assert (code, faults(checks)) == (1, ["server_reachable"]), checks


def test_a_state_directory_for_everybody_to_read_or_for_nobody_to_write(world: World) -> None:
    os.chmod(world.daemon.state, 0o755)
    os.chmod(world.daemon.state / "api-token", 0o644)
    code, checks = doctor(world, "--quick")
    assert (code, faults(checks)) == (1, ["state_directory", "file_modes"]), checks
    assert "api-token" in checks["file_modes"]["detail"]
    (world.folder / "file").write_text("x")
    code, checks = doctor(world, "--quick", "--state-dir", str(world.folder / "file" / "state"))
    assert (code, faults(checks)) == (1, ["state_directory"]), checks


def test_a_damaged_database(world: World) -> None:
    world.daemon.stop()
    database = world.daemon.state / "assist.db"
    content = bytearray(database.read_bytes())
    content[4096 : len(content) // 2] = os.urandom(len(content) // 2 - 4096)
    database.write_bytes(content)
    code, checks = doctor(world, "--quick")
    assert (code, "database" in faults(checks)) == (1, True), checks


NEW_USER = ["unshare", "--user", "--map-root-user"]
NO_INOTIFY = [*NEW_USER, "sh", "-c", 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"', "sh"]
if shutil.which("unshare") and not subprocess.run([*NO_INOTIFY, "true"], capture_output=True, check=False).returncode:

    def test_a_system_that_tells_of_no_changes(make_world: MakeWorld) -> None:
        world = make_world()
        command = [*NO_INOTIFY, *world.daemon.command("doctor", "--json", "--state-dir", str(world.daemon.state))]
        done = subprocess.run(command, capture_output=True, env=clean_environment(), timeout=170, check=False)
        checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
        assert (done.returncode, faults(checks)) == (1, ["watcher"]), checks
        assert "max_user_instances" in checks["watcher"]["advice"]


class Yesterday(http.server.BaseHTTPRequestHandler):
    """Passes everything on to a server, and says that it is an hour ago."""

    port = 0

    def do_GET(self) -> None:
        onward = http.client.HTTPConnection("127.0.0.1", self.port)
        onward.request("GET", self.path, headers={"Authorization": self.headers["Authorization"]})
        with onward.getresponse() as answer:
            body = answer.read()
            self.send_response_only(answer.status)
            self.send_header("Date", self.date_time_string(int(time.time()) - 3600))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        onward.close()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def yesterday() -> Iterator[http.server.ThreadingHTTPServer]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Yesterday)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_wrong_clock(make_world: MakeWorld, yesterday: http.server.ThreadingHTTPServer) -> None:
    world = make_world()
    world.server.start()
    world.daemon.start()
    Yesterday.port = world.server.port
    world.daemon.use(world.server, f"http://127.0.0.1:{yesterday.server_address[1]}")
    code, checks = doctor(world, "--quick")
    assert (code, faults(checks)) == (1, ["clock"]), checks
    assert "3600 s ahead" in checks["clock"]["detail"] or "ahead of" in checks["clock"]["detail"]


def test_a_setting_that_cannot_be(make_world: MakeWorld) -> None:
    world = make_world()
    world.daemon.state.mkdir(mode=0o700)
    (world.daemon.state / "pp_assist.toml").write_text("[uploader]\nparalel = 3\n")
    code, checks = doctor(world, "--quick")
    assert (code, faults(checks)) == (1, ["configuration"]) and "paralel" in checks["configuration"]["detail"]


def test_the_bundle_has_logs_and_no_secret(world: World) -> None:
    token = (world.daemon.state / "api-token").read_text().strip()
    logs = world.daemon.state / "logs"
    logs.mkdir(exist_ok=True, mode=0o700)
    said = f"key {world.server.key} token={token} http://me:hunter2@example.org Bearer abc.def\nplain words\n"
    (logs / "pp_assist.log").write_text(said)
    os.chmod(logs / "pp_assist.log", 0o600)
    bundle = world.folder / "bundle.zip"
    code, _ = doctor(world, "--quick", "--bundle", str(bundle))
    assert (code, bundle.stat().st_mode & 0o777) == (0, 0o600)
    with zipfile.ZipFile(bundle) as opened:
        texts = {name: opened.read(name).decode() for name in opened.namelist()}
    everything = "\n".join(texts.values())
    for secret in (world.server.key, token, "hunter2", "abc.def"):
        assert secret not in everything
    assert "plain words" in texts["logs/pp_assist.log"] and "[hidden]" in texts["logs/pp_assist.log"]
    assert "putplace-assist" in texts["versions.txt"] and "assist.db" in texts["state_directory.txt"]
    assert json.loads(texts["report.json"])["ok"] and json.loads(texts["settings.json"])["uploader"]
    assert json.loads(texts["status.json"])["running"]


def test_people_are_told_line_by_line(world: World) -> None:
    done = world.daemon.cli("doctor", "--quick")
    assert done.returncode == 0 and "all is well" in done.stdout and "ok      database" in done.stdout, done.stdout


def test_what_opens_a_drop_folder_is_secret_too(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / DATABASE)) as conn:
        conn.executescript("""
            CREATE TABLE servers (api_key TEXT);
            CREATE TABLE drop_folders (password TEXT, passphrase TEXT, announce TEXT);
            INSERT INTO servers VALUES ('of the server');
            INSERT INTO drop_folders VALUES ('of sftp', NULL, '{"url": "https://h/", "secret": "of the api"}');
            INSERT INTO drop_folders VALUES ('', 'of a key', NULL);
        """)
    assert sorted(secrets_in(str(tmp_path))) == ["of a key", "of sftp", "of the api", "of the server"]


def test_a_bundle_is_written_through_nobodys_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    (tmp_path / "bundle.zip.new").symlink_to(victim)
    write(str(tmp_path / "bundle.zip"), "", {"report": {"passphrase": "hidden"}}, [])
    assert victim.read_bytes() == b"untouched"
    with zipfile.ZipFile(tmp_path / "bundle.zip") as bundle:
        assert json.loads(bundle.read("report.json")) == {"passphrase": "[hidden]"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle.zip", "bundle.zip.new", "victim"]
