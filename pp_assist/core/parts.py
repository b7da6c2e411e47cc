"""A look at a directory, cut into parts: a transaction must never be about more names than others can wait for."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter

from pp_assist.core.model import Listing, Part

_NAME = attrgetter("name")


def cut(listing: Listing, at: Sequence[bytes]) -> list[Listing]:
    """Return *listing* as several that say the same: one ends, and the next begins, at each of the names *at*.

    Those must be in order and inside its part; it must be about all names of that, and not about some asked for.
    """
    if not at:
        return [listing]
    entries = sorted(listing.entries, key=_NAME)
    edges = (listing.part.first, *at, listing.part.end)
    places = [bisect_left(entries, edge, key=_NAME) for edge in edges]
    return [
        replace(listing, part=Part(first, end), entries=tuple(entries[here:there]))
        for first, end, here, there in zip(edges, edges[1:], places, places[1:], strict=False)
    ]


def apart(listing: Listing, most: int) -> list[Listing]:
    """Return a *listing* of names that were asked for as several that say the same of at most so many names each."""
    assert listing.asked is not None
    if len(listing.asked) <= most:
        return [listing]
    names, entries = sorted(listing.asked), {entry.name: entry for entry in listing.entries}
    return [
        replace(
            listing,
            asked=frozenset(some := names[n : n + most]),
            entries=tuple(entries[name] for name in some if name in entries),
        )
        for n in range(0, len(names), most)
    ]
