"""What a person leaves out: by the settings, of one path, by a .ppignore; taken in again; and never a deletion."""

import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pair import Pair, noise, running_pair, write

from pp_assist.core.model import TRACKED, FileState, Stage
from pp_assist.core.patterns import Rule
from pp_assist.scanner.follow import Places, follow
from pp_assist.store import queue
from pp_assist.store.report import FileRow, Report

EXCLUDED = FileState.EXCLUDED


@pytest.fixture
async def tree(tmp_path: Path) -> AsyncIterator[Pair]:
    """A pair with a few files that are stored."""
    async with running_pair(tmp_path) as pair:
        for name in ("a.txt", "a.o", "src/b.c", "src/b.o", "src/deep/c.o", "cache/x", "cache/deep/y", "cache/deep/z"):
            write(pair.tree / name, name)
        await pair.assert_equal()
        yield pair


async def rows(pair: Pair, state: FileState | None = None) -> dict[str, FileRow]:
    """Path relative to the tree → row."""
    assert pair.daemon
    found, _ = await Report(pair.daemon.db).files(state, None, 1000, 0)
    return {os.fsdecode(os.path.relpath(row.filepath, os.fsencode(pair.tree))): row for row in found}


async def hinted(pair: Pair, places: Places) -> None:
    """What the watcher's hints lead to, and nothing else."""
    assert pair.daemon
    (root,) = await pair.daemon.roots.all()
    await follow(pair.daemon.scanner._recorder, root, places)
    await pair.until(lambda counts: counts.queued(*Stage) == 0)


@pytest.mark.parametrize("how", ["scan", "hints"])
async def test_a_ppignore_leaves_out_what_is_stored_and_deletes_nothing(tree: Pair, how: str) -> None:
    live, sent = await tree.live(), tree.bytes_sent
    write(tree.tree / ".ppignore", "# objects\n*.o\ncache/\n")
    if how == "scan":
        await tree.settle()
    else:
        await hinted(tree, {b"": {b".ppignore": True}})
    out = await rows(tree, EXCLUDED)
    assert set(out) == {
        "a.o",
        "src/b.o",
        "src/deep/c.o",
        "cache",
        "cache/x",
        "cache/deep",
        "cache/deep/y",
        "cache/deep/z",
    }
    source = str(tree.tree / ".ppignore")
    assert out["src/b.o"].written == Rule("*.o", source, 2)
    assert out["cache/deep/y"].written == out["cache"].written == Rule("cache/", source, 3)
    assert {row.rule for row in out.values()} == {"pattern"}
    ignore = os.fsencode(source)
    assert {path: digest for path, digest in (await tree.live()).items() if path != ignore} == live, "none is deleted"
    assert ignore in await tree.live(), "the file itself is stored like any other"
    sent = tree.bytes_sent
    write(tree.tree / "cache/deep/new", "new")
    write(tree.tree / "cache/x", "changed")
    shutil.rmtree(tree.tree / "src/deep")
    (tree.tree / "a.o").unlink()
    await hinted(tree, {b"cache/deep": {b"new": True}, b"cache": {b"x": True}, b"": {b"a.o": False, b"cache": False}})
    await tree.settle()
    assert tree.bytes_sent == sent
    assert {path: digest for path, digest in (await tree.live()).items() if path != ignore} == live
    assert "src/deep/c.o" not in await rows(tree), "what is missing is forgotten here"
    assert "a.o" not in await rows(tree)
    assert "cache/deep/new" not in await rows(tree)


@pytest.mark.parametrize("how", ["scan", "hints"])
async def test_what_is_taken_in_again_is_tracked_again(tree: Pair, how: str) -> None:
    write(tree.tree / ".ppignore", "*.o\ncache\n")
    await tree.settle()
    (tree.tree / "cache/x").unlink()
    shutil.rmtree(tree.tree / "cache/deep")
    write(tree.tree / "cache/other/new", "new")
    sent = tree.bytes_sent
    (tree.tree / ".ppignore").unlink()
    if how == "scan":
        await tree.settle()
    else:
        await hinted(tree, {b"": {b".ppignore": False}})
    found = await rows(tree)
    assert set(found) == {"a.txt", "a.o", "src/b.c", "src/b.o", "src/deep/c.o", "cache/other/new"}
    assert {row.state for row in found.values()} <= set(TRACKED)
    assert {row.written for row in found.values()} == {None}
    assert tree.bytes_sent == sent + 3, "the server has the others"
    write(tree.tree / "src/b.o", "changed")
    (tree.tree / "a.o").unlink()
    await tree.settle()
    live = await tree.live()
    assert os.fsencode(tree.tree / "a.o") not in live, "and its deletion is told again"
    assert os.fsencode(tree.tree / "cache/x") in live, "deleted while it was left out"


async def test_deeper_files_win_and_may_take_in_again(tree: Pair) -> None:
    write(tree.tree / ".ppignore", "*.o\n")
    write(tree.tree / "src/.ppignore", "!b.o\n/deep/\n")
    await tree.settle()
    out = await rows(tree, EXCLUDED)
    assert set(out) == {"a.o", "src/deep", "src/deep/c.o"}
    assert out["src/deep"].written == Rule("/deep/", str(tree.tree / "src/.ppignore"), 2)
    os.rename(tree.tree / "src", tree.tree / "moved")  # the rules move with their folder
    await tree.settle()
    out = await rows(tree, EXCLUDED)
    assert set(out) == {"a.o", "moved/deep", "moved/deep/c.o"}, "what was known of it moves along"
    assert (await rows(tree))["moved/b.o"].state in TRACKED


async def test_names_that_are_not_utf8(tree: Pair) -> None:
    name = os.fsencode(tree.tree) + b"/caf\xe9.log"
    for path in (name, name + b"x"):
        with open(path, "wb") as file:
            file.write(b"x")
    (tree.tree / ".ppignore").write_bytes(b"*.o\n[\ncaf\xe9.l*g\n")
    await tree.settle()
    out = await rows(tree, EXCLUDED)
    assert out[os.fsdecode(b"caf\xe9.log")].written == Rule("caf\ufffd.l*g", str(tree.tree / ".ppignore"), 3)
    assert (await rows(tree))[os.fsdecode(b"caf\xe9.logx")].state in TRACKED


async def test_a_bad_line_is_told_and_the_others_count(tree: Pair, caplog: pytest.LogCaptureFixture) -> None:
    assert tree.daemon
    write(tree.tree / "src/.ppignore", "a[\n*.o\n")
    for _ in range(2):
        await tree.settle()
    assert set(await rows(tree, EXCLUDED)) == {"src/b.o", "src/deep/c.o"}
    problems = tree.daemon.scanner._recorder.rule_problems
    assert [(p.source, p.line, p.pattern) for p in problems.of(1)] == [(str(tree.tree / "src/.ppignore"), 1, "a[")]
    assert sum("a[" in record.getMessage() for record in caplog.records) == 1
    write(tree.tree / "src/.ppignore", "*.o\n")
    await tree.settle()
    assert problems.of(1) == []


async def test_a_ppignore_that_is_no_file_says_nothing(tree: Pair) -> None:
    os.symlink("/etc/hosts", tree.tree / ".ppignore")
    os.mkfifo(tree.tree / "src/.ppignore")
    (tree.tree / "cache/.ppignore").mkdir()
    await tree.settle()
    assert await rows(tree, EXCLUDED) == {}


async def test_settings_and_the_path_have_patterns_too(tmp_path: Path) -> None:
    async with running_pair(tmp_path, rules={"exclude": ["*.o", "/src"]}) as pair:
        assert pair.daemon
        (root,) = await pair.daemon.roots.all()
        await pair.daemon.roots.remove(root.id)
        identity = (root.device, root.inode)
        await pair.daemon.roots.add(root.path, root.shown, True, identity, 0, exclude=["node_modules/", "!keep.o"])
        for name in ("a.o", "keep.o", "src/a", "x/src/a", "node_modules/m"):
            write(pair.tree / name, name)
        await pair.settle()
        assert {name: row.written for name, row in (await rows(pair, EXCLUDED)).items()} == {
            "a.o": Rule("*.o", "setting", 1),
            "src": Rule("/src", "setting", 2),
            "node_modules": Rule("node_modules/", "root", 1),
        }
        assert len(await pair.live()) == 2


async def test_a_file_may_be_too_large(tmp_path: Path) -> None:
    async with running_pair(tmp_path, rules={"max_size_mb": 1}) as pair:
        write(pair.tree / "small", noise(1 << 20, 1))
        write(pair.tree / "large", noise((1 << 20) + 1, 2))
        await pair.settle()
        (large,) = (await rows(pair, EXCLUDED)).values()
        assert (large.rule, large.written) == ("too_large", Rule("max_size_mb = 1", "setting", None))
        assert await pair.live() == {
            os.fsencode(pair.tree / "small"): hashlib.sha256(noise(1 << 20, 1)).hexdigest(),
        }
        write(pair.tree / "large", noise(1 << 20, 3))
        await pair.assert_equal()
        write(pair.tree / "large", noise((1 << 20) + 1, 4))
        await pair.settle()
        assert len(await pair.live()) == 2, "the last version that was not too large stays"


async def test_a_file_may_be_too_young(tmp_path: Path) -> None:
    async with running_pair(tmp_path, rules={"min_age_seconds": 3600}) as pair:
        assert pair.daemon
        old = pair.tree / "old"
        write(old, "old")
        os.utime(old, (1, 1))  # its ctime is of now: it was put there just now
        for _ in range(2):
            await pair.scan()
            now_ms = pair.daemon.clock.now_ms()
            young = (await rows(pair))["old"]
            assert (young.state, young.work_reason, young.work_state) == ("discovered", "too_young", "waiting")
            assert abs((young.eligible_at_ms or 0) - now_ms - 3600_000) < 10_000
            async with pair.daemon.db.transaction() as tx:
                await queue.age(tx, 3600_000, now_ms)
            if young.gen == 1:
                write(old, "changed meanwhile")
        assert await pair.live() == {}
        async with pair.daemon.db.transaction() as tx:
            await queue.age(tx, 0, pair.daemon.clock.now_ms())  # as at a start, with the setting at 0
        pair.daemon.queues.checksum.wake()
        await pair.until(lambda counts: counts.queued(*Stage) == 0)
        assert await pair.live() == {os.fsencode(old): hashlib.sha256(b"changed meanwhile").hexdigest()}


async def test_a_deletion_that_waits_in_a_folder_left_out_is_not_told(tree: Pair) -> None:
    await tree.stop_server()
    (tree.tree / "cache/x").unlink()
    await tree.scan()
    await tree.until(lambda counts: counts.queued(Stage.DELETION) == 1)
    write(tree.tree / ".ppignore", "cache\n")
    await tree.scan()
    await tree.start_server()
    await tree.settle()
    assert os.fsencode(tree.tree / "cache/x") in await tree.live()


async def test_what_was_in_a_folder_that_a_link_replaces_is_left_out_and_stays_on_the_server(tree: Pair) -> None:
    live, sent = await tree.live(), tree.bytes_sent
    os.rename(tree.tree / "src", tree.folder / "elsewhere")
    os.symlink(tree.folder / "elsewhere", tree.tree / "src")
    await tree.settle()
    out = await rows(tree, EXCLUDED)
    assert set(out) == {"src/b.c", "src/b.o", "src/deep", "src/deep/c.o"}
    assert {row.rule for row in out.values()} == {"behind_a_link"}
    assert await tree.live() == live, "none is deleted"
    await tree.assert_adds_up()
    shutil.rmtree(tree.folder / "elsewhere" / "deep")
    (tree.tree / "src").unlink()
    os.rename(tree.folder / "elsewhere", tree.tree / "src")
    await tree.settle()
    assert await rows(tree, EXCLUDED) == {}
    assert tree.bytes_sent == sent, "the server has them all"
    assert await tree.live() == live, "what went while a link was there is not told as deleted"
    await tree.assert_adds_up()


async def test_what_is_missing_when_a_link_takes_the_place_of_its_folder_is_no_deletion(tree: Pair) -> None:
    live = await tree.live()
    await tree.stop_server()  # so that nothing can be told before the link is there
    shutil.rmtree(tree.tree / "src")
    await tree.scan()
    assert (await rows(tree))["src/b.c"].state is FileState.VANISHED
    os.symlink("cache", tree.tree / "src")
    await tree.start_server()
    await tree.settle()
    assert set(await rows(tree)) == {"a.txt", "a.o", "cache/x", "cache/deep/y", "cache/deep/z"}
    assert await tree.live() == live, "none is deleted"
    await tree.assert_adds_up()


async def test_what_is_known_below_a_link_is_left_out_also_where_the_link_is_no_news(tree: Pair) -> None:
    """As earlier versions wrote it down: the link as stored, and what had been in the folder as stored or in line."""
    live = await tree.live()
    shutil.rmtree(tree.tree / "src")
    os.symlink("cache", tree.tree / "src")
    await tree.settle()
    assert tree.daemon
    async with tree.daemon.db.transaction() as tx:
        await tx.execute("UPDATE directories SET gone = 0")
        await tx.execute("UPDATE files SET state = 'completed' WHERE state = 'excluded'")
    await tree.settle()
    assert set(await rows(tree, EXCLUDED)) == {"src/b.c", "src/b.o", "src/deep", "src/deep/c.o"}
    changes = tree.daemon.db.commits
    await tree.scan()
    assert await tree.live() == live
    assert tree.daemon.db.commits - changes < 10, "it is settled once"
    await tree.assert_adds_up()
