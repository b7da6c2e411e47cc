"""Following the watcher's hints: targeted looks at the names that something happened to, and below new directories."""

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from pp_assist.core.model import NoticedBy, Root
from pp_assist.core.patterns import IGNORE_NAME
from pp_assist.scanner.record import Recorder
from pp_assist.store import observations

PLACES_AT_A_TIME = 200

T = TypeVar("T")

Places = dict[bytes, dict[bytes, bool]]
"""Directory → names in it to look at → whether the writer closed them."""


async def follow(
    recorder: Recorder, root: Root, places: Places, trees: Collection[bytes] = (), by: NoticedBy = NoticedBy.EVENT
) -> int:
    """Look at *places*, and walk the directories among them that were never listed before, are one of *trees*, or whose
    rules have changed.

    Returns how many files had changed.

    Raises:
        RootUnhealthy: the root is not there, or not the one registered.
        RootForgotten: nobody wants to know any more.
    """
    total = 0
    known = await _from_known_ground(recorder, root, places)
    for some in batched(known.items(), PLACES_AT_A_TIME):
        to_walk = {directory for directory, names in some if IGNORE_NAME in names}
        async for seen in recorder.looks(root, some, by):
            found = await recorder.record(root, seen)
            total += found.changed
            if root.recursive:
                to_walk.update(found.fresh_directories, set(trees).intersection(found.directories))
        for start in _uppermost(to_walk):
            async for seen in recorder.batches(root, start, by=by):
                total += (await recorder.record(root, seen)).changed
    return total


def _uppermost(directories: Iterable[bytes]) -> list[bytes]:
    """Return *directories* without those below another one."""
    found: list[bytes] = []
    for directory in sorted(directories, key=lambda path: path.split(b"/")):
        if not found or not (found[-1] == b"" or directory.startswith(found[-1] + b"/")):
            found.append(directory)
    return found


async def _from_known_ground(recorder: Recorder, root: Root, places: Places) -> Places:
    """Return *places* with each directory we have never listed replaced by its name in the nearest one we have."""
    known: Places = {}
    there = await observations.known_among(recorder.db, root.id, places)
    for directory, names in places.items():
        where, what = directory, names
        while where and where not in there and not await observations.is_known(recorder.db, root.id, where):
            where, _, name = where.rpartition(b"/")
            what = {name: False}
        known.setdefault(where, {}).update(what)
    return known


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield *items* in lists of at most *size*."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
