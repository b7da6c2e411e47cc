"""The limit of each minute of the week."""

from datetime import datetime

import pytest

from pp_assist.core.timetable import limit_at, parse

MONDAY = 5  # of January 2026


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 1, MONDAY + day, hour, minute)


@pytest.mark.parametrize(
    ("line", "inside", "outside"),
    [
        ("08:00-18:00 512", [at(0, 8), at(6, 17, 59)], [at(0, 7, 59), at(0, 18)]),
        ("mon-fri 8:00-18:00 512", [at(0, 12), at(4, 12)], [at(5, 12), at(6, 12)]),
        ("sat,sun 00:00-24:00 512", [at(5, 0), at(6, 23, 59)], [at(4, 23, 59), at(0, 0)]),
        ("fri-mon 09:00-10:00 512", [at(4, 9), at(5, 9), at(6, 9), at(0, 9)], [at(1, 9), at(3, 9)]),
        ("sun 22:00-06:00 512", [at(6, 22), at(0, 5, 59)], [at(6, 21, 59), at(0, 6), at(0, 22), at(6, 3)]),
        ("TUE 00:00-00:00 512", [at(1, 0), at(1, 23, 59)], [at(0, 12), at(2, 0)]),
    ],
)
def test_windows(line: str, inside: list[datetime], outside: list[datetime]) -> None:
    window = parse(line)
    assert [limit_at([window], 0, moment) for moment in inside] == [512 * 1024] * len(inside)
    assert [limit_at([window], 0, moment) for moment in outside] == [None] * len(outside)


def test_the_first_that_fits_counts_and_then_the_plain_limit() -> None:
    windows = [parse("12:00-13:00 unlimited"), parse("08:00-18:00 100")]
    assert limit_at(windows, 200, at(0, 12)) is None
    assert limit_at(windows, 200, at(0, 13)) == 100 * 1024
    assert limit_at(windows, 200, at(0, 18)) == 200 * 1024


@pytest.mark.parametrize(
    "line",
    ["", "08:00-18:00", "08:00 512", "25:00-26:00 512", "08:60-09:00 512", "xyz 08:00-18:00 512",
     "mon- 08:00-18:00 512", "mon-fri 08:00-18:00 1", "08:00-18:00 -5", "08:00-18:00 fast"],
)  # fmt: skip
def test_what_is_no_window(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(line)
