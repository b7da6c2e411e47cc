"""Whatever happens to the tree, the server's live files become the tree's."""

import os
import shutil

import pytest
from pair import Pair, noise, write

from pp_assist import disk
from pp_assist.core.model import FileState, Stage
from pp_assist.scanner.follow import follow
from pp_assist.store.report import Report

MIB = 1 << 20


async def test_files_of_all_sizes_arrive(pair: Pair) -> None:
    for name, size in {"empty": 0, "one": 1, "chunk": MIB, "over": MIB + 1, "large": 5 * MIB - 7}.items():
        write(pair.tree / "a" / name, noise(size, size))
    await pair.assert_equal()
    assert pair.bytes_sent == 7 * MIB - 5


async def test_names_are_bytes(pair: Pair) -> None:
    tree = os.fsencode(pair.tree)
    for name in [b"caf\xe9", b"new\nline", b"-rf", b"%41_%", b"a b", b"n" * 255, "né文".encode(), b"tab\t", b'"\\']:
        with open(os.path.join(tree, name), "wb") as file:
            file.write(name)
    deep = os.path.join(tree, *[b"d" * 200] * 15)
    os.makedirs(deep)
    with open(os.path.join(deep, b"f"), "wb") as file:
        file.write(b"deep")
    await pair.assert_equal()


async def test_special_files_are_named_and_left_alone(pair: Pair) -> None:
    write(pair.tree / "real", "x")
    os.mkfifo(pair.tree / "fifo")
    await pair.assert_equal()
    assert (await pair.counts()).files[FileState.UNSUPPORTED] == 1


@pytest.mark.parametrize(
    "change", ["edit", "append", "truncate", "same_size_old_mtime", "older_renamed_over", "recreate"]
)
async def test_every_change_arrives(pair: Pair, change: str) -> None:
    path = pair.tree / "f"
    write(path, "first version")
    await pair.assert_equal()
    before = os.stat(path)
    if change == "edit":
        write(path, "second version!")
    elif change == "append":
        with open(path, "a") as file:
            file.write("more")
    elif change == "truncate":
        os.truncate(path, 3)
    elif change == "same_size_old_mtime":
        write(path, "FIRST VERSION")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif change == "older_renamed_over":
        other = pair.folder / "other"
        write(other, "restored from a backup")
        os.utime(other, (1, 1))
        os.rename(other, path)
    else:
        path.unlink()
        await pair.settle()
        write(path, "first version")
    await pair.assert_equal()


async def test_a_deletion_is_told_and_a_file_that_returns_is_stored_again(pair: Pair) -> None:
    write(pair.tree / "d" / "f", "content")
    await pair.assert_equal()
    (pair.tree / "d" / "f").unlink()
    (pair.tree / "d").rmdir()
    await pair.assert_equal()
    sent = pair.bytes_sent
    write(pair.tree / "d" / "f", "content")
    await pair.assert_equal()
    assert pair.bytes_sent == sent, "the server still has the bytes"


async def test_a_whole_directory_moves_without_sending_a_byte(pair: Pair) -> None:
    for n in range(20):
        write(pair.tree / "old" / f"{n % 3}" / f"{n}", f"content {n}")
    await pair.assert_equal()
    sent = pair.bytes_sent
    os.rename(pair.tree / "old", pair.tree / "new")
    await pair.assert_equal()
    assert pair.bytes_sent == sent


async def test_a_touched_file_sends_no_content_but_its_new_time_is_known(pair: Pair) -> None:
    write(pair.tree / "f", "content")
    await pair.assert_equal()
    os.utime(pair.tree / "f", ns=(5, 1_234_567_890))
    os.chmod(pair.tree / "f", 0o600)
    sent = pair.bytes_sent
    await pair.assert_equal()
    (file,) = (await pair.client().get("/api/files")).json()["files"]
    assert (file["mtime_ns"], file["mode"], file["gen"] > 1) == (1_234_567_890, 0o600, True)
    assert pair.bytes_sent == sent


async def test_a_copy_sends_no_content_and_counts_as_unchanged(pair: Pair) -> None:
    write(pair.tree / "a", "the same")
    await pair.assert_equal()
    sent = pair.bytes_sent
    write(pair.tree / "b", "the same")
    await pair.assert_equal()
    assert pair.bytes_sent == sent
    assert (await pair.counts()).files[FileState.UNCHANGED] == 1


async def test_nothing_is_sent_or_asked_when_nothing_changed(pair: Pair) -> None:
    for n in range(10):
        write(pair.tree / f"{n}", f"{n}")
    await pair.assert_equal()
    pair.weather.requests.clear()
    await pair.settle()
    assert pair.weather.requests == []


async def test_a_forced_scan_hashes_again_and_sends_nothing(pair: Pair) -> None:
    write(pair.tree / "f", "content")
    await pair.assert_equal()
    assert pair.daemon
    hashed, sent = pair.daemon.checksums.stats.processed.total, pair.bytes_sent
    await pair.scan(force=True)
    await pair.until(lambda counts: counts.queued(*Stage) == 0)
    assert pair.daemon.checksums.stats.processed.total == hashed + 1
    assert pair.bytes_sent == sent


async def test_a_silent_change_is_found_by_a_forced_scan(pair: Pair) -> None:
    """What no stat tuple shows (a memory-mapped write, say) is a new version under a new generation."""
    write(pair.tree / "f", "content")
    await pair.assert_equal()
    assert pair.daemon
    async with pair.daemon.db.transaction() as tx:  # as if the bytes had changed and the stat had not
        await tx.execute("UPDATE files SET sha256 = ?, stored_sha256 = ?", ("0" * 64, "0" * 64))
    await pair.scan(force=True)
    await pair.until(lambda counts: counts.queued(*Stage) == 0)
    (file,) = (await pair.client().get("/api/files")).json()["files"]
    assert file["gen"] > 1
    await pair.assert_equal()


async def test_a_file_becomes_a_directory_and_a_directory_a_file(pair: Pair) -> None:
    write(pair.tree / "a", "file")
    write(pair.tree / "b" / "x", "in b")
    await pair.assert_equal()
    (pair.tree / "a").unlink()
    write(pair.tree / "a" / "y", "in a")
    (pair.tree / "b" / "x").unlink()
    (pair.tree / "b").rmdir()
    write(pair.tree / "b", "file now")
    await pair.assert_equal()


async def test_the_daemons_own_files_are_never_scanned(pair: Pair) -> None:
    assert pair.daemon
    await pair.daemon.roots.remove(1)
    path, identity = disk.resolve(os.fsencode(pair.folder))
    await pair.daemon.roots.add(path, path, True, identity, 0)
    write(pair.tree / "f", "x")
    await pair.scan()
    rows, _ = await Report(pair.daemon.db).files(None, None, 1000, 0)
    assert [row.filepath for row in rows if row.rule == "own_directory"] == [os.fsencode(pair.folder / "state")]
    assert not any(b"/state/" in row.filepath for row in rows)
    await pair.until(
        lambda counts: counts.queued(*Stage) == 0
    )  # the server's files, too, lie in this root: no end without
    rows, _ = await Report(pair.daemon.db).files(None, None, 1000, 0)
    kept = {row.filepath.rpartition(b"/")[2] for row in rows if row.rule is None}
    assert kept == {b"f"}
    assert {row.rule for row in rows if b"/server/" in row.filepath} == {"server_data"}
    (root,) = await pair.daemon.roots.all()
    hints = {b"server": {b"LOCK": True, b"new": False}, b"server/meta": {b"pp.db-wal": True}, b"tree": {b"f": True}}
    for _ in range(2):
        write(pair.folder / "server" / "new", "x")
        await follow(pair.daemon.scanner._recorder, root, hints)
    rows, _ = await Report(pair.daemon.db).files(None, None, 1000, 0)
    assert {row.filepath.rpartition(b"/")[2] for row in rows if row.rule is None} == {b"f"}


async def test_a_file_is_put_back_while_the_server_may_have_got_another_one(pair: Pair) -> None:
    """The receipt for the old version is at hand, and the old one lies here again: the server has the new one."""
    file = pair.tree / "a"
    long_ago = (1_000_000_000 * 10**9,) * 2
    write(file, "old")
    os.utime(file, ns=long_ago)
    await pair.assert_equal()
    told = pair.asked("/api/batch")
    pair.weather.forecast = ["ok", "lost_response"]  # asked what it holds, then sent
    write(file, "new")
    await pair.scan()
    await pair.until(lambda counts: pair.asked("/api/batch") > told)
    write(file, "old")
    os.utime(file, ns=long_ago)
    await pair.assert_equal()


async def test_a_folder_that_was_taken_for_missing_with_files_in_it_is_looked_for_by_scans(pair: Pair) -> None:
    """What earlier versions could leave behind: files that are stored in a folder that counts as missing."""
    write(pair.tree / "d" / "sub" / "file", "1")
    write(pair.tree / "stays" / "file", "2")
    await pair.settle()
    assert pair.daemon
    async with pair.daemon.db.transaction() as tx:
        await tx.executemany("UPDATE directories SET gone = 1 WHERE path = ?", [(b"d",), (b"d/sub",)])
    shutil.rmtree(pair.tree / "d")
    await pair.settle()
    await pair.assert_equal()
