"""`make prove-no-deletions`, small: files out of sight are not deleted ones, and real deletions are still told."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.no_deletions import Forbidden, Unmounting, try_again_and_again


def can_mount() -> bool:
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], check=False).returncode == 0


@pytest.mark.root
@pytest.mark.skipif(not can_mount(), reason="only root can mount")
def test_nothing_is_deleted_that_is_out_of_sight_as_root(tmp_path: Path) -> None:
    found = try_again_and_again(tmp_path, seed=1, trials=8, seconds=90, kinds=[Unmounting])["Unmounting"]
    assert found.deletions_told == found.really_deleted > 0


def test_nothing_is_deleted_that_cannot_be_read(tmp_path: Path) -> None:
    found = try_again_and_again(tmp_path, seed=2, trials=8, seconds=90, kinds=[Forbidden])["Forbidden"]
    assert found.deletions_told == found.really_deleted > 0
