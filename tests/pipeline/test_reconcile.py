"""Whatever became of the daemon's memory, it and the server agree again: nothing is lost, deleted or sent for it."""

import asyncio
import os
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from pair import Pair, noise, running_pair, write

from pp_assist import disk
from pp_assist.core.model import FileState, Stage, WorkState
from pp_assist.store import reconciling
from pp_assist.store.db import Database
from pp_assist.store.held import HeldDeletions
from pp_assist.uploader import client, deletions
from pp_server.core.model import Scope


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LISTED_AT_A_TIME", 3)


async def filled(pair: Pair, count: int = 20) -> None:
    """A tree of *count* files of different sizes, all of them stored."""
    for n in range(count):
        write(pair.tree / f"d{n % 3}" / f"f{n}", noise(100 + n, n))
    write(pair.tree / "large", noise(400_000, 99))
    await pair.assert_equal()


def forget(pair: Pair) -> None:
    """Remove everything that a stopped daemon knows."""
    for file in pair.state.iterdir():
        file.unlink()


def deletions_came_after_listings(pair: Pair) -> bool:
    asked = [path for _, path in pair.weather.requests]
    return "/api/files" in asked[: asked.index("/api/files/deletions")]


async def compared(pair: Pair) -> None:
    """Wait until every watched folder has been compared with the server."""
    await pair.scan()
    await pair.until_compared()


async def test_what_vanished_while_there_was_no_memory_is_told(pair: Pair) -> None:
    await filled(pair)
    await pair.stop_daemon()
    forget(pair)
    (pair.tree / "d0" / "f0").unlink()
    shutil.rmtree(pair.tree / "d1")
    write(pair.tree / "d1", "a file where the folder was")
    write(pair.tree / "d2" / "f2", "other content")
    pair.weather.requests.clear()
    await pair.start_daemon()
    await pair.assert_equal()
    assert deletions_came_after_listings(pair)
    assert pair.bytes_sent == len("a file where the folder was") + len("other content")


async def test_a_host_that_is_new_has_nothing_to_compare(tmp_path: Path) -> None:
    async with running_pair(tmp_path) as pair:
        await pair.stop_daemon()
        forget(pair)
        pair.me = replace(pair.me, is_new=True)
        pair.weather.requests.clear()
        await pair.start_daemon()
        await filled(pair)
        (pair.tree / "d0" / "f0").unlink()
        await pair.assert_equal()
        assert pair.asked("/api/files/deletions")
        assert ("GET", "/api/files") not in pair.weather.requests


@pytest.mark.parametrize("doubt", ["memory", "server"])
async def test_a_host_that_is_not_as_new_as_it_says_is_compared(pair: Pair, doubt: str) -> None:
    """Something was told before, and we know of it; or only the server does."""
    await filled(pair)
    await pair.stop_daemon()
    if doubt == "server":
        forget(pair)
    (pair.tree / "d0" / "f0").unlink()
    pair.me = replace(pair.me, is_new=True)
    pair.weather.requests.clear()
    await pair.start_daemon()
    assert pair.daemon
    async with pair.daemon.db.transaction() as tx:
        await reconciling.doubt(tx)
    await pair.assert_equal()
    assert deletions_came_after_listings(pair)


async def test_new_doubt_of_a_new_host_has_it_compared(pair: Pair) -> None:
    await pair.stop_daemon()
    forget(pair)
    pair.me = replace(pair.me, is_new=True)
    await pair.start_daemon()
    await filled(pair)
    assert pair.daemon
    async with pair.daemon.db.transaction() as tx:
        await reconciling.doubt(tx)
    (pair.tree / "d0" / "f0").unlink()
    pair.weather.requests.clear()
    await pair.assert_equal()
    assert deletions_came_after_listings(pair)


async def test_a_mass_that_vanished_while_there_was_no_memory_is_held(pair: Pair) -> None:
    await filled(pair)
    before = await pair.live()
    await pair.stop_daemon()
    forget(pair)
    for folder in ("d0", "d1", "d2"):
        shutil.rmtree(pair.tree / folder)
    await pair.start_daemon()
    await compared(pair)
    counts = await pair.until(lambda counts: counts.in_state(WorkState.HELD, Stage.DELETION) == 20 + 3)
    assert counts.queued(*Stage) == 20 + 3, "the folders, too"
    assert await pair.live() == before
    assert pair.asked("/api/files/deletions") == 0
    assert pair.bytes_sent == 0


async def test_what_was_rejected_is_not_asked_again(tmp_path: Path) -> None:
    async with running_pair(tmp_path, delete_grace_seconds=2.0) as pair:  # all are missing when the first is decided
        await rejected_and_not_asked_again(pair)


async def rejected_and_not_asked_again(pair: Pair) -> None:
    await filled(pair)
    before = await pair.live()
    for folder in ("d0", "d1"):
        shutil.rmtree(pair.tree / folder)
    await pair.scan()
    await pair.until(lambda counts: counts.in_state(WorkState.HELD, Stage.DELETION) == 14 + 2)
    assert pair.daemon
    (held,) = await HeldDeletions(pair.daemon.db, pair.daemon.queues.deletion).all()
    assert await HeldDeletions(pair.daemon.db, pair.daemon.queues.deletion).reject(held.id) == 14
    await pair.kill_daemon()
    await pair.start_daemon()
    await compared(pair)
    assert (await pair.settle()).files[FileState.VANISHED] == 0
    assert await pair.live() == before
    write(pair.tree / "d0" / "f0", "it is back")  # from now on it is like any other file
    await pair.settle()
    (pair.tree / "d0" / "f0").unlink()
    await pair.settle()
    assert set(before) - set(await pair.live()) == {os.fsencode(pair.tree / "d0" / "f0")}


async def test_after_a_kill_deletions_wait_until_the_server_was_read(pair: Pair) -> None:
    await filled(pair)
    await pair.kill_daemon()
    (pair.tree / "large").unlink()
    pair.weather.requests.clear()
    await pair.start_daemon()
    await pair.assert_equal()
    assert deletions_came_after_listings(pair)
    assert pair.bytes_sent == 0
    assert pair.asked("/api/batch") == pair.asked("/api/uploads") == 0, "nothing was offered again"


async def test_after_a_clean_stop_the_server_is_not_read(pair: Pair) -> None:
    await filled(pair)
    await pair.stop_daemon()
    pair.weather.requests.clear()
    (pair.tree / "large").unlink()
    await pair.start_daemon()
    await pair.assert_equal()
    assert ("GET", "/api/files") not in pair.weather.requests
    assert pair.asked("/api/files/deletions") == 1


@pytest.mark.parametrize("flag", ["as it was", "forged"])
async def test_an_older_database_put_back_is_noticed(pair: Pair, flag: str) -> None:
    await filled(pair)
    await pair.stop_daemon()
    kept = {file.name: file.read_bytes() for file in pair.state.iterdir()}
    if flag == "forged":
        kept.pop("epoch")
    await pair.start_daemon()
    (pair.tree / "d0" / "f0").unlink()
    write(pair.tree / "d1" / "f1", noise(5000, 1000))
    write(pair.tree / "later", noise(5000, 1001))
    write(pair.tree / "later, and gone", noise(5000, 1002))
    await pair.assert_equal()
    highest = await pair.highest_gen()
    await pair.stop_daemon()
    (pair.tree / "later, and gone").unlink()
    (pair.state / "assist.db").write_bytes(kept["assist.db"])
    if flag == "forged":  # as if nothing could be seen: still, the server knows more
        (pair.state / "epoch").unlink()
    await pair.start_daemon()
    await pair.assert_equal()
    assert pair.bytes_sent == 0, "the server had everything"
    assert pair.daemon
    assert await pair.daemon.db.value("SELECT value FROM daemon_state WHERE name = 'gen'") > highest
    assert await pair.highest_gen() > highest


async def test_the_whole_state_put_back_is_noticed_by_what_the_server_knows(pair: Pair) -> None:
    await filled(pair)
    await pair.stop_daemon()
    kept = {file.name: file.read_bytes() for file in pair.state.iterdir()}
    await pair.start_daemon()
    write(pair.tree / "later", noise(5000, 1001))
    write(pair.tree / "d1" / "f1", noise(5000, 1000))
    await pair.assert_equal()
    await pair.stop_daemon()
    (pair.tree / "later").unlink()
    for name, content in kept.items():
        (pair.state / name).write_bytes(content)
    await pair.start_daemon()
    await pair.until_value(
        "SELECT value FROM daemon_state WHERE name = 'doubts'", 2
    )  # the first was at the first start
    await pair.assert_equal()
    assert pair.bytes_sent == 0


async def test_what_a_server_lost_is_offered_again(pair: Pair) -> None:
    await filled(pair)
    await pair.stop_server()
    shutil.copytree(pair.folder / "server", pair.folder / "backup")
    await pair.start_server()
    write(pair.tree / "d0" / "f0", "changed after the backup")
    write(pair.tree / "new", "made after the backup")
    await pair.assert_equal()
    await pair.kill_daemon()
    await pair.stop_server()
    shutil.rmtree(pair.folder / "server")
    (pair.folder / "backup").rename(pair.folder / "server")
    await pair.start_server()
    await pair.start_daemon()
    await compared(pair)
    await pair.assert_equal()
    assert pair.bytes_sent == len("changed after the backup") + len("made after the backup")


async def test_what_is_left_out_is_never_deleted_by_remembering_it(tmp_path: Path) -> None:
    async with running_pair(tmp_path) as pair:
        for name in (
            "build/x",
            "a/build/y",
            "a/sub/made.o",
            "big",
            "gone/made.o",
            "gone/build/z",
            "plain/gone",
            "stays",
        ):
            write(pair.tree / name, name * (400_000 if name == "big" else 1))
        await pair.assert_equal()
        before = await pair.live()
        await pair.stop_daemon()
        forget(pair)
        for name in ("build", "a", "gone", "plain"):
            shutil.rmtree(pair.tree / name)
        (pair.tree / "big").unlink()
        write(pair.tree / ".ppignore", "*.o\n")
        pair.settings = pair.settings.model_copy(
            update={"rules": pair.settings.rules.model_copy(update={"exclude": ("build/",), "max_size_mb": 1})}
        )
        await pair.start_daemon()
        await compared(pair)
        await pair.settle()
        gone = {path.rpartition(b"tree/")[2] for path in set(before) - set(await pair.live())}
        assert gone == {b"plain/gone"}
        pair.settings = pair.settings.model_copy(
            update={"rules": pair.settings.rules.model_copy(update={"exclude": ()})}
        )
        (pair.tree / ".ppignore").unlink()
        await pair.stop_daemon()
        await pair.start_daemon()
        await pair.settle()
        assert {path.rpartition(b"tree/")[2] for path in set(before) - set(await pair.live())} == {b"plain/gone"}


async def test_what_went_while_it_was_left_out_stays_on_the_server(pair: Pair) -> None:
    await filled(pair)
    before = await pair.live()
    write(pair.tree / ".ppignore", "f0\nd1/\n")
    await pair.settle()
    (pair.tree / "d0" / "f0").unlink()
    shutil.rmtree(pair.tree / "d1")
    await pair.settle()
    (pair.tree / ".ppignore").write_text("# nothing\n")
    await pair.kill_daemon()
    await pair.start_daemon()
    await compared(pair)
    await pair.settle()
    assert set(before) <= set(await pair.live())


async def test_an_archive_follows_no_memory_of_the_server(pair: Pair) -> None:
    await filled(pair)
    before = await pair.live()
    await pair.stop_daemon()
    forget(pair)
    shutil.rmtree(pair.tree / "d0")
    pair.policy = "archive"
    await pair.start_daemon()
    await compared(pair)
    counts = await pair.settle()
    assert counts.files[FileState.VANISHED] == 0
    assert await pair.live() == before


async def test_a_folder_that_is_watched_again_deletes_nothing(pair: Pair) -> None:
    """A disk died, its folder is there again, empty: whoever removes and adds it wants the server to keep the rest."""
    await filled(pair)
    before = await pair.live()
    assert pair.daemon
    (root,) = await pair.daemon.roots.all()
    shutil.rmtree(pair.tree)
    pair.tree.mkdir()
    await pair.daemon.roots.remove(root.id)
    path, identity = disk.resolve(os.fsencode(pair.tree))
    await pair.daemon.scanner.root_added(await pair.daemon.roots.add(path, os.fsencode(pair.tree), True, identity, 0))
    await compared(pair)
    write(pair.tree / "new", "x")
    await pair.settle()
    assert set(await pair.live()) == set(before) | {os.fsencode(pair.tree / "new")}
    (pair.tree / "new").unlink()
    await pair.kill_daemon()
    await pair.start_daemon()
    await compared(pair)
    await pair.settle()
    assert await pair.live() == before, "what was stored after that is like any other file"


async def test_nothing_outside_the_watched_folders_is_taken_up(pair: Pair) -> None:
    await filled(pair)
    before = await pair.live()
    await pair.stop_daemon()
    forget(pair)
    shutil.rmtree(pair.tree / "d0")
    shutil.rmtree(pair.tree / "d1")
    pair.watched = pair.tree / "d2"
    await pair.start_daemon()
    await compared(pair)
    await pair.settle()
    assert await pair.live() == before


async def test_a_folder_that_is_away_is_compared_when_it_is_back(pair: Pair) -> None:
    await filled(pair)
    before = await pair.live()
    await pair.kill_daemon()
    (pair.tree / "large").unlink()
    away = pair.folder / "away"
    pair.tree.rename(away)
    await pair.start_daemon()
    await pair.scan()
    assert pair.daemon
    pair.daemon.reconciler.wake()
    await pair.server_in_state("ok")
    assert await pair.daemon.db.value("SELECT COUNT(*) FROM reconciled") == 0
    assert await pair.live() == before
    away.rename(pair.tree)
    await pair.assert_equal()
    assert os.fsencode(pair.tree / "large") not in await pair.live()


async def test_bad_weather_does_not_keep_it_from_ending(pair: Pair) -> None:
    await filled(pair)
    await pair.stop_daemon()
    forget(pair)
    (pair.tree / "large").unlink()
    troubles = ["lost_request", "500", "lost_response", "html", "other_json"]
    pair.weather.forecast += [word for trouble in troubles for word in (*["ok"] * 6, trouble)]
    await pair.start_daemon()
    await pair.assert_equal()
    assert pair.bytes_sent == 0


async def test_deletions_wait_while_the_server_cannot_be_read(pair: Pair) -> None:
    await filled(pair)
    await pair.kill_daemon()
    pair.weather.lie = lambda path, answer: {"ok": True} if path == "/api/files" else answer
    (pair.tree / "large").unlink()
    write(pair.tree / "new", "uploads go on")
    await pair.start_daemon()
    await pair.scan()
    await pair.until(lambda counts: counts.queued(Stage.DELETION) == 1)
    await pair.until_value("SELECT reason FROM work WHERE stage = 'deletion'", "not_reconciled")
    assert pair.asked("/api/files/deletions") == 0
    pair.weather.lie = lambda path, answer: answer
    await pair.assert_equal()
    assert pair.asked("/api/files/deletions") == 1


async def test_a_key_that_may_not_read_keeps_deletions_waiting_and_nothing_else(pair: Pair) -> None:
    await filled(pair)
    await pair.kill_daemon()
    (pair.tree / "large").unlink()
    write(pair.tree / "new", "uploads go on")
    with sqlite3.connect(pair.state / "assist.db") as conn:
        conn.execute("UPDATE servers SET api_key = ?", (await pair.new_key((Scope.UPLOAD, Scope.DELETE)),))
    conn.close()
    await pair.start_daemon()
    await pair.scan()
    await pair.until_value("SELECT reason FROM work WHERE stage = 'deletion'", "not_reconciled")
    await pair.until(lambda counts: counts.queued(Stage.UPLOAD, Stage.CHECKSUM) == 0)
    assert pair.daemon
    assert os.fsencode(pair.tree / "new") in await pair.live()
    assert pair.daemon.reconciler.trouble is not None
    assert pair.daemon.reconciler.trouble.reason == "not_allowed"
    assert (await pair.server_in_state("ok")).reason is None


async def test_a_deletion_that_is_taken_while_a_comparison_ends_does_not_wait_for_the_next_look(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was asked whether the folder was compared right before that was written down."""
    await filled(pair, 3)
    before = [set[int]()]

    async def as_of_then(db: Database, server: int, server_id: str) -> set[int]:
        return before.pop() if before else await reconciling.reconciled(db, server, server_id)

    monkeypatch.setattr(deletions, "reconciling", SimpleNamespace(**vars(reconciling) | {"reconciled": as_of_then}))
    (pair.tree / "large").unlink()
    await pair.scan()
    async with asyncio.timeout(deletions.COMPARED_MS / 2000):
        await pair.assert_equal()
    assert before == []
