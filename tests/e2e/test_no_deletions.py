"""`make prove-no-deletions`, small: files out of sight are not deleted ones, and real deletions are still told."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.no_deletions import Forbidden, Unmounting, try_again_and_again


def can_mount() -> bool:
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], check=False).returncode == 0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users can get to; pytest's own is closed to them again whenever another run of it starts."""
    with tempfile.TemporaryDirectory(prefix="pp-sight-") as made:
        yield Path(made)


@pytest.mark.root
@pytest.mark.skipif(not can_mount(), reason="only root can mount")
def test_nothing_is_deleted_that_is_out_of_sight_as_root(folder: Path) -> None:
    found = try_again_and_again(folder, seed=1, trials=8, seconds=90, kinds=[Unmounting])["Unmounting"]
    assert found.deletions_told == found.really_deleted > 0


def test_nothing_is_deleted_that_cannot_be_read(folder: Path) -> None:
    found = try_again_and_again(folder, seed=2, trials=8, seconds=90, kinds=[Forbidden])["Forbidden"]
    assert found.deletions_told == found.really_deleted > 0
