"""Which files of a drop folder are complete? Pure: from what was seen at each look, no clock and no network.

SFTP does not tell when a writer is done. A file counts as complete when its size and mtime were equal at two looks that
lie a rest apart, and when its content does not say otherwise (`wholeness`). Temporary names are left alone.
"""

import fnmatch
import posixpath
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

TEMPORARY = re.compile(
    rb"^[.~#]|~$|\.(part|partial|filepart|tmp|temp|crdownload|download|upload|uploading|incomplete|writing|swp|lock)$",
    re.IGNORECASE,
)
"""Names of files that somebody is still writing: hidden ones (rsync, lftp, editors), and those with such an end."""


def draft_of(remote: str) -> str:
    """Return a temporary name beside *remote*: hidden, and such as pollers leave alone."""
    folder, name = posixpath.split(remote)
    return posixpath.join(folder, f".{name}.{secrets.token_hex(4)}.part")


class Seen(NamedTuple):
    """What can be seen of a file without reading it."""

    size_bytes: int
    mtime_s: int


class Observed(NamedTuple):
    """How a file looks, and since when."""

    seen: Seen
    since_ms: int


def is_wanted(name: bytes, patterns: Sequence[str]) -> bool:
    """Say whether a file is ours to take: no temporary name, and one of *patterns* fits (case does not matter)."""
    if TEMPORARY.search(name):
        return False
    text = name.decode("utf-8", "surrogateescape").lower()
    return not patterns or any(fnmatch.fnmatchcase(text, pattern.lower()) for pattern in patterns)


def observe(before: Mapping[bytes, Observed], listing: Mapping[bytes, Seen], now_ms: int) -> dict[bytes, Observed]:
    """Return what is known after one more look. What is not there any more is forgotten."""
    return {
        name: known if (known := before.get(name)) is not None and known.seen == seen else Observed(seen, now_ms)
        for name, seen in listing.items()
    }


def complete(observed: Mapping[bytes, Observed], now_ms: int, rest_ms: int) -> list[bytes]:
    """Return the names that were as they are at an earlier look, and for that long, oldest first."""
    ripe = [
        (each.seen.mtime_s, name)
        for name, each in observed.items()
        if each.since_ms < now_ms and now_ms - each.since_ms >= rest_ms
    ]
    return [name for _, name in sorted(ripe)]


def batches(waiting: Sequence[str], size: int, more_to_come: bool) -> Iterable[Sequence[str]]:
    """Yield those *waiting* in groups of *size*; the last may be smaller, where nothing is to come soon."""
    for start in range(0, len(waiting), size):
        group = waiting[start : start + size]
        if len(group) == size or not more_to_come:
            yield group
