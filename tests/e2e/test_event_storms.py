"""`make prove-storms`, small: what happens faster than it can be told of is right by the next scan."""

import sys
from pathlib import Path

import pytest

from tests.e2e.storms import weather


@pytest.mark.skipif(sys.platform != "linux", reason="events that say when they were lost")
def test_storms_pass(tmp_path: Path) -> None:
    found = weather(tmp_path, files=1600, seconds=150)
    assert len(found) == 5
    assert all(storm.files for name, storm in found.items() if name != "come and gone")
