"""When is a file at rest, so that hashing it makes sense?"""

from typing import NamedTuple

from pp_assist.core.model import Stat

CLOSED_WAIT_MS = 100
"""After the writer closed the file: long enough for a second close right behind it."""

RACY_WINDOW_NS = 20_000_000
"""Older kernels stamp files with a clock that ticks every 4 ms; borg waits 20 ms for the same reason (borg #3536)."""

CHANGING = "changing"
"""Why a file waits to be hashed that did not look the same twice."""

BUSY = "busy"
"""The same, for longer than a person would expect."""


def why_waiting(reason: str | None, queued_at_ms: int | None, now_ms: int, busy_after_ms: int) -> str | None:
    """Return *reason*, or `busy` for a file that has gone on changing for longer than *busy_after_ms*."""
    if reason == CHANGING and queued_at_ms is not None and now_ms - queued_at_ms >= busy_after_ms:
        return BUSY
    return reason


def touched_ns(stat: Stat, now_ns: int) -> int:
    """Return the last moment the file is known to have been touched; an mtime in the future says nothing."""
    _, mtime_ns, ctime_ns, _, _ = stat
    return ctime_ns if mtime_ns > now_ns or ctime_ns > mtime_ns else mtime_ns


class Rest(NamedTuple):
    """How long a file must have been left alone."""

    quiet_ms: int
    """Before it is at rest."""
    min_age_ms: int = 0
    """Before a person wants it stored."""

    def eligible_at_ms(self, stat: Stat, now_ms: int, closed: bool = False) -> int:
        """Return when a file just seen as *stat* may be hashed, if it still looks the same then.

        Untouched for the quiet time: at once. Just closed by its writer: 0.1 s from now. Otherwise a quiet time from
        now, so that two equal looks lie that far apart. And not before it is old enough.
        """
        touched = touched_ns(stat, now_ms * 1_000_000)
        if touched <= (now_ms - self.quiet_ms) * 1_000_000:
            rested_at_ms = now_ms
        else:
            rested_at_ms = now_ms + (min(CLOSED_WAIT_MS, self.quiet_ms) if closed else self.quiet_ms)
        if not self.min_age_ms:
            return rested_at_ms
        old_at_ms = min(-(-touched // 1_000_000), now_ms) + self.min_age_ms  # a time to come (ctime) counts as now
        return max(rested_at_ms, old_at_ms)

    def why(self, eligible_at_ms: int, now_ms: int) -> str | None:
        """Return the name of the rule that makes a file wait until *eligible_at_ms*; None: it only comes to rest."""
        return "too_young" if eligible_at_ms > now_ms + self.quiet_ms else None


def is_racy(stat: Stat, hash_began_ns: int) -> bool:
    """Say whether the file was touched so shortly before its hash began that a later write could look the same.

    A time that is still to come (the clock was put back) is no such moment: a later write would bring today's.
    """
    return abs(touched_ns(stat, hash_began_ns) - hash_began_ns) < RACY_WINDOW_NS
