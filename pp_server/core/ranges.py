"""The Range header (RFC 9110): one range of bytes, or none."""

import re
from typing import NamedTuple

from pp_server.core.errors import RangeNotSatisfiable

_RANGE = re.compile(r"bytes\s*=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII)


class Span(NamedTuple):
    """Bytes [first, last], both included."""

    first: int
    last: int


def parse_range(header: str | None, size_bytes: int) -> Span | None:
    """Return the one range asked for; None means the whole file (also for what we need not understand).

    Raises:
        RangeNotSatisfiable: it is a good range that holds no byte of this file.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        span = Span(max(0, size_bytes - int(last)), size_bytes - 1)
        empty = int(last) == 0
    else:
        if last and int(last) < int(first):
            return None
        span = Span(int(first), min(int(last), size_bytes - 1) if last else size_bytes - 1)
        empty = False
    if empty or span.first >= size_bytes:
        raise RangeNotSatisfiable(size_bytes)
    return span
