"""When is a file at rest, so that hashing it makes sense?"""

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
    return stat.ctime_ns if stat.mtime_ns > now_ns else max(stat.mtime_ns, stat.ctime_ns)


def eligible_at_ms(stat: Stat, now_ms: int, quiet_ms: int, closed: bool) -> int:
    """Return when a file just seen as *stat* may be hashed, if it still looks the same then.

    Untouched for *quiet_ms*: at once. Just closed by its writer: 0.1 s from now. Otherwise *quiet_ms* from now, so
    that two equal looks lie a quiet period apart.
    """
    if touched_ns(stat, now_ms * 1_000_000) <= (now_ms - quiet_ms) * 1_000_000:
        return now_ms
    return now_ms + (min(CLOSED_WAIT_MS, quiet_ms) if closed else quiet_ms)


def is_racy(stat: Stat, hash_began_ns: int) -> bool:
    """Say whether the file was touched so shortly before its hash began that a later write could look the same.

    A time that is still to come (the clock was put back) is no such moment: a later write would bring today's.
    """
    return abs(touched_ns(stat, hash_began_ns) - hash_began_ns) < RACY_WINDOW_NS
