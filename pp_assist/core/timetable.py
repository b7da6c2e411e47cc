"""How fast may be sent at which time of the week. Pure: the local time is an argument."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

KIB = 1024
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SLOWEST_KIB = 16
"""Slower than this, a server may end a request."""

_LINE = re.compile(r"(?:(?P<days>[a-z,-]+)\s+)?(?P<begin>\d\d?:\d\d)-(?P<end>\d\d?:\d\d)\s+(?P<kib>\d+|unlimited)")


class Window(NamedTuple):
    """A time of the day on some days of the week; one that ends before it begins ends on the next day."""

    days: frozenset[int]
    """On which it begins; 0 is Monday."""
    begin_minute: int
    end_minute: int
    kib_per_second: int
    """0: no limit."""

    def covers(self, day: int, minute: int) -> bool:
        """Say whether that minute of that day of the week is in it."""
        if self.begin_minute < self.end_minute:
            return day in self.days and self.begin_minute <= minute < self.end_minute
        began_yesterday = (day - 1) % 7 in self.days and minute < self.end_minute
        return began_yesterday or (day in self.days and minute >= self.begin_minute)


def parse(line: str) -> Window:
    """Read `[DAYS] HH:MM-HH:MM KIB`; days are such as mon-fri or sat,sun, and KIB may be `unlimited`.

    Raises:
        ValueError: it is nothing like that; the message says what is wrong.
    """
    found = _LINE.fullmatch(line.strip().lower())
    if found is None:
        raise ValueError(f"{line!r} is not like 'mon-fri 08:00-18:00 512' or '22:00-06:00 unlimited'")
    kib = 0 if found["kib"] == "unlimited" else fast_enough(int(found["kib"]))
    return Window(_days(found["days"]), _minute(found["begin"]), _minute(found["end"]), kib)


def fast_enough(kib: int) -> int:
    """Return *kib*, if a server would put up with it.

    Raises:
        ValueError: it would not.
    """
    if 0 < kib < SLOWEST_KIB:
        raise ValueError(f"must be at least {SLOWEST_KIB} KiB per second")
    return kib


def limit_at(windows: Sequence[Window], otherwise_kib: int, local: datetime) -> int | None:
    """Return the bytes per second that may be sent: of the first window that covers *local*; None: no limit."""
    minute = local.hour * 60 + local.minute
    kib = next((w.kib_per_second for w in windows if w.covers(local.weekday(), minute)), otherwise_kib)
    return kib * KIB or None


def _minute(text: str) -> int:
    hour, minute = map(int, text.split(":"))
    if (hour, minute) == (24, 0):
        hour = 0
    if hour > 23 or minute > 59:
        raise ValueError(f"{text} is no time of the day")
    return hour * 60 + minute


def _days(text: str | None) -> frozenset[int]:
    if text is None:
        return frozenset(range(7))
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        last = last if dash else first
        if first not in DAYS or last not in DAYS:
            raise ValueError(f"{part!r} is no day of the week ({', '.join(DAYS)})")
        begin, end = DAYS.index(first), DAYS.index(last)
        found |= {day % 7 for day in range(begin, end + 1 if begin <= end else end + 8)}
    return frozenset(found)
