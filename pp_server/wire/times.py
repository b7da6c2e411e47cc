"""Times on the wire: UTC with milliseconds and a ``Z``. Inside both programs: integers of milliseconds."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(64)  # a thousand files of one batch were stored in the same millisecond
def iso(ms: int) -> str:
    """Return milliseconds since 1970 as ``2026-11-20T12:30:00.123Z``; years outside 1..9999 are clamped."""
    try:
        moment = _EPOCH + timedelta(milliseconds=ms)
    except OverflowError:
        moment = datetime.max.replace(tzinfo=UTC) if ms > 0 else datetime.min.replace(tzinfo=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_or_none(ms: int | None) -> str | None:
    """Return `iso`, or None where there is no time yet."""
    return None if ms is None else iso(ms)
