"""Client and server are killed while they work: nothing is lost, nothing is doubled, little is sent again."""

from pathlib import Path

import pytest

from tests.indexedcp.proving import upload_and_kill


@pytest.mark.timeout(600)
def test_killed_at_random(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """12 MiB and 6 kills; `make prove-indexedcp` has 200 MiB and 50."""
    monkeypatch.chdir(tmp_path)
    upload_and_kill(tmp_path, 12, 256 << 10, 6, seed=12, timeout_s=500)
