"""Counting second by second, and how long things took."""

import pytest

from pp_assist.core.fetching import beside
from pp_assist.core.series import MOST_LATENCIES, MOST_S, Latencies, Series, Spread


def test_counts_are_of_whole_seconds_and_the_present_one_is_not_over() -> None:
    series = Series()
    for at_ms, count in ((10_100, 1), (10_900, 2), (12_000, 5), (13_500, 7)):
        series.add(count, at_ms)
    assert series.last(4, 13_999) == [0, 3, 0, 5]
    assert series.last(4, 14_000) == [3, 0, 5, 7]
    assert series.last(2, 60_000) == [0, 0]
    assert series.last(3, 0) == [0, 0, 0]


def test_it_forgets_and_does_not_grow() -> None:
    series = Series()
    for second in range(10 * MOST_S):
        series.add(1, second * 1000)
    assert series.last(MOST_S, 10 * MOST_S * 1000) == [1] * MOST_S
    assert len(series._seconds) == MOST_S


def test_latencies_are_of_the_last_quarter_of_an_hour() -> None:
    latencies = Latencies()
    assert latencies.spread(0) is None
    latencies.add(range(1, 101), 1000)
    assert latencies.spread(1000) == Spread(100, 50, 90, 99, 100)
    latencies.add([7], 2000)
    assert latencies.spread(1000 + MOST_S * 1000) == Spread(1, 7, 7, 7, 7)
    latencies.add(range(5 * MOST_LATENCIES), 3000)
    assert latencies.spread(3000) == Spread(MOST_LATENCIES, 4499, 4899, 4989, 4999)


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        (b"letter.txt", b"letter (from server).txt", b"letter (from server 2).txt"),
        (b"archive.tar.gz", b"archive.tar (from server).gz", b"archive.tar (from server 2).gz"),
        (b"README", b"README (from server)", b"README (from server 2)"),
        (b".profile", b".profile (from server)", b".profile (from server 2)"),
        (b"caf\xe9.txt", b"caf\xe9 (from server).txt", b"caf\xe9 (from server 2).txt"),
    ],
)
def test_names_beside(name: bytes, first: bytes, second: bytes) -> None:
    assert (beside(name, 1), beside(name, 2)) == (first, second)


@pytest.mark.parametrize("name", [b"a" * 255, b"\xe9" * 255, "ä".encode() * 127, "ä".encode() * 120 + b".txt"])
def test_a_name_beside_fits(name: bytes) -> None:
    for number in (1, 2, 99):
        assert len(beside(name, number)) <= 255
    if b"\xc3" in name:
        beside(name, 1).decode()
