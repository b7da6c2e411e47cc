"""Directories too large for one transaction: they are seen in parts, and nothing of them is lost between the parts."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from pair import DEADLINE_S, Pair, running_pair, write

from pp_assist import disk
from pp_assist.core.model import ALL_NAMES, FileState, Listing, Root, Stage
from pp_assist.core.rules import Rules
from pp_assist.scanner import scanner, walk
from pp_assist.store import observations
from pp_assist.store.db import Database
from pp_assist.store.held import HeldDeletions


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "PART_ENTRIES", 40)
    monkeypatch.setattr(walk, "AT_A_TIME", 70)
    monkeypatch.setattr(walk, "BATCH_ENTRIES", 100)
    monkeypatch.setattr(observations, "AT_A_TIME", 100)


def root_of(tree: Path) -> Root:
    path, identity = disk.resolve(os.fsencode(tree))
    return Root(1, path, path, True, True, *identity, 0, None, "healthy", None)


def batches_of(tree: Path) -> list[list[Listing]]:
    root = root_of(tree)
    return [batch.listings for batch in walk.walk(root, Rules(frozenset(), root.device, len(root.path)))]


def fill(tree: Path, count: int, folders: int = 0) -> None:
    for number in range(count):
        write(tree / f"{number * 7919 % count:05}", f"{number}")
    for number in range(folders):
        write(tree / f"{number:05}d" / "f", f"{number}")


def test_the_parts_are_all_names_together(tmp_path: Path) -> None:
    fill(tmp_path, 1000, folders=3)
    (tmp_path / os.fsdecode(b"\xff" * 255)).touch()
    batches = batches_of(tmp_path)
    assert max(sum(len(listing.entries) for listing in batch) for batch in batches) <= walk.BATCH_ENTRIES
    parts = [listing for batch in batches for listing in batch if not listing.directory]
    assert len(parts) == 26
    assert (parts[0].part.first, parts[-1].part.end) == ALL_NAMES
    assert all(one.part.end == other.part.first for one, other in pairwise(parts))
    assert all(part.part.holds(entry.name) for part in parts for entry in part.entries)
    assert sorted(entry.name for part in parts for entry in part.entries) == sorted(os.listdir(os.fsencode(tmp_path)))
    assert [part.is_whole for part in parts] == [False] * 25 + [True]
    assert len({listing.directory for batch in batches for listing in batch}) == 4


def test_after_an_error_no_part_says_that_anything_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, 200)
    real = os.stat

    def failing(name: bytes, **where: object) -> os.stat_result:
        if name == b"00100":
            raise OSError(5, "Input/output error")
        return real(name, **where)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(os, "stat", failing)
    parts = [listing for batch in batches_of(tmp_path) for listing in batch]
    assert [part.complete for part in parts] == [True, True, False, False, False]
    assert all("Input/output error" in (part.problem or "") for part in parts[2:])
    assert sum(len(part.entries) for part in parts) == 199


@asynccontextmanager
async def counted_pair(
    folder: Path, counts: list[int], monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> AsyncIterator[Pair]:
    """Note in *counts* how many rows each transaction of a scan changes, what triggers change included."""
    real = Database.transaction

    @asynccontextmanager
    async def counting(self: Database) -> AsyncIterator[aiosqlite.Connection]:
        async with real(self) as tx:
            before = tx.total_changes
            yield tx
            if (task := asyncio.current_task()) and task.get_name() == "scans":
                counts.append(tx.total_changes - before)

    monkeypatch.setattr(Database, "transaction", counting)
    async with running_pair(folder, **settings) as pair:
        yield pair


async def test_what_is_deleted_in_any_part_is_told_and_no_transaction_is_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    async with counted_pair(tmp_path, counts, monkeypatch) as pair:
        fill(pair.tree / "many", 500, folders=150)
        await pair.settle()
        assert len(await pair.live()) == 650
        await pair.scan()
        assert pair.weather.requests.count(("POST", "/api/batch")) <= 20
        for number in range(0, 500, 9):
            (pair.tree / "many" / f"{number:05}").unlink()
        shutil.rmtree(pair.tree / "many" / "00003d")
        shutil.rmtree(pair.tree / "many" / "00149d")
        fill(pair.tree / "other", 300)
        await pair.assert_equal()
        assert len(await pair.live()) == 650 - 56 - 2 + 300
        scanned = max(counts)
        await pair.scan()
        assert (await pair.counts()).queued(*Stage) == 0
    assert scanned < walk.BATCH_ENTRIES * 10, "rows of files, work and their counters"


@pytest.mark.parametrize("left", [0, 3], ids=["all", "all but three"])
async def test_what_was_in_folders_that_stay_is_missed_in_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    counts: list[int] = []
    async with counted_pair(tmp_path, counts, monkeypatch, delete_grace_seconds=60.0) as pair:
        fill(pair.tree / "many", 700)
        for number in range(12):
            fill(pair.tree / "more" / f"{number}", 35)
        await pair.settle()
        before = len(await pair.live())
        counts.clear()
        gone = sorted((pair.tree / "many").iterdir())[left:]
        gone += [path for folder in (pair.tree / "more").iterdir() for path in folder.iterdir()]
        for path in gone:
            path.unlink()
        await pair.scan()
        assert max(counts) <= 5 * walk.BATCH_ENTRIES, "per name: a row of files, one of work, and scratch"
        found = await pair.counts()
        assert found.files[FileState.VANISHED] == len(gone) == 700 + 12 * 35 - left
        assert len(await pair.live()) == before, "none of them is told"


async def test_a_whole_folder_that_is_gone_is_noted_in_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    together = {"delete_grace_seconds": 3.0}  # all are missing when the first is decided
    async with counted_pair(tmp_path, counts, monkeypatch, **together) as pair:
        for number in range(9):
            fill(pair.tree / "gone" / f"{number}", 130 if number == 4 else 30)
        fill(pair.tree / "stays", 20)
        await pair.settle()
        counts.clear()
        shutil.rmtree(pair.tree / "gone")
        await pair.scan()
        assert max(counts) < observations.AT_A_TIME * 10
        found = await pair.until(lambda counts: counts.queued(Stage.VANISHED) == 0)
        assert found.files[FileState.VANISHED] == 370
        assert found.queued(Stage.DELETION) == 370 + 10, "and the folders they were in"
        assert pair.daemon
        (held,) = await pair.daemon.db.rows("SELECT id FROM held_deletions")
        await HeldDeletions(pair.daemon.db, pair.daemon.queues.deletion).approve(held["id"], 370, 0)
        await pair.assert_equal()
        await pair.scan()
        assert await pair.daemon.db.value("SELECT COUNT(*) FROM directories") == 2


async def test_a_step_that_was_interrupted_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_pair(tmp_path, delete_grace_seconds=3600) as pair:
        fill(pair.tree / "gone" / "below", 150)
        fill(pair.tree / "stays", 2)
        await pair.settle()
        shutil.rmtree(pair.tree / "gone")
        real, calls = observations.known_below, 0

        async def once(*args: object) -> object:
            nonlocal calls
            calls += 1
            if calls == 2:
                raise OSError("cut")
            return await real(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(observations, "known_below", once)
        assert pair.daemon
        scan = pair.daemon.scanner.request_scan()
        async with asyncio.timeout(DEADLINE_S):
            await scan.finished.wait()
        assert (await pair.counts()).queued(Stage.VANISHED) == 101
        await pair.stop_daemon()
        await pair.start_daemon()
        await pair.scan()
        assert (await pair.counts()).queued(Stage.VANISHED) == 152


async def test_what_came_after_the_look_is_not_missed_by_it(tmp_path: Path) -> None:
    """A long listing is written down long after its names were read: others have seen more by then."""
    async with running_pair(tmp_path) as pair:
        write(pair.tree / "d" / "a", "x")
        await pair.assert_equal()
        assert pair.daemon
        recorder = pair.daemon.scanner._recorder
        (root,) = await pair.daemon.roots.all()
        (late,) = [seen async for seen in recorder.batches(root, b"", force=True)]
        write(pair.tree / "d" / "b", "y")
        write(pair.tree / "e" / "c", "z")
        async for seen in recorder.batches(root, b""):
            await recorder.record(root, seen)
        assert sum((await pair.counts()).files.values()) == 3
        await recorder.record(root, late)
        assert sum((await pair.counts()).files.values()) == 3
        await pair.assert_equal()


async def test_many_hints_in_a_large_directory_list_it_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanner, "HINT_WAIT_S", 0.5)
    async with running_pair(tmp_path, use_filesystem_events=True) as pair:
        fill(pair.tree / "d", 300)
        await pair.assert_equal()
        assert pair.daemon
        scans = pair.daemon.scanner.stats.scans_finished
        for number in range(0, 300, 2):
            (pair.tree / "d" / f"{number:05}").write_text("new")
        for number in range(5):
            (pair.tree / "d" / f"{1 + 60 * number:05}").unlink()
        await pair.until(
            lambda counts: (
                counts.files[FileState.COMPLETED] + counts.files[FileState.UNCHANGED] == 295
                and counts.queued(*Stage) == 0
            )
        )
        assert pair.daemon.scanner.stats.scans_finished == scans
        await pair.assert_equal()
