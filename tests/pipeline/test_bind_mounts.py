"""A folder mounted over another one of the same file system: left out with a name, and what it hides is not gone."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pair import Pair, running_pair, write

from pp_assist import disk, posix
from pp_assist.core.model import TRACKED, FileState, Stage
from pp_assist.scanner.follow import follow
from pp_assist.store.report import Report

pytestmark = pytest.mark.root


@pytest.fixture
def bound(tmp_path: Path) -> Iterator[Path]:
    """A folder that can be mounted over others; what was mounted is unmounted at the end."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    elsewhere = tmp_path / "elsewhere"
    write(elsewhere / "other", "other")
    yield elsewhere
    for line in Path("/proc/self/mounts").read_text().splitlines():
        if (where := line.split()[1]).startswith(str(tmp_path)):
            subprocess.run(["umount", where], check=True)


def bind(elsewhere: Path, folder: Path) -> None:
    subprocess.run(["mount", "--bind", str(elsewhere), str(folder)], check=True)


async def states(pair: Pair) -> dict[str, tuple[str, str | None]]:
    assert pair.daemon
    rows, _ = await Report(pair.daemon.db).files(None, None, 100, 0)
    return {os.fsdecode(os.path.relpath(row.filepath, os.fsencode(pair.tree))): (row.state, row.rule) for row in rows}


async def test_what_a_mount_hides_is_not_deleted(tmp_path: Path, bound: Path) -> None:
    async with running_pair(tmp_path) as pair:
        assert pair.daemon
        for name in ("sub/a", "sub/deep/b", "c"):
            write(pair.tree / name, name)
        await pair.assert_equal()
        live = await pair.live()
        bind(bound, pair.tree / "sub")
        await pair.settle()
        (root,) = await pair.daemon.roots.all()
        await follow(pair.daemon.scanner._recorder, root, {b"sub": {b"a": False}, b"sub/deep": {b"b": False}})
        await pair.settle()
        assert await pair.live() == live
        found = await states(pair)
        assert found.pop("sub") == (FileState.EXCLUDED, "other_file_system")
        assert set(found) == {"sub/a", "sub/deep/b", "c"}
        assert {state for state, _ in found.values()} <= set(TRACKED)
        subprocess.run(["umount", str(pair.tree / "sub")], check=True)
        await pair.assert_equal()
        assert await pair.live() == live


async def test_a_file_that_was_missing_before_the_mount_is_not_looked_for_below_it(tmp_path: Path, bound: Path) -> None:
    async with running_pair(tmp_path, delete_grace_seconds=2) as pair:
        write(pair.tree / "sub/a", "a")
        await pair.assert_equal()
        live = await pair.live()
        os.rename(pair.tree / "sub/a", pair.folder / "a")
        await pair.scan()
        await pair.until(lambda counts: counts.queued(Stage.VANISHED) == 1)
        os.rename(pair.folder / "a", pair.tree / "sub/a")
        bind(bound, pair.tree / "sub")
        await asyncio.sleep(2.5)  # the second look has come and gone
        assert (await pair.counts()).queued(Stage.VANISHED) == 1
        assert await pair.live() == live
        subprocess.run(["umount", str(pair.tree / "sub")], check=True)
        await pair.assert_equal()


def test_only_the_mount_itself_is_marked(tmp_path: Path, bound: Path) -> None:
    for name in ("plain", "over"):
        (tmp_path / name).mkdir()
    bind(bound, tmp_path / "over")
    fd = os.open(tmp_path, os.O_RDONLY)
    with posix.opened(fd):
        assert posix.mount_id(fd) == posix.mount_id(fd, b"plain") != posix.mount_id(fd, b"over")
        assert posix.mount_id(fd, b"not there") is None
        marks = {name: disk.look_beneath(fd, b"", name) for name in (b"plain", b"over")}
        assert {name: seen is not None and seen.mounted for name, seen in marks.items()} == {
            b"plain": False,
            b"over": True,
        }
