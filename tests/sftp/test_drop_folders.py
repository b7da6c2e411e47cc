"""Drop folders as a source of the daemon, with real processes on all sides."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.e2e.harness import eventually, request
from tests.sftp.announced_api import SECRET, Api
from tests.sftp.documents import pdf
from tests.sftp.dropped import Dropped, dropped, files_below
from tests.sftp.sftp_servers import Other, SftpServer, running


@pytest.fixture
def folder(server: SftpServer) -> Iterator[Dropped]:
    with dropped(server) as made:
        yield made


@pytest.fixture
def other_folder(other: Other) -> Iterator[Dropped]:
    with dropped(other) as made:
        yield made


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api().start()
    yield made
    made.stop()


def test_what_arrives_is_stored_and_stays_where_it_is(folder: Dropped) -> None:
    shown = folder.begin()
    assert (shown["path"], shown["policy"], shown["recursive"]) == (folder.url, "archive", True)
    expected = {name: folder.drop(name, name.encode() * 1000) for name in ("a.txt", "b ü.bin", "deep/er/c")}
    expected["empty"] = folder.drop("empty", b"")
    (folder.inbox / "writing.part").write_bytes(b"half")
    folder.until_stored(expected)
    shown = folder.until(lambda facts: facts["settled"] == 4)
    assert shown["state"] == "ok"
    assert shown["announcements"] == 0
    why = folder.explain("a.txt")
    assert (why["verdict"], why["receipt"]["sha256"]) == ("stored", expected["a.txt"])
    assert files_below(folder.inbox) == sorted([*expected, "writing.part"])

    (folder.inbox / "a.txt").unlink()  # drop folders empty themselves
    expected["a.txt"] = folder.drop("a.txt", b"another version")
    folder.until_stored(expected)
    (folder.inbox / "a.txt").unlink()
    folder.world.daemon.restart()
    folder.until(lambda facts: facts["last_look_at"] is not None and facts["settled"] == 5)
    folder.world.daemon.scan()
    assert folder.stored() == expected
    done = folder.world.daemon.cli("why", f"{folder.url}/a.txt")
    assert done.returncode == 0, done.stdout + done.stderr


def test_after_its_receipt_a_file_is_moved_aside_for_today(folder: Dropped) -> None:
    folder.begin(after="move", in_progress="../done", patterns=["*.pdf"])
    (folder.inbox / "note.txt").write_bytes(b"not asked for")
    expected = {}
    for round_number in range(2):  # the same names again
        expected = {name: folder.drop(name, pdf(round_number)) for name in ("a.pdf", "sub/b.PDF")}
        folder.until_stored(expected)
        folder.until(lambda facts: facts["settled"] == 2 * (round_number + 1))  # noqa: B023
    assert files_below(folder.inbox) == ["note.txt"]
    today = datetime.now().strftime("%m%d%Y")
    moved = files_below(folder.server.root / "done")
    assert len(moved) == 4
    assert {f"{today}/a.pdf", f"{today}/sub/b.PDF"} <= set(moved)


def test_after_its_receipt_a_file_is_removed_and_not_before(folder: Dropped) -> None:
    folder.begin(after="remove")
    folder.world.server.stop()
    digest = folder.drop("a.txt", b"a" * 100_000)
    shown = folder.until(lambda facts: facts["fetched"] == 1)
    assert (shown["settled"], os.listdir(folder.inbox)) == (0, ["a.txt"])
    assert folder.explain("a.txt")["verdict"] == "pending"
    folder.world.server.start()
    eventually(lambda: os.listdir(folder.inbox) == [], 60)
    assert folder.stored() == {"a.txt": digest}


def test_where_nothing_may_be_renamed_nothing_is_removed_and_it_is_said_why(tmp_path: Path) -> None:
    server = Other(tmp_path / "server")
    server.options = ("--no-rename",)
    with running(server), dropped(server) as folder:
        folder.begin(after="remove")
        folder.until_stored({"a.txt": folder.drop("a.txt", b"stays")})
        shown = folder.until(lambda facts: facts["refused"])
        assert (shown["moving"], shown["settled"]) == (1, 0)
        assert "a.txt" in shown["refusal"] and "no renaming here" in shown["refusal"]
        assert (folder.inbox / "a.txt").read_bytes() == b"stays"


def test_what_arrived_is_announced_once_it_is_moved(folder: Dropped, api: Api) -> None:
    announce = {"url": api.url, "secret": SECRET, "project_id": "p", "profile_code": "x", "batch_size": 5}
    folder.begin(after="move", announce=announce, patterns=["*.pdf"])
    (folder.inbox / "half.pdf").write_bytes(pdf()[:2000])
    digests = {f"{n}.pdf": folder.drop(f"{n}.pdf", pdf(n)) for n in range(7)}
    eventually(lambda: api.filenames == sorted(digests), 40)
    files = [file for call in api.taken.values() for file in call["files"]]
    assert {file["filename"]: file["sha256"] for file in files} == digests
    assert all(len(call["files"]) <= 5 for call in api.calls)
    assert {call["profile_code"] for call in api.calls} == {"x"}
    today = datetime.now().strftime("%m%d%Y")
    assert all(file["backup_path"].endswith(f"/in/in_progress/{today}/{file['filename']}") for file in files)
    assert len({file["id"] for file in files}) == 7
    assert folder.until(lambda facts: facts["not_whole"] == 1)["announcements"] == 0
    why = folder.explain("half.pdf")
    assert (why["verdict"], why["reason"]["code"]) == ("pending", "not_whole")
    with open(folder.inbox / "half.pdf", "ab") as file:
        file.write(pdf()[2000:])
    eventually(lambda: "half.pdf" in api.filenames, 30)


def test_an_api_that_is_down_is_told_later(other_folder: Dropped, api: Api) -> None:
    api.stop()
    other_folder.begin(announce={"url": api.url, "secret": SECRET})
    other_folder.drop("a.txt", b"a")
    shown = other_folder.until(lambda facts: facts["announcements"] == 1 and facts["announcement_problem"])
    assert shown["settled"] == 1
    other_folder.world.daemon.kill()
    api.start()
    other_folder.world.daemon.start()
    eventually(lambda: api.filenames == ["a.txt"], 30)
    assert other_folder.until(lambda facts: facts["announcements"] == 0)["announcement_problem"] is None


def test_a_server_that_is_away_is_found_again(folder: Dropped) -> None:
    folder.begin()
    folder.until(lambda facts: facts["last_look_at"] is not None)
    folder.server.kill()
    shown = folder.until(lambda facts: facts["state"] == "sftp_unreachable")
    assert shown["problem"]
    done = folder.world.daemon.cli("paths")
    assert "unhealthy" in done.stdout
    assert folder.world.daemon.ask("GET", "/health")["status"] == "ok"
    digest = folder.drop("a.txt", b"a")
    folder.server.start()
    folder.until_stored({"a.txt": digest}, 60)


def test_what_cannot_be_watched_is_refused_with_a_reason(other_folder: Dropped) -> None:
    world = other_folder.world
    world.server.start()
    world.daemon.start()

    def refused(path: str, **options: object) -> str:
        sftp = {**other_folder.options, **options}
        body = {"path": path, "sftp": {name: value for name, value in sftp.items() if value is not None}}
        reply = request(world.daemon.port, "POST", "/paths", world.daemon.token, body)
        assert 400 <= reply.status < 500
        assert "correct horse" not in reply.body.decode()
        return str(reply.json()["code"])

    other_folder.server.log.write_text("")
    assert refused(other_folder.url, host_key=None, known_hosts="/nonexistent") == "host_key_unknown"
    assert refused(other_folder.url, host_key="SHA256:" + "A" * 43) == "host_key_refused"
    assert other_folder.server.passwords_seen() == []  # type: ignore[attr-defined]
    assert refused(other_folder.url, password="wrong") == "sftp_login_refused"
    assert refused(other_folder.url.replace("/in", "/none")) == "sftp_refused"
    assert refused(f"sftp://partner:secret@127.0.0.1:{other_folder.server.port}/in") == "path_not_usable"
    assert refused("sftp://partner@127.0.0.1:1/in") == "sftp_unreachable"
    assert refused(other_folder.url, in_progress="x") == "path_not_usable"
    assert refused(other_folder.url, announce={"url": "http://example.com/"}) == "path_not_usable"
    assert world.daemon.ask("GET", "/paths")["paths"] == []
    path_id = other_folder.add()["id"]
    assert refused(other_folder.url) == "path_exists"
    assert refused(other_folder.url + "/deeper") == "path_overlaps"
    shown = world.daemon.ask("GET", "/paths")
    assert "correct horse" not in str(shown)
    world.daemon.ask("DELETE", f"/paths/{path_id}")
    eventually(lambda: not list((world.daemon.state / "spool").iterdir()))  # watching it may just have begun
    other_folder.add()
    watched = os.fsencode(world.folder)  # the daemon's own folder in it is left out, and the spool there its own root
    world.daemon.watch(watched)


def test_a_second_life_of_the_same_folder_brings_nothing_twice(other_folder: Dropped, api: Api) -> None:
    shown = other_folder.begin(announce={"url": api.url, "secret": SECRET})
    digest = other_folder.drop("a.txt", b"a")
    eventually(lambda: api.filenames == ["a.txt"], 30)
    other_folder.world.daemon.ask("DELETE", f"/paths/{shown['id']}")
    other_folder.add(announce={"url": api.url, "secret": SECRET})
    other_folder.drop("b.txt", b"b")
    eventually(lambda: api.filenames == ["a.txt", "b.txt"], 30)
    assert other_folder.stored()["a.txt"] == digest


def add_and_wait(folder: Dropped, *more: str) -> "subprocess.CompletedProcess[str]":
    password = folder.world.folder / "password"
    password.write_text(str(folder.options["password"]))
    login = ["--password-file", str(password), "--host-key", str(folder.options["host_key"])]
    return folder.world.daemon.cli("add", folder.url, "--wait", *login, *more)


def test_it_is_waited_until_what_is_there_is_stored_and_moved(other_folder: Dropped) -> None:
    folder = other_folder
    expected = {f"{number}.pdf": folder.drop(f"{number}.pdf", pdf(number)) for number in range(3)}
    folder.world.server.start()
    folder.world.daemon.start()
    folder.world.daemon.use(folder.world.server)
    done = add_and_wait(folder, "--after", "move", "--in-progress", "../done")
    assert (done.returncode, "3 of 3 files stored" in done.stdout) == (0, True), done.stdout + done.stderr
    assert folder.stored() == expected
    assert os.listdir(folder.inbox) == []
    folder.drop("3.pdf", pdf(3))
    (folder.inbox / "half.pdf").write_bytes(pdf(4)[:1000])
    again = add_and_wait(folder)  # it is watched already
    assert (again.returncode, "some is missing" in again.stdout) == (5, True), again.stdout + again.stderr
    assert len(folder.stored()) == 4


def test_what_is_below_and_what_rules_leave_out_is_not_fetched(other_folder: Dropped) -> None:
    folder = other_folder
    expected = {"a.txt": folder.drop("a.txt", b"a")}
    folder.drop("below/b.txt", b"b")
    folder.drop("Thumbs.db", b"junk")
    folder.drop("c.log", b"log")
    folder.world.server.start()
    folder.world.daemon.start()
    folder.world.daemon.use(folder.world.server)
    body = {"path": folder.url, "recursive": False, "exclude": ["*.log"], "sftp": folder.options}
    shown = folder.world.daemon.ask("POST", "/paths", body)
    assert shown["recursive"] is False
    facts = folder.until(lambda facts: facts["settled"] == 1 and facts["arriving"] == 0)
    assert (facts["left_out"], facts["found"], facts["fetched"]) == (2, 0, 0)
    assert folder.stored() == expected
    assert folder.explain("c.log")["verdict"] == "excluded"
    assert folder.world.daemon.ask("GET", "/status")["summary"]["state"] == "up_to_date"


@pytest.mark.parametrize("after", ["leave", "move"])
def test_the_spool_is_cleared_and_that_is_no_deletion(other: Other, after: str) -> None:
    with dropped(other, PP_ASSIST_SFTP__SPOOL_DAYS="0") as folder:
        folder.begin(after=after)
        expected = {name: folder.drop(name, name.encode()) for name in ("a.txt", "deep/er/b.txt")}
        folder.until_stored(expected)
        spool = folder.world.daemon.state / "spool"
        eventually(lambda: list(spool.glob("*/files/*")) == [], 40)
        folder.world.daemon.scan()
        why = folder.explain("a.txt")
        assert (why["verdict"], why["reason"]["code"]) == ("stored", "spool_cleared")
        folder.world.daemon.restart()
        folder.until(lambda facts: facts["last_look_at"] is not None and facts["arriving"] == 0)
        folder.world.daemon.scan()
        assert folder.stored() == expected
        assert list(spool.glob("*/files/*")) == []
        assert folder.world.server.stats()["deletions"] == 0
        assert folder.world.daemon.ask("GET", "/deletions")["total"] == 0


def test_a_server_that_falls_silent_keeps_no_daemon_from_ending(other_folder: Dropped) -> None:
    other_folder.begin()
    other_folder.until(lambda facts: facts["last_look_at"] is not None)
    assert other_folder.server.process is not None
    other_folder.server.process.send_signal(signal.SIGSTOP)
    try:
        time.sleep(1.0)  # it is being looked at
        began = time.monotonic()
        assert other_folder.world.daemon.ask("GET", "/paths")["total"] == 1
        assert other_folder.world.daemon.stop() == 0
        assert time.monotonic() - began < 10
    finally:
        other_folder.server.process.send_signal(signal.SIGCONT)
