"""A deletion is told only if the file is certainly gone. Everything that merely looks like it changes nothing."""

import os
from pathlib import Path

import pytest
from pair import Pair, entries_in, running_pair, write

from pp_assist.core.model import TRACKED, FileState, Stage


@pytest.fixture
async def settled(tmp_path: Path):  # type: ignore[no-untyped-def]
    async with running_pair(tmp_path) as pair:
        for name in ("a", "sub/b", "sub/deep/c"):
            write(pair.tree / name, name)
        await pair.assert_equal()
        pair.weather.requests.clear()
        yield pair


async def nothing_was_told(pair: Pair) -> None:
    counts = await pair.counts()
    assert counts.files[FileState.VANISHED] == 0
    assert sum(counts.files[state] for state in TRACKED) == 3
    assert pair.weather.requests == []


async def test_a_missing_root(settled: Pair) -> None:
    os.rename(settled.tree, settled.folder / "away")
    await settled.scan()
    await nothing_was_told(settled)
    assert settled.daemon
    (root,) = await settled.daemon.roots.all()
    assert (root.status, "cannot open" in (root.reason or "")) == ("unhealthy", True)
    os.rename(settled.folder / "away", settled.tree)
    await settled.assert_equal()
    (root,) = await settled.daemon.roots.all()
    assert (root.status, root.reason) == ("healthy", None)


async def test_another_empty_directory_in_the_roots_place(settled: Pair) -> None:
    """What an unmounted disk leaves behind."""
    os.rename(settled.tree, settled.folder / "away")
    settled.tree.mkdir()
    await settled.scan()
    await nothing_was_told(settled)


async def test_a_link_in_a_directorys_place(settled: Pair) -> None:
    before = await settled.live_entries()
    os.rename(settled.tree / "sub", settled.folder / "moved")
    os.symlink(settled.folder / "moved", settled.tree / "sub")
    await settled.settle()
    assert await settled.live_entries() == before | entries_in(settled.tree), "only the link is told of"


async def test_a_link_in_a_files_place(settled: Pair) -> None:
    os.rename(settled.tree / "a", settled.folder / "moved")
    os.symlink(settled.folder / "moved", settled.tree / "a")
    await settled.settle()
    assert (await settled.counts()).files[FileState.VANISHED] == 0
    assert settled.asked("/api/files/deletions") == 0
    assert await settled.live_entries() == entries_in(settled.tree), "a newer version, and no deletion"


async def test_a_directory_that_cannot_be_listed(settled: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an unprivileged user it would be a chmod; the tests may run as root, who may list everything."""
    real = os.scandir

    def failing(fd: int):  # type: ignore[no-untyped-def]
        if os.path.basename(os.readlink(f"/proc/self/fd/{fd}")) == "sub":
            raise PermissionError(13, "Permission denied")
        return real(fd)

    monkeypatch.setattr(os, "scandir", failing)
    await settled.scan()
    await nothing_was_told(settled)


async def test_a_file_that_returns_within_the_grace(tmp_path: Path) -> None:
    async with running_pair(tmp_path, delete_grace_seconds=3600) as pair:
        write(pair.tree / "f", "x")
        await pair.assert_equal()
        os.rename(pair.tree / "f", pair.folder / "f")
        await pair.scan()
        assert (await pair.counts()).queued(Stage.VANISHED) == 1
        pair.weather.requests.clear()
        os.rename(pair.folder / "f", pair.tree / "f")
        await pair.assert_equal()
        assert pair.weather.requests == []


async def test_a_root_that_is_forgotten_keeps_its_files_on_the_server(settled: Pair) -> None:
    assert settled.daemon
    live = await settled.live()
    await settled.daemon.roots.remove(1)
    await settled.settle()
    assert await settled.live() == live
    counts = await settled.counts()
    assert not any(counts.files.values())
    assert not any(counts.work.values())


async def test_deletions_wait_for_the_server(settled: Pair) -> None:
    settled.weather.forecast = ["lost_request", "500", "html", "503", "lost_response"]
    (settled.tree / "a").unlink()
    await settled.scan()
    assert (await settled.counts()).queued(Stage.VANISHED, Stage.DELETION) == 1
    await settled.assert_equal()


async def test_an_unhealthy_root_holds_back_deletions_already_queued(settled: Pair) -> None:
    await settled.stop_server()
    (settled.tree / "a").unlink()
    await settled.scan()
    await settled.until(lambda counts: counts.queued(Stage.DELETION) == 1)
    os.rename(settled.tree, settled.folder / "away")
    await settled.start_server()
    await settled.scan()
    settled.weather.requests.clear()
    live = await settled.live()
    assert len(live) == 3
    os.rename(settled.folder / "away", settled.tree)
    await settled.assert_equal()


async def test_a_deletion_never_overtakes_the_upload_of_its_file(pair: Pair) -> None:
    """It waits for it: otherwise the late upload would bring the file back to life."""
    for word in ("initiate", "chunk", "complete"):
        pair.weather.forecast = ["ok"] * ["initiate", "chunk", "complete"].index(word) + ["slow"]
        seen = len(pair.weather.requests)
        write(pair.tree / word, word)
        await pair.scan()
        await pair.until(lambda _: len(pair.weather.requests) > seen)  # noqa: B023
        (pair.tree / word).unlink()
        await pair.assert_equal()
