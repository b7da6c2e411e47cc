"""`make prove-scale`, small: everything ends, and every file is where it should be. Times are not asked for here."""

import sys

import pytest

from tests.scale.lag import felt, percentile
from tests.scale.scale import measure


@pytest.mark.skipif(sys.platform != "linux", reason="pipes, sockets and a file system in memory as Linux has them")
def test_many_files_and_odd_things_on_a_small_scale() -> None:
    found = measure(files=600, one_folder=1200, burst=700, seconds=120, deep=200)
    assert found["all_in_time"]
    assert found["stored"] == 600 + 700 + 200
    assert all(each["health_p99_ms"] >= 0 for each in found["phases"].values())


def test_a_long_lag_counts_as_many_as_it_kept_waiting() -> None:
    assert felt([0.0, 35.0]) == [0.0, 35.0, 25.0, 15.0, 5.0]
    assert percentile([1.0, 2.0, 3.0], 0.5) == 2.0
    assert percentile([], 0.99) == 0.0
