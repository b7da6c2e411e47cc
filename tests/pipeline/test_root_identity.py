"""A root is known by its inode and its file system; the device number may be another one after a start."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pair import Pair, noise, running_pair, write

from pp_assist import disk
from pp_assist.core.model import FileState


async def filled(pair: Pair) -> None:
    for n in range(30):
        write(pair.tree / f"d{n % 3}" / f"f{n}", noise(100 + n, n))
    await pair.assert_equal()


def change(pair: Pair, *statements: str) -> None:
    with closing(sqlite3.connect(pair.state / "assist.db")) as conn, conn:
        for statement in statements:
            conn.execute(statement)


@pytest.fixture
def telling(tmp_path: Path) -> None:
    if disk.root_identity(os.fsencode(tmp_path)).file_system is None:
        pytest.skip("this file system has no number of its own")


@pytest.mark.usefixtures("telling")
async def test_another_device_number_means_nothing(pair: Pair) -> None:
    await filled(pair)
    await pair.stop_daemon()
    change(pair, "UPDATE roots SET device = device + 1", "UPDATE files SET device = device + 1")
    write(pair.tree / "d0" / "f0", "changed meanwhile")
    (pair.tree / "d1" / "f1").unlink()
    await pair.start_daemon()
    await pair.assert_equal()
    assert pair.daemon
    assert pair.daemon.checksums.stats.processed.total == 2, "one file, and the folder that lost one"
    (root,) = await pair.daemon.roots.all()
    assert root.identity == disk.root_identity(root.path)
    assert root.status == "healthy"


@pytest.mark.usefixtures("telling")
async def test_another_file_system_is_another_folder(pair: Pair) -> None:
    await filled(pair)
    before = await pair.live()
    await pair.stop_daemon()
    change(pair, "UPDATE roots SET file_system = file_system + 1")
    (pair.tree / "d1" / "f1").unlink()
    await pair.start_daemon()
    await pair.scan()
    assert pair.daemon
    (root,) = await pair.daemon.roots.all()
    assert (root.status, "another folder" in (root.reason or "")) == ("unhealthy", True)
    assert (await pair.counts()).files[FileState.VANISHED] == 0
    assert await pair.live() == before


@pytest.mark.usefixtures("telling")
async def test_a_root_of_an_older_version_learns_its_number(pair: Pair) -> None:
    await filled(pair)
    await pair.stop_daemon()
    change(pair, "UPDATE roots SET file_system = NULL")
    await pair.start_daemon()
    await pair.assert_equal()
    assert pair.daemon
    (root,) = await pair.daemon.roots.all()
    assert root.identity == disk.root_identity(root.path)
    assert pair.daemon.checksums.stats.processed.total == 0


# -- real disks


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class Disk:
    """An ext4 of its own, in a file."""

    def __init__(self, image: Path) -> None:
        self.image = image
        with open(image, "wb") as file:
            file.truncate(8 << 20)
        run("mkfs.ext4", "-q", "-F", str(image))
        self.device = ""

    def mount(self, where: Path, device: str = "") -> None:
        self.device = device or run("losetup", "--find")
        run("losetup", self.device, str(self.image))
        run("mount", self.device, str(where))

    def unmount(self) -> str:
        """Return the device that is free now."""
        run("umount", self.device)
        run("losetup", "--detach", self.device)
        device, self.device = self.device, ""
        return device


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[tuple[Disk, Disk]]:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root may mount")
    try:
        found = Disk(tmp_path / "one.img"), Disk(tmp_path / "other.img")
        (tmp_path / "tree").mkdir()
        found[0].mount(tmp_path / "tree")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no ext4 on a loop device here: {error}")
    yield found
    for each in found:
        if each.device:
            each.unmount()


async def test_a_disk_that_is_mounted_anew(tmp_path: Path, disks: tuple[Disk, Disk]) -> None:
    """The same disk under another device number is the same; another disk under the same number is not."""
    one, other = disks
    (tmp_path / "tree" / "lost+found").rmdir()
    async with running_pair(tmp_path) as pair:
        await filled(pair)
        before = await pair.live()
        assert pair.daemon
        (root,) = await pair.daemon.roots.all()
        device = one.unmount()
        other.mount(pair.tree, device)
        taken = disk.root_identity(root.path)
        assert (taken.device, taken.inode) == (root.device, root.inode), "nothing else tells them apart"
        await pair.scan()
        assert (await pair.daemon.roots.all())[0].status == "unhealthy"
        assert await pair.live() == before
        other.unmount()

        blocker = tmp_path / "elsewhere"
        blocker.mkdir()
        other.mount(blocker, device)  # keeps the number
        one.mount(pair.tree)
        hashed = pair.daemon.checksums.stats.processed.total
        await pair.assert_equal()
        assert pair.daemon.checksums.stats.processed.total == hashed
        (again,) = await pair.daemon.roots.all()
        assert (again.status, again.device != root.device) == ("healthy", True)
        other.unmount()
