"""`make prove-daemon-kills`, small: a few kills over a changing tree."""

from pathlib import Path

from tests.e2e import daemon_kills


def test_a_few_kills(tmp_path: Path) -> None:
    found = daemon_kills.kill_again_and_again(tmp_path, seed=1, kills=6, seconds=120, files=60)
    assert sum(found.kills.values()) == 6
    assert found.sent_after_restart == 0
    assert found.wasted_bytes <= 6 * daemon_kills.CONNECTIONS * daemon_kills.CHUNK_BYTES
