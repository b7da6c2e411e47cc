"""In which order a folder's files are stored for the first time: what was changed last comes first. Pure."""

from bisect import bisect_right

HOUR_MS = 3_600_000
AGES_MS = (HOUR_MS, 24 * HOUR_MS, 7 * 24 * HOUR_MS, 31 * 24 * HOUR_MS, 366 * 24 * HOUR_MS)
"""Files of about the same age keep the order in which they were found: folder by folder, which reads faster."""

STEP_MS = 600_000
"""Between two ages in line: more than most first scans take, so that what is found late is not too late."""


def turn_ms(eligible_at_ms: int, mtime_ns: int, now_ms: int) -> int:
    """Return when the turn of a file counts as having come that was last written to at *mtime_ns*.

    Only of a file that is eligible already, and always in the past: whoever waits to come to rest still waits.
    """
    if eligible_at_ms > now_ms:
        return eligible_at_ms
    age = bisect_right(AGES_MS, max(0, now_ms - mtime_ns // 1_000_000))
    return now_ms - STEP_MS * (len(AGES_MS) - age)
