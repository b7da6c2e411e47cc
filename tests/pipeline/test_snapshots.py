"""A file that never rests is stored, where a person wants that, as a marked snapshot; and whole once it rests."""

import asyncio
import hashlib
import os
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pair import Pair, noise, running_pair, write

from pp_assist.core.model import FileState, Stage
from pp_assist.store.report import FileRow, Report

MIB = 1 << 20
BUSY = {"busy_after_seconds": 0.3, "quiet_seconds": 0.5}


@asynccontextmanager
async def written_on_and_on(pair: Pair, path: Path) -> AsyncIterator[None]:
    """For the block, change *path* all the time (no copy of it takes less), and let the daemon look at it."""
    stop = threading.Event()

    def write_on() -> None:
        with path.open("r+b", buffering=0) as file:
            while not stop.wait(0.0005):
                file.seek(0)
                file.write(b"%d" % time.monotonic_ns())

    async def look_on() -> None:
        while not stop.is_set():
            if pair.daemon is not None:
                await pair.scan()
            await asyncio.sleep(0.02)

    writing = asyncio.create_task(asyncio.to_thread(write_on))
    looking = asyncio.create_task(look_on())
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(writing, looking)


async def row_of(pair: Pair, path: Path) -> FileRow:
    assert pair.daemon
    (rows, _) = await Report(pair.daemon.db).files(None, None, 100, 0)
    (row,) = [row for row in rows if row.filepath == os.fsencode(path)]
    return row


async def versions_of(pair: Pair, path: Path) -> list[dict[str, Any]]:
    answer = (await pair.client().get("/api/files", params={"limit": 1000})).json()
    return [file for file in answer["files"] if file["filepath"] == str(path)]


async def until_snapshot(pair: Pair, path: Path, other_than: str | None = None) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while not (found := await versions_of(pair, path)) or found[0]["sha256"] == other_than:
            await asyncio.sleep(0.05)
    return found[0]


async def test_a_busy_file_is_stored_as_marked_snapshots_and_whole_once_it_rests(tmp_path: Path) -> None:
    log = tmp_path / "tree" / "database.bin"
    async with running_pair(tmp_path, busy_policy="snapshot", **BUSY) as pair:
        write(log, noise(3 * MIB, 1))
        async with written_on_and_on(pair, log):
            first = await until_snapshot(pair, log)
            assert first["inconsistent"] is True
            content = await pair.download(first["sha256"])
            assert len(content) == 3 * MIB
            async with asyncio.timeout(30):
                while not (row := await row_of(pair, log)).snapshot:
                    await asyncio.sleep(0.01)
            assert (row.state, row.stage) == (FileState.DISCOVERED, Stage.CHECKSUM)
            await until_snapshot(pair, log, other_than=first["sha256"])  # and again, as time goes on
        await pair.assert_equal()
        (whole,) = await versions_of(pair, log)
        assert whole["inconsistent"] is False
        assert not (await row_of(pair, log)).snapshot
        assert pair.daemon
        assert await pair.daemon.db.value("SELECT COUNT(*) FROM work") == 0


async def test_trouble_with_the_copies_is_nobody_elses(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    busy, copies = tmp_path / "tree" / "busy", tmp_path / "state" / "snapshots"
    write(copies, "a file, where a folder should be")
    async with running_pair(tmp_path, busy_policy="snapshot", **BUSY) as pair:
        write(busy, noise(3 * MIB, 1))
        assert pair.daemon
        async with written_on_and_on(pair, busy):
            for number in range(5):
                write(pair.tree / f"{number}", f"{number}")
                await pair.until(lambda counts, stored=number + 1: counts.files[FileState.COMPLETED] == stored)
                await asyncio.sleep(0.1)
            assert "crashed" not in caplog.text, "nothing had to be started anew"
            copies.unlink()
            await until_snapshot(pair, busy)


async def test_the_last_snapshot_is_confirmed_even_if_it_has_the_very_same_bytes(tmp_path: Path) -> None:
    """A writer that changes nothing but the times: what the server has is marked until the file rests."""
    path = tmp_path / "tree" / "touched"
    async with running_pair(tmp_path, busy_policy="snapshot", **BUSY) as pair:
        write(path, noise(1000, 1))
        stop = asyncio.Event()

        async def touch() -> None:
            while not stop.is_set():
                path.touch()
                await pair.scan()
                await asyncio.sleep(0.01)

        task = asyncio.create_task(touch())
        snapshot = await until_snapshot(pair, path)
        stop.set()
        await task
        await pair.assert_equal()
        (whole,) = await versions_of(pair, path)
        assert whole["sha256"] == snapshot["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert whole["inconsistent"] is False


async def test_without_the_policy_a_busy_file_waits(tmp_path: Path) -> None:
    path = tmp_path / "tree" / "busy"
    async with running_pair(tmp_path, **BUSY) as pair:
        write(path, noise(1000, 1))
        async with written_on_and_on(pair, path):
            await asyncio.sleep(1.5)
            assert await versions_of(pair, path) == []
        await pair.assert_equal()
    assert not (tmp_path / "state" / "snapshots").exists()


async def test_a_snapshot_that_was_not_sent_yet_survives_a_restart_and_its_copy_goes_in_the_end(tmp_path: Path) -> None:
    path, copies = tmp_path / "tree" / "busy", tmp_path / "state" / "snapshots"
    async with running_pair(tmp_path, busy_policy="snapshot", **BUSY) as pair:
        write(path, noise(2 * MIB, 1))
        pair.weather.lie = lambda asked, answer: {} if asked.endswith("/initiate") else answer  # nothing gets through
        async with written_on_and_on(pair, path):
            async with asyncio.timeout(30):
                while not copies.is_dir() or not list(copies.iterdir()):
                    await asyncio.sleep(0.05)
            await pair.stop_daemon()
            write(copies / "4711", "left behind by a crash")
            pair.weather.lie = lambda asked, answer: answer
            await pair.start_daemon()
            stored = await until_snapshot(pair, path)
            assert stored["inconsistent"] is True
        await pair.assert_equal()
        async with asyncio.timeout(30):
            while list(copies.iterdir()):
                await asyncio.sleep(0.05)


async def test_a_deleted_busy_file_is_told_deleted_though_only_its_snapshot_was_stored(tmp_path: Path) -> None:
    path = tmp_path / "tree" / "busy"
    async with running_pair(tmp_path, busy_policy="snapshot", **BUSY) as pair:
        write(path, noise(2 * MIB, 1))
        async with written_on_and_on(pair, path):
            await until_snapshot(pair, path)
        path.unlink()
        await pair.assert_equal()
        assert await pair.live() == {}


async def test_old_servers_get_no_snapshots(tmp_path: Path) -> None:
    """They could not mark it, and would show it as a version like any other."""
    path = tmp_path / "tree" / "busy"

    def older(asked: str, answer: Any) -> Any:
        if asked == "/api/version":
            return answer | {"features": [word for word in answer["features"] if word != "inconsistent"]}
        return answer

    async with running_pair(tmp_path, busy_policy="snapshot", **BUSY) as pair:
        await pair.stop_daemon()
        pair.weather.lie = older
        await pair.start_daemon()
        write(path, noise(1000, 1))
        async with written_on_and_on(pair, path):
            await asyncio.sleep(1.5)
            assert await versions_of(pair, path) == []
        await pair.assert_equal()
