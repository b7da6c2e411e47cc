"""What a look at the disk may conclude: that a file is gone is said only where nothing can hide it."""

import errno
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pp_assist import disk
from pp_assist.core.model import Root
from pp_assist.core.rules import Rules
from pp_assist.scanner.walk import walk


@pytest.fixture
def root_fd(tmp_path: Path) -> Any:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like the root of another file system."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    inode, fstat, stat = folder.stat().st_ino, os.fstat, os.stat

    def elsewhere(result: os.stat_result) -> os.stat_result:
        if result.st_ino != inode:
            return result
        fields = list(result)
        fields[2] += 1  # st_dev
        return os.stat_result(fields)

    monkeypatch.setattr(os, "fstat", lambda fd: elsewhere(fstat(fd)))
    monkeypatch.setattr(os, "stat", lambda *path, **how: elsewhere(stat(*path, **how)))
    return folder


@pytest.mark.parametrize("directory", [b"mounted", b"mounted/below", b"mounted/below/deep"])
def test_nothing_below_a_mount_counts_as_gone(root_fd: int, mounted: Path, directory: bytes) -> None:
    with pytest.raises(OSError, match="another file system") as caught:
        disk.look_beneath(root_fd, directory, b"file")
    assert caught.value.errno == errno.EXDEV


@pytest.mark.usefixtures("mounted")
def test_a_scan_of_a_mount_alone_says_nothing(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path)
    device, inode = disk.identity(path)
    root = Root(1, path, path, True, True, device, inode, 0, None, "healthy", None)
    (((listing,), _),) = walk(root, Rules(frozenset(), device, len(path)), b"mounted")
    assert not listing.complete
    assert listing.problem


def test_what_is_gone_is_gone(root_fd: int, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for directory in (b"", b"folder", b"missing", b"missing/below", b"folder/missing", b"file", b"file/below"):
        assert disk.look_beneath(root_fd, directory, b"name") is None


def test_behind_a_link_nothing_counts_as_gone(root_fd: int, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/nowhere")
    for directory in (b"link", b"link/below", b"link/below/deep"):
        with pytest.raises(OSError, match="link"):
            disk.look_beneath(root_fd, directory, b"name")


@pytest.mark.parametrize("time_ns", [15 * 10**18, -(15 * 10**18)])
def test_times_beyond_64_bits_are_the_last_ones(tmp_path: Path, time_ns: int) -> None:
    result = os.stat_result([0o100644, 1, 1, 1, 0, 0, 0, 0, 0, 0], {"st_mtime_ns": time_ns, "st_ctime_ns": time_ns})
    assert -(2**63) <= disk.stat_of(result).mtime_ns < 2**63
    assert -(2**63) <= disk.stat_of(result).ctime_ns < 2**63


@pytest.fixture
def way(root_fd: int) -> Iterator[disk.Way]:
    with closing(disk.Way(root_fd)) as opened:
        yield opened


def open_descriptors() -> int:
    return len(os.listdir("/dev/fd"))


def test_a_way_holds_few_directories_open_and_opens_little_again(
    way: disk.Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = 500
    path = tmp_path
    for _ in range(deep):
        path = path / "d"
        (path / "e").mkdir(parents=True)
    opened, real = 0, os.open

    def counting(*args: Any, **how: Any) -> int:
        nonlocal opened
        opened += 1
        return real(*args, **how)

    monkeypatch.setattr(os, "open", counting)
    before = open_descriptors()
    directories = [b"/".join([b"d"] * n) for n in range(1, deep + 1)]
    for directory in directories:
        assert "e" in os.listdir(way.open(directory))
    assert opened == deep
    for directory in reversed(directories):
        assert os.path.samestat(
            os.fstat(way.open(directory + b"/e")), os.stat(tmp_path / os.fsdecode(directory + b"/e"))
        )
        assert open_descriptors() <= before + disk.MOST_OPEN
    assert opened < deep * 10
    way.close()
    assert open_descriptors() == before


def test_a_way_follows_no_link(way: disk.Way, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a")
    way.open(b"a")
    for directory in (b"link", b"link/b"):
        with pytest.raises(OSError, match=r"."):
            way.open(directory)
    (tmp_path / "a").rename(tmp_path / "moved")
    (tmp_path / "a").symlink_to("moved")
    with pytest.raises(OSError, match=r"."):
        way.open(b"a")


def test_a_way_does_not_go_into_a_mount(way: disk.Way, mounted: Path) -> None:
    (mounted / "below").mkdir()
    with pytest.raises(OSError, match="another file system") as caught:
        way.open(b"mounted")
    assert caught.value.errno == errno.EXDEV
