"""Directories and symbolic links reach the server, with what a restore needs, and share the fate of files."""

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pair import DEADLINE_S, Pair, running_pair, write
from test_announcements import serve_anew

from pp_assist.checksum import entries
from pp_assist.core.model import NOT_TAKEN, FileState, Stage
from pp_assist.store.held import HeldDeletions
from pp_assist.store.report import FileRow, Report
from pp_server.wire.receipts import check
from pp_server.wire.version import FEATURES

FILES_ONLY = [name for name in FEATURES if name in ("initiate", "deletions", "download", "list", "hosts", "proposals")]


async def rows(pair: Pair, kind: str | None = None) -> dict[bytes, FileRow]:
    """What the daemon knows, by name."""
    assert pair.daemon
    found, _ = await Report(pair.daemon.db).files(None, None, 1000, 0, kind)
    return {row.filepath.rpartition(b"/")[2]: row for row in found}


async def test_empty_and_nested_directories_and_links_of_all_sorts_arrive(pair: Pair) -> None:
    (pair.tree / "empty").mkdir(mode=0o700)
    (pair.tree / "a" / "b" / "c").mkdir(parents=True)
    os.chmod(pair.tree / "a", 0o2750)
    os.mkdir(os.fsencode(pair.tree) + b"/caf\xe9")
    write(pair.tree / "a" / "f", "x")
    for name, target in {
        b"absolute": b"/etc/passwd",
        b"relative": b"a/f",
        b"up": b"..",
        b"broken": b"nowhere",
        b"itself": b"itself",
        b"odd": b"caf\xe9\n",
        b"long": b"x/" * 2000,
    }.items():
        os.symlink(target, os.path.join(os.fsencode(pair.tree), name))
    os.utime(pair.tree / "up", ns=(1, 1_234_567_890_123_456_789), follow_symlinks=False)
    os.utime(pair.tree / "empty", ns=(1, -5))
    await pair.assert_equal()
    assert pair.bytes_sent == 1, "what is behind a link is not looked at"
    counts = await pair.counts()
    assert (counts.files[FileState.COMPLETED], counts.files[FileState.UNSUPPORTED]) == (1, 0)
    listed = {file["filepath"].rpartition("/")[2]: file for file in await pair.listing("any")}
    assert (listed["empty"]["file_size"], listed["empty"]["sha256"], listed["up"]["file_size"]) == (0, None, 0)
    pair.weather.requests.clear()
    await pair.settle()
    assert pair.weather.requests == [], "nothing changed"


async def test_what_changes_about_a_directory_or_a_link_is_a_new_version(pair: Pair) -> None:
    (pair.tree / "d").mkdir()
    os.symlink("one", pair.tree / "l")
    await pair.assert_equal()
    before = {file["filepath"]: file["gen"] for file in await pair.listing("any")}
    os.chmod(pair.tree / "d", 0o711)
    (pair.tree / "l").unlink()
    os.symlink("two", pair.tree / "l")
    await pair.assert_equal()
    after = {file["filepath"]: file["gen"] for file in await pair.listing("any")}
    assert all(after[path] > before[path] for path in before)
    write(pair.tree / "d" / "new", "x")
    await pair.assert_equal()
    assert pair.bytes_sent == 1


async def test_what_changes_nothing_of_a_directory_is_not_told(pair: Pair) -> None:
    (pair.tree / "d").mkdir()
    await pair.assert_equal()
    pair.weather.requests.clear()
    times = os.stat(pair.tree / "d")
    write(pair.tree / "d" / "f", "x")
    (pair.tree / "d" / "f").unlink()
    os.utime(pair.tree / "d", ns=(times.st_atime_ns, times.st_mtime_ns))
    await pair.assert_equal()
    assert pair.asked("/api/batch") == 0


async def test_removed_directories_and_links_are_gone_on_the_server(pair: Pair) -> None:
    (pair.tree / "a" / "b").mkdir(parents=True)
    write(pair.tree / "a" / "f", "x")
    os.symlink("f", pair.tree / "a" / "l")
    os.symlink("f", pair.tree / "l")
    await pair.assert_equal()
    shutil.rmtree(pair.tree / "a")
    (pair.tree / "l").unlink()
    await pair.assert_equal()
    assert await rows(pair) == {}
    assert pair.daemon
    await pair.settle()
    assert await pair.daemon.db.value("SELECT COUNT(*) FROM directories") == 1
    (pair.tree / "a" / "b").mkdir(parents=True)
    await pair.assert_equal()


def make_file(path: Path) -> None:
    path.write_text("a file")


def make_directory(path: Path) -> None:
    path.mkdir()


def make_full_directory(path: Path) -> None:
    write(path / "sub" / "f", "in a folder")


def make_link(path: Path) -> None:
    path.symlink_to("somewhere")


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


MAKERS = [make_file, make_directory, make_full_directory, make_link]


@pytest.mark.parametrize("first", MAKERS)
@pytest.mark.parametrize("second", MAKERS)
async def test_one_thing_in_the_place_of_another_and_back(
    pair: Pair, first: Callable[[Path], None], second: Callable[[Path], None]
) -> None:
    path = pair.tree / "x"
    for make in (first, second, first):
        if os.path.lexists(path):
            if make is make_link and path.is_dir():
                shutil.rmtree(path)
                await pair.settle()  # a link where a folder was says nothing about the files: see the firewall
            else:
                remove(path)
        make(path)
        await pair.assert_equal()


async def test_what_is_left_out_is_not_sent(tmp_path: Path) -> None:
    async with running_pair(tmp_path, rules={"exclude": ["cache/", "*.lnk"]}) as pair:
        for name in ("cache", "kept"):
            write(pair.tree / name / "f", name)
            os.symlink("f", pair.tree / name / "link")
        os.symlink("f", pair.tree / "a.lnk")
        await pair.settle()
        there = {os.path.relpath(path, os.fsencode(pair.tree)) for path in await pair.live_entries()}
        assert there == {b"kept", b"kept/f", b"kept/link"}


async def test_receipts_of_directories_and_links_prove_themselves(pair: Pair) -> None:
    (pair.tree / "d").mkdir()
    os.symlink("f", pair.tree / "l")
    write(pair.tree / "f", "x")
    await pair.assert_equal()
    assert pair.daemon
    report = Report(pair.daemon.db)
    for name, kind in ((b"d", "dir"), (b"l", "symlink"), (b"f", "file")):
        found = await report.signed_receipt(1, name)
        assert found is not None
        receipt, key = found
        assert (receipt.kind, receipt.sha256 is None, receipt.size) == (kind, kind != "file", int(kind == "file"))
        assert key is not None
        check(receipt, key)


async def test_only_files_are_too_many_to_be_deleted_unasked(pair: Pair) -> None:
    for n in range(30):
        (pair.tree / f"{n}").mkdir()
        os.symlink("x", pair.tree / f"link {n}")
    await pair.assert_equal()
    for n in range(30):
        (pair.tree / f"{n}").rmdir()
        (pair.tree / f"link {n}").unlink()
    await pair.assert_equal()


@pytest.mark.parametrize("word", ["approve", "reject", "return"])
async def test_directories_wait_with_the_files_that_are_held(tmp_path: Path, word: str) -> None:
    async with running_pair(
        tmp_path, delete_grace_seconds=2.0
    ) as pair:  # so that all are missing at the first decision
        await held_together(pair, word)


async def held_together(pair: Pair, word: str) -> None:
    for n in range(20):
        write(pair.tree / f"{n}" / "f", f"{n}")
    (pair.tree / "empty").mkdir()
    await pair.assert_equal()
    shutil.copytree(pair.tree, pair.folder / "copy")
    for n in range(20):
        shutil.rmtree(pair.tree / f"{n}")
    (pair.tree / "empty").rmdir()
    await pair.scan()
    assert pair.daemon
    held = HeldDeletions(pair.daemon.db, pair.daemon.queues.deletion)
    await pair.until(lambda c: c.queued(Stage.VANISHED) == 0 and c.queued(Stage.DELETION) == 41)
    (one,) = await held.all()
    assert (one.count, one.known, len(one.sample)) == (20, 20, 20), "files count, and nothing else"
    assert len(await pair.live_entries()) == 41
    if word == "approve":
        assert await held.approve(one.id, 20, 0) == 20
        await pair.assert_equal()
    elif word == "reject":
        assert await held.reject(one.id) == 20
        await pair.settle()
        assert len(await pair.live_entries()) == 41
    else:  # the files are back, the empty directory is not: it need not wait any longer
        shutil.copytree(pair.folder / "copy", pair.tree, dirs_exist_ok=True)
        (pair.tree / "empty").rmdir()
        await pair.assert_equal()  # nobody has to ask what is held
        assert await held.all() == []


async def test_a_server_that_takes_files_only_gets_files_only(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("becomes a folder", "becomes a link", "stays"):
        write(pair.tree / name, name)
    await serve_anew(pair, monkeypatch, FEATURES=FILES_ONLY)
    await pair.settle()
    (pair.tree / "empty").mkdir()
    os.symlink("f", pair.tree / "link")
    for name, make in (("becomes a folder", make_full_directory), ("becomes a link", make_link)):
        (pair.tree / name).unlink()
        make(pair.tree / name)
    await pair.settle()
    await pair.settle()  # what stands where a file was is found once the server knows that the file is gone
    assert {path.rpartition(b"/")[2] for path in await pair.live()} == {b"stays", b"f"}
    known = await rows(pair)
    for name in (b"empty", b"link", b"becomes a folder", b"becomes a link"):
        assert (known[name].state, known[name].rule) == (FileState.UNSUPPORTED, NOT_TAKEN)
    pair.weather.requests.clear()
    await pair.settle()
    assert pair.weather.requests == [], "they are not tried again and again"
    await serve_anew(pair, monkeypatch, FEATURES=FEATURES)
    write(pair.tree / "new", "what makes the daemon ask")
    await pair.assert_equal()


async def test_a_directory_that_never_rests_is_stored_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_pair(tmp_path, quiet_seconds=3600.0) as pair:
        (pair.tree / "busy").mkdir()
        await pair.scan()
        assert pair.daemon
        assert (await pair.counts()).queued(Stage.CHECKSUM) == 1
        async with pair.daemon.db.transaction() as tx:  # as if an hour had passed, and names had come meanwhile
            await tx.execute("UPDATE work SET eligible_at_ms = 0")
        (pair.tree / "busy" / "sub").mkdir()
        pair.daemon.queues.checksum.wake()
        async with asyncio.timeout(DEADLINE_S):  # until that was noted
            while not await pair.daemon.db.value("SELECT eligible_at_ms FROM work"):
                await asyncio.sleep(0.01)
        assert await pair.live_entries() == {}, "it does not rest"
        monkeypatch.setattr(entries, "RESTLESS_MS", 0)
        async with pair.daemon.db.transaction() as tx:
            await tx.execute("UPDATE work SET eligible_at_ms = 0, seen_mtime_ns = 1")
        pair.daemon.queues.checksum.wake()
        await pair.until(lambda c: c.queued(*Stage) == 0)
        assert [path.rpartition(b"/")[2] for path in await pair.live_entries()] == [b"busy"]


async def test_a_directory_found_again_from_below_is_not_forgotten(pair: Pair) -> None:
    """Its name is known to be missing when something in it is recorded: all above it are there, too."""
    write(pair.tree / "a" / "b" / "f", "x")
    await pair.assert_equal()
    assert pair.daemon
    async with pair.daemon.db.transaction() as tx:  # as a scan leaves it that saw the tree just moved away
        await tx.execute("UPDATE directories SET gone = 1 WHERE path <> x''")
    recorder = pair.daemon.recorder
    (root,) = await pair.daemon.roots.all()
    async for seen in recorder.looks(root, [(b"a/b", {b"f": False})]):
        await recorder.record(root, seen)
    assert await pair.daemon.db.value("SELECT COUNT(*) FROM directories WHERE gone = 1") == 0
    shutil.rmtree(pair.tree / "a")
    await pair.assert_equal()


async def test_what_vanished_while_there_was_no_memory_is_noticed(pair: Pair) -> None:
    write(pair.tree / "a" / "f", "x")
    (pair.tree / "empty").mkdir()
    os.symlink("f", pair.tree / "a" / "link")
    (pair.tree / "stays").mkdir()
    await pair.assert_equal()
    await pair.stop_daemon()
    for file in pair.state.iterdir():
        file.unlink()
    shutil.rmtree(pair.tree / "a")
    (pair.tree / "empty").rmdir()
    await pair.start_daemon()
    await pair.scan()
    await pair.until_compared()
    await pair.assert_equal()
    assert len(await pair.live_entries()) == 1
