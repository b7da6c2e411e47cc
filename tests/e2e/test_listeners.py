"""`make prove-listeners`, small: sixteen listen, one of them never reads, and nobody else misses anything."""

import sys
from pathlib import Path

import pytest

from tests.e2e.listeners import listen


@pytest.mark.skipif(sys.platform != "linux", reason="the state of a connection, as Linux tells it")
def test_sixteen_listen_to_a_real_daemon(tmp_path: Path) -> None:
    found = listen(tmp_path, events=2000, rate=500, until_cut_s=1.0, files=50)
    assert found.received == 15 * 2000
    assert found.cuts_and_resumptions > 10
    assert found.rss_peak_mib < found.rss_before_mib + 48
