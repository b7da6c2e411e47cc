"""Many files missing at once: held until a person has decided."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pair import DEADLINE_S, Pair, files_in, running_pair, write

from pp_assist.core.guard import WINDOW_MS
from pp_assist.core.model import Stage, WorkState
from pp_assist.store.held import CountChanged, HeldDeletions, HeldSet

FILES = 40


@pytest.fixture
async def forty(tmp_path: Path) -> AsyncIterator[Pair]:
    async with running_pair(tmp_path, delete_grace_seconds=2.0) as pair:  # all are missing when the first is decided
        for n in range(FILES):
            write(pair.tree / f"folder {n % 4}" / f"{n}", f"content {n}")
        await pair.assert_equal()
        yield pair


def held_by(pair: Pair) -> HeldDeletions:
    assert pair.daemon
    return HeldDeletions(pair.daemon.db, pair.daemon.queues.deletion)


async def the_held(pair: Pair, count: int) -> HeldSet:
    """Wait until so many files are held (with the folders they were in), and no deletion is under way."""
    found = await held_by(pair).all()
    async with asyncio.timeout(DEADLINE_S):
        while [held.count for held in found] != [count]:
            await asyncio.sleep(0.01)
            found = await held_by(pair).all()
    await pair.until(lambda c: c.in_state(WorkState.HELD, Stage.DELETION) == c.queued(Stage.VANISHED, Stage.DELETION))
    return found[0]


def delete(pair: Pair, count: int) -> None:
    for path in sorted(files_in(pair.tree))[:count]:
        os.unlink(path)


async def approve(pair: Pair, held: HeldSet) -> None:
    assert pair.daemon
    assert await held_by(pair).approve(held.id, held.count, pair.daemon.clock.now_ms()) == held.count


async def test_sixty_percent_gone_is_held_and_told_when_approved(forty: Pair) -> None:
    live = await forty.live()
    delete(forty, 24)
    await forty.scan()
    held = await the_held(forty, 24)
    assert (held.reason, held.known, len(held.sample)) == ("mass", FILES, 20)
    assert await forty.live() == live, "nothing was told"
    with pytest.raises(CountChanged):
        await held_by(forty).approve(held.id, 23, 0)
    await approve(forty, held)
    await forty.assert_equal()
    assert await held_by(forty).all() == []


async def test_a_removed_folder_tree_is_held_and_stays_live_when_rejected(forty: Pair) -> None:
    live = await forty.live()
    for n in range(4):
        shutil.rmtree(forty.tree / f"folder {n}")
    await forty.scan()
    held = await the_held(forty, FILES)
    assert held.reason == "all"
    assert await held_by(forty).reject(held.id) == FILES
    await forty.settle()
    assert await forty.live() == live
    write(forty.tree / "folder 0" / "0", "content 0")  # it is back, and tracked again
    sent = forty.bytes_sent
    counts = await forty.settle()
    assert counts.queued(*Stage) == 0
    assert forty.bytes_sent == sent, "the server has it already"
    assert await forty.live() == live


async def test_files_that_return_are_not_held_any_more(forty: Pair) -> None:
    os.rename(forty.tree / "folder 0", forty.folder / "away 0")
    os.rename(forty.tree / "folder 1", forty.folder / "away 1")
    await forty.scan()
    await the_held(forty, 20)
    os.rename(forty.folder / "away 0", forty.tree / "folder 0")
    await forty.scan()
    await the_held(forty, 10)
    os.rename(forty.folder / "away 1", forty.tree / "folder 1")
    await forty.assert_equal()
    assert await held_by(forty).all() == []
    delete(forty, 1)  # and a single one goes ahead again
    await forty.assert_equal()


async def test_few_files_are_never_held(forty: Pair) -> None:
    delete(forty, 9)
    await forty.assert_equal()


async def test_many_small_deletions_become_a_mass(forty: Pair) -> None:
    for _ in range(2):
        delete(forty, 5)
        await forty.assert_equal()
    delete(forty, 5)
    await forty.scan()
    held = await the_held(forty, 5)
    delete(forty, 3)  # what comes later joins them
    await forty.scan()
    held = await the_held(forty, 8)
    await approve(forty, held)
    await forty.assert_equal()


async def test_after_an_hour_they_count_no_more(forty: Pair) -> None:
    assert forty.daemon
    delete(forty, 9)
    await forty.assert_equal()
    async with forty.daemon.db.transaction() as tx:
        await tx.execute("UPDATE passed_deletions SET minute = minute - ?", (WINDOW_MS // 60_000 + 1,))
    delete(forty, 7)
    await forty.assert_equal()


async def test_what_was_held_stays_held_over_a_restart_and_an_outage(forty: Pair) -> None:
    await forty.stop_server()
    delete(forty, 30)
    await forty.scan()
    await the_held(forty, 30)
    await forty.stop_daemon()
    await forty.start_server()
    await forty.start_daemon()
    await forty.scan(force=True)
    held = await the_held(forty, 30)
    assert len(await forty.live()) == FILES
    await approve(forty, held)
    await forty.assert_equal()


async def test_deletions_that_passed_and_wait_for_the_server_are_not_counted_twice(forty: Pair) -> None:
    await forty.stop_server()
    delete(forty, 6)
    await forty.scan()
    await forty.until(lambda counts: counts.queued(Stage.DELETION) == 6)
    delete(forty, 3)
    await forty.scan()
    await forty.until(lambda counts: counts.queued(Stage.DELETION) == 9)
    assert await held_by(forty).all() == []
    await forty.start_server()
    await forty.assert_equal()


async def test_an_archive_never_tells_of_deletions(tmp_path: Path) -> None:
    async with running_pair(tmp_path) as pair:
        assert pair.daemon
        async with pair.daemon.db.transaction() as tx:
            await tx.execute("UPDATE roots SET policy = 'archive'")
        for n in range(20):
            write(pair.tree / str(n), f"content {n}")
        await pair.assert_equal()
        live = await pair.live()
        delete(pair, 20)
        await pair.settle()
        assert await pair.live() == live
        write(pair.tree / "3", "another content")
        await pair.settle()
        assert len(await pair.live()) == 20


async def test_what_was_moved_is_not_lost(forty: Pair) -> None:
    (forty.tree / "new home").mkdir()
    for n in range(4):
        os.rename(forty.tree / f"folder {n}", forty.tree / "new home" / f"folder {n}")
    sent = forty.bytes_sent
    await forty.assert_equal()
    assert forty.bytes_sent == sent


async def test_other_files_with_the_inodes_of_the_lost_ones_are_no_move(forty: Pair) -> None:
    """What ransomware does: new files, and the old ones gone."""
    live = await forty.live()
    for path in sorted(files_in(forty.tree)):
        os.rename(path, path + b".locked")
        with open(path + b".locked", "wb") as file:
            file.write(b"give me money")
    await forty.scan()
    await forty.until(lambda counts: counts.in_state(WorkState.HELD, Stage.DELETION) == FILES)
    now = await forty.live()
    assert {path: now.get(path) for path in live} == live
