"""`pp_client ls` and `pp_client get`: everything comes back, bit by bit, and nothing that is there is lost."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.harness import T, World, clean_environment, entries_on_disk, on_disk, request

LARGE = os.urandom(700_000) * 3


def client(world: World, *arguments: str | bytes, key: str | None = None) -> tuple[int, list[dict[str, Any]], str]:
    """Run pp_client; return its exit code, what it printed as JSON, and its complaints."""
    command = [sys.executable, "-m", "pp_assist.client", *arguments]
    command += ["--json", "--server", f"http://127.0.0.1:{world.server.port}"]
    environment = clean_environment(PP_CLIENT_API_KEY=world.server.key if key is None else key)
    done = subprocess.run(command, capture_output=True, env=environment, cwd=world.folder, timeout=60, check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """A server that has a tree, given to it without a daemon."""
    made = make_world()
    made.server.start()
    contents = {
        "a": b"a",
        "empty": b"",
        "sub/deep/b": b"b" * 70_000,
        "sub/copy": b"a",
        "large": LARGE,
        b"caf\xe9": b"x",
    }
    for name, content in contents.items():
        made.write(name, content)
    os.utime(made.path("a"), ns=(5, 1_600_000_000_123_456_789))
    os.chmod(made.path("a"), 0o640)
    assert client(made, os.fsdecode(made.tree), "--hostname", "laptop")[0] == 0
    return made


def contents_of(folder: bytes) -> dict[bytes, tuple[bytes, int, int]]:
    """Relative path → (content, mode, mtime) of every file."""
    found = {}
    for where, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(where, name)
            facts = os.lstat(path)
            with open(path, "rb") as file:
                found[os.path.relpath(path, folder)] = (file.read(), stat.S_IMODE(facts.st_mode), facts.st_mtime_ns)
    return found


def statuses(lines: list[dict[str, Any]]) -> dict[str, str]:
    """Return what became of each file."""
    return {line["filepath"]: line["status"] for line in lines if line["kind"] != "dir"}


def test_a_folder_comes_back_bit_by_bit_and_a_second_time_nothing_is_done(world: World, tmp_path: Path) -> None:
    to = tmp_path / "back"
    code, lines, said = client(world, "get", os.fsdecode(world.tree), "--to", str(to))
    assert (code, len(statuses(lines))) == (0, 6), said
    assert contents_of(os.fsencode(to)) == contents_of(world.tree)
    code, lines, said = client(world, "get", os.fsdecode(world.tree), "--to", str(to))
    assert (code, set(statuses(lines).values())) == (0, {"right"}), said
    assert said == "pp_client: 0 restored, 8 right\n"


def test_one_file_and_one_folder_below(world: World, tmp_path: Path) -> None:
    assert client(world, "get", os.fsdecode(world.path("large")), "--to", str(tmp_path / "x"))[0] == 0
    assert (tmp_path / "x" / "large").read_bytes() == LARGE
    assert client(world, "get", os.fsdecode(world.path("sub")) + "/", "--to", str(tmp_path / "y"))[0] == 0
    assert set(contents_of(os.fsencode(tmp_path / "y"))) == {b"copy", b"deep/b"}


def test_what_differs_stays_unless_a_person_says_otherwise(world: World, tmp_path: Path) -> None:
    to = tmp_path / "back"
    (to / "empty").mkdir(parents=True)
    (to / "a").write_bytes(b"my own later work")
    (to / "large").write_bytes(b"L" * len(LARGE))
    code, lines, said = client(world, "get", os.fsdecode(world.tree), "--to", str(to))
    assert code == 5, said
    differing = {name for name, status in statuses(lines).items() if status == "differs"}
    assert differing == {"a", "empty", "large"}
    assert (to / "a").read_bytes() == b"my own later work"
    (to / "empty").rmdir()
    assert client(world, "get", os.fsdecode(world.tree), "--to", str(to), "--overwrite")[0] == 0
    assert contents_of(os.fsencode(to)) == contents_of(world.tree)


def test_nothing_is_written_through_links(world: World, tmp_path: Path) -> None:
    to, outside = tmp_path / "back", tmp_path / "outside"
    to.mkdir()
    outside.mkdir()
    (to / "sub").symlink_to(outside)
    (to / "a").symlink_to(outside / "a")
    code, lines, _ = client(world, "get", os.fsdecode(world.tree), "--to", str(to), "--overwrite")
    assert code == 1
    assert list(outside.iterdir()) == []
    failed = {name for name, status in statuses(lines).items() if status not in ("restored", "right")}
    assert failed == {"a", "sub/copy", "sub/deep/b"}


def test_a_run_that_was_cut_is_gone_on_with(world: World, tmp_path: Path) -> None:
    """A small file that was begun has the sticky bit and no permissions; the beginning of a large one, another name."""
    to = tmp_path / "back"
    assert client(world, "get", os.fsdecode(world.tree), "--to", str(to))[0] == 0
    (to / "a").write_bytes(b"")
    (to / "a").chmod(stat.S_ISVTX)
    from pp_assist.restore.folder import temporary_name
    from pp_assist.restore.wanted import Wanted

    listed = {line["filepath"]: line for line in client(world, "ls", os.fsdecode(world.tree))[1]}
    digest = listed[os.fsdecode(world.path("large"))]["sha256"]
    (to / "large").unlink()
    begun = to / os.fsdecode(temporary_name(Wanted(b"large", "file", len(LARGE), digest, None, None, None, None, None)))
    begun.write_bytes(LARGE[:1_000_000])
    code, lines, said = client(world, "get", os.fsdecode(world.tree), "--to", str(to))
    assert code == 0, said
    assert {name for name, status in statuses(lines).items() if status == "restored"} == {"a", "large"}
    assert contents_of(os.fsencode(to)) == contents_of(world.tree)
    begun.write_bytes(b"not the beginning of it at all")
    (to / "large").unlink()
    assert client(world, "get", os.fsdecode(world.tree), "--to", str(to))[0] == 1, "noticed, and removed"
    assert client(world, "get", os.fsdecode(world.tree), "--to", str(to))[0] == 0
    assert contents_of(os.fsencode(to)) == contents_of(world.tree)


def test_of_several_machines_a_person_chooses(world: World, tmp_path: Path) -> None:
    world.write("a", b"of the other one")
    assert client(world, os.fsdecode(world.path("a")), "--hostname", "desktop")[0] == 0
    code, _, said = client(world, "get", os.fsdecode(world.path("a")), "--to", str(tmp_path / "x"))
    assert (code, "laptop" in said, "desktop" in said) == (2, True, True)
    for host, content in (("laptop", b"a"), ("desktop", b"of the other one")):
        to = tmp_path / host
        assert client(world, "get", os.fsdecode(world.path("a")), "--to", str(to), "--host", host)[0] == 0
        assert (to / "a").read_bytes() == content
    listed = client(world, "ls", os.fsdecode(world.path("a")), "--host", "desktop")[1]
    assert [line["hostname"] for line in listed] == ["desktop"]


def test_exit_codes_say_what_is_wrong(world: World, tmp_path: Path) -> None:
    to = str(tmp_path / "x")
    assert client(world, "get", "/nowhere", "--to", to)[0] == 1
    assert client(world, "get", "/nowhere", "--to", to, key="pp_wrong")[0] == 4
    assert client(world, "get", "/nowhere")[0] == 2
    (tmp_path / "file").write_text("")
    assert client(world, "get", os.fsdecode(world.tree), "--to", str(tmp_path / "file"))[0] == 2
    world.server.stop()
    assert client(world, "ls")[0] == 3


def test_what_a_daemon_stored_comes_back_with_folders_links_and_times(make_world: MakeWorld, tmp_path: Path) -> None:
    world = make_world()
    for name in (b"docs/letter", b"docs/deep/er/note", b"\xff odd/\xfe", "späße/ü".encode()):
        world.write(name, name)
    os.makedirs(world.path("empty/er"))
    os.symlink("docs/letter", world.path("link"))
    os.symlink("nowhere at all", world.path("docs/broken"))
    os.symlink(b"../\xff", world.path("docs/out"))
    os.chmod(world.path("docs"), 0o750)
    for name in ("docs/letter", "docs", "empty", "empty/er"):
        os.utime(world.path(name), ns=(7, 1_500_000_000_000_000_001), follow_symlinks=False)
    world.begin()
    world.daemon.finish(world.tree)
    to = os.fsencode(tmp_path / "back")
    code, lines, said = client(world, "get", os.fsdecode(world.tree), "--to", os.fsdecode(to))
    assert code == 0, said
    assert entries_on_disk(to) == relocated(entries_on_disk(world.tree), world.tree, to)
    assert on_disk(to) == relocated(on_disk(world.tree), world.tree, to)
    assert {line["status"] for line in lines} == {"restored"}
    again = client(world, "get", os.fsdecode(world.tree), "--to", os.fsdecode(to))
    assert again[0] == 0
    assert {line["status"] for line in again[1]} == {"right"}
    assert again[2] == f"pp_client: 0 restored, {len(lines)} right\n"
    os.utime(os.path.join(to, b"docs"))
    code, lines, said = client(world, "get", os.fsdecode(world.tree), "--to", os.fsdecode(to))
    assert {line["filepath"] for line in lines if line["status"] == "restored"} == {"docs"}
    assert entries_on_disk(to) == relocated(entries_on_disk(world.tree), world.tree, to)


def relocated(entries: dict[bytes, T], before: bytes, after: bytes) -> dict[bytes, T]:
    return {after + path.removeprefix(before): entry for path, entry in entries.items()}


def test_what_was_deleted_and_what_was_there_earlier_comes_back(world: World, tmp_path: Path) -> None:
    tree, copy = os.fsdecode(world.tree), os.fsdecode(world.path("sub/copy"))
    before = contents_of(world.tree)
    world.write("sub/copy", b"later")
    assert client(world, tree, "--hostname", "laptop")[0] == 0
    (gone,) = (each for each in client(world, "ls", tree)[1] if each["filepath"] == os.fsdecode(world.path("a")))
    facts = {name: gone[name] for name in ("filepath", "host_id", "sha256")}
    order = {"files": [{**facts, "hostname": "laptop", "gen": 10**12}]}
    assert request(world.server.port, "POST", "/api/files/deletions", world.server.key, order).status == 200

    versions = client(world, "ls", copy, "--versions")[1]
    assert [each["status"] for each in versions] == ["superseded", "active"]
    code, lines, said = client(world, "get", tree, "--deleted", "--to", str(tmp_path / "gone"))
    assert (code, statuses(lines)) == (0, {"a": "restored"}), said
    assert contents_of(os.fsencode(tmp_path / "gone")) == {b"a": before[b"a"]}
    first: dict[str, str] = {}
    for each in client(world, "ls", tree, "--versions")[1]:  # the oldest version of each path comes first
        first.setdefault(each["filepath"], each["stored_at"])
    at = max(first.values())
    code, _, said = client(world, "get", tree, "--at", at, "--to", str(tmp_path / "then"))
    assert (code, contents_of(os.fsencode(tmp_path / "then"))) == (0, before), said
    for wrong in (["--at", "yesterday"], ["--at", at, "--deleted"]):
        assert client(world, "get", tree, *wrong, "--to", str(tmp_path / "x"))[0] == 2
