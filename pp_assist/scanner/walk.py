"""Reading directories: one at a time, streamed, beneath an open root, never through a link. Blocking."""

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import replace
from heapq import merge
from itertools import islice

from pp_assist.core.hints import MAX_NAMES_PER_DIRECTORY
from pp_assist.core.model import AFTER_ALL_NAMES, ALL_NAMES, Kind, Listing, Part, Root, Snapshot
from pp_assist.core.patterns import IGNORE_NAME
from pp_assist.core.rules import Rules, marks_server_data
from pp_assist.disk import GONE, look_beneath, mounts_marked, opened_directory, opened_root, snapshot_of
from pp_assist.scanner.ignore import Ignores, Levels, reachable
from pp_server.wire.names import SERVER_DATA_MARK

BATCH_ENTRIES = 1000
"""No batch, and so no transaction, is about more names."""

BATCH_DIRECTORIES = 250
PART_ENTRIES = 500
"""A directory with more names is several listings."""

SORTED_AT_A_TIME = 5000
"""Sorting is one step for all other threads, the event loop's too: never of many names."""

BeforeListing = Callable[[bytes, int], None]
"""Told of every directory, as its path below the root and an open descriptor, right before it is listed."""


def walk(
    root: Root, rules: Rules, start: bytes = b"", before: BeforeListing = lambda directory, fd: None
) -> Generator[list[Listing], None, None]:
    """Yield the listings of *start* (a directory below the root) and of everything below it, parents first.

    Holds one batch, one directory's names and the list of directories still to visit in memory, nothing else.

    Raises:
        RootUnhealthy: the root is not there, or not the one registered.
    """
    with opened_root(root.path, root.identity) as root_fd:
        ignores = Ignores(root, rules, root_fd)
        reached, levels = ignores.reach(start)
        if reached != start:
            yield from _batches(_look_at_places(root_fd, ignores, [(start, {})]))
            return
        yield from _batches(_walk(root, rules, root_fd, ignores, (start, ignores.above(start, levels)), before))


def _walk(
    root: Root, rules: Rules, root_fd: int, ignores: Ignores, top: tuple[bytes, Levels], before: BeforeListing
) -> Iterator[Listing]:
    pending = [top]
    while pending:
        for listing in list_directory(root_fd, ignores, *pending.pop(), before):
            if root.recursive:
                pending.extend((below, listing.levels) for below in reversed(_descend(listing, rules)))
            yield listing


def _batches(listings: Iterable[Listing]) -> Generator[list[Listing], None, None]:
    """Yield *listings* in batches of a bounded number of names."""
    batch: list[Listing] = []
    names = 0
    for listing in listings:
        more = max(len(listing.entries), len(listing.asked or ()))
        if batch and (names + more > BATCH_ENTRIES or len(batch) >= BATCH_DIRECTORIES):
            yield batch
            batch, names = [], 0
        batch.append(listing)
        names += more
    if batch:
        yield batch


def _descend(listing: Listing, rules: Rules) -> list[bytes]:
    if rules.leaves_out_all(listing):
        return []
    prefix = listing.directory + b"/" if listing.directory else b""
    judge = rules.judge(listing)
    return [
        prefix + entry.name
        for entry in listing.entries
        if entry.kind is Kind.DIR
        and not rules.excluded(entry, judge)
        and not rules.unsupported(listing.directory, entry)
    ]


def list_directory(
    root_fd: int,
    ignores: Ignores,
    directory: bytes,
    above: Levels,
    before: BeforeListing = lambda directory, fd: None,
) -> Iterator[Listing]:
    """Yield everything in *directory*, in parts: their names follow each other.

    First all names are read, then they are looked at. A part is not `complete` where reading the names, or a look at
    any of them so far, has failed: after the first error nothing is said to be missing any more.

    *above* are the patterns that count there, but for its own.
    """
    told = Listing(directory, (), complete=False, levels=above)
    part = ALL_NAMES
    try:
        with opened_directory(root_fd, directory) as fd:
            before(directory, fd)
            names, problem = _names(fd)
            if IGNORE_NAME in names:
                own, rule_problems = ignores.of(directory, fd)
                told = replace(told, levels=above + own, rule_problems=rule_problems)
            if SERVER_DATA_MARK in names:
                mark, problem = _looks(fd, [SERVER_DATA_MARK], problem)
                told = replace(told, is_server_data=marks_server_data(mark))
            for part, some in _parts(names):
                entries, problem = _looks(fd, some, problem)
                yield replace(told, entries=tuple(entries), complete=problem is None, problem=problem, part=part)
    except OSError as error:
        yield replace(told, problem=f"cannot list it: {error.strerror}", part=part)


def _names(fd: int) -> tuple[list[bytes], str | None]:
    """Return the names in the open directory *fd*, and what went wrong."""
    names: list[bytes] = []
    try:
        with os.scandir(fd) as found:
            names.extend(os.fsencode(entry.name) for entry in found)  # those before an error stay
    except OSError as error:
        return names, f"cannot list it: {error.strerror}"
    return names, None


def _parts(names: list[bytes]) -> Iterator[tuple[Part, list[bytes]]]:
    """Yield the parts that *names* are listed in, together all names there can be, and the names in each."""
    if len(names) <= PART_ENTRIES:
        yield ALL_NAMES, names
        return
    runs = [sorted(names[n : n + SORTED_AT_A_TIME]) for n in range(0, len(names), SORTED_AT_A_TIME)]
    in_order = merge(*runs)
    first, some = b"", list(islice(in_order, PART_ENTRIES))
    while some:
        following = list(islice(in_order, PART_ENTRIES))
        end = following[0] if following else AFTER_ALL_NAMES
        yield Part(first, end), some
        first, some = end, following


def _looks(fd: int, names: Iterable[bytes], problem: str | None) -> tuple[list[Snapshot], str | None]:
    """Return what *names* in the open directory *fd* are, and what went wrong: *problem*, if anything has before."""
    entries: list[Snapshot] = []
    for name in names:
        try:
            entries.append(snapshot_of(name, os.stat(name, dir_fd=fd, follow_symlinks=False)))
        except OSError as error:
            if error.errno not in GONE:
                problem = problem or f"cannot look at all names: {error.strerror}"
    return mounts_marked(fd, entries), problem


def look_at_places(
    root: Root, rules: Rules, places: Iterable[tuple[bytes, Mapping[bytes, bool]]]
) -> Generator[list[Listing], None, None]:
    """Yield what some names in some directories are now: (directory, name → closed by its writer).

    A directory that is gone has none of them. Where many names are asked for, the whole directory is listed. Where a
    pattern leaves out the directory, or one above it, that one is looked at instead.

    Raises:
        RootUnhealthy: the root is not there, or not the one registered.
    """
    with opened_root(root.path, root.identity) as root_fd:
        yield from _batches(_look_at_places(root_fd, Ignores(root, rules, root_fd), places))


def _look_at_places(
    root_fd: int, ignores: Ignores, places: Iterable[tuple[bytes, Mapping[bytes, bool]]]
) -> Iterator[Listing]:
    for directory, (levels, names) in reachable(ignores, places).items():
        yield from _look_at(root_fd, ignores, directory, levels, names)


def _look_at(
    root_fd: int, ignores: Ignores, directory: bytes, levels: Levels, names: Mapping[bytes, bool]
) -> Iterator[Listing]:
    closed = frozenset(name for name, is_closed in names.items() if is_closed)
    if len(names) > MAX_NAMES_PER_DIRECTORY:
        for part in list_directory(root_fd, ignores, directory, ignores.above(directory, levels)):
            yield replace(part, closed=closed)
        return
    entries: list[Snapshot] = []
    problem = None
    asked = frozenset({*names, SERVER_DATA_MARK})  # the mark counts for every name beside it
    for name in asked:
        try:
            entry = look_beneath(root_fd, directory, name)
        except OSError as error:
            problem = f"cannot look at all names: {error.strerror}"
        else:
            entries += [entry] if entry else []
    yield Listing(directory, tuple(entries), problem is None, asked, closed, problem, levels)
