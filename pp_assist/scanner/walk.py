"""Reading directories: one at a time, streamed, beneath an open root, never through a link. Blocking."""

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from heapq import merge
from itertools import islice
from operator import attrgetter
from stat import S_ISDIR
from typing import NamedTuple

from pp_assist.core.hints import MAX_NAMES_PER_DIRECTORY
from pp_assist.core.model import AFTER_ALL_NAMES, ALL_NAMES, Listing, Part, Root, Snapshot
from pp_assist.core.patterns import IGNORE_NAME
from pp_assist.core.rules import Rules, marks_server_data
from pp_assist.disk import GONE, Way, mounts_marked, nothing_if_gone, opened_directory, opened_root, snapshot_of
from pp_assist.scanner.ignore import Ignores, Levels, reachable
from pp_assist.scanner.unfamiliar import Seen, Unfamiliar, entries_of
from pp_server.wire.names import SERVER_DATA_MARK

BATCH_ENTRIES = 1000
"""No batch, and so no transaction, is about more names."""

BATCH_DIRECTORIES = 250
BATCH_LOOKS = 10_000
"""Names after which a walk that finds nothing says so: nobody can stop it in between."""

PART_ENTRIES = 500
"""A directory with more names is several listings."""

AT_A_TIME = 5000
"""What is done to a list at once is one step for all other threads, the event loop's too: never to many names."""

_NAME = attrgetter("name")

BeforeListing = Callable[[bytes, int], None]
"""Told of every directory, as its path below the root and an open descriptor, right before it is listed."""


class Batch(NamedTuple):
    """A bounded number of listings."""

    listings: list[Listing]
    looked_at: int
    """Names that were looked at, those included that are in no listing."""


class _Looked(NamedTuple):
    """What came of a look at (a part of) a directory."""

    listing: Listing | None
    """What is to be written down; None: nothing is."""
    looked_at: int
    below: list[bytes]
    """The directories in it, relative to the root, that are to be walked."""
    levels: Levels
    """The patterns that count in it."""


def walk(
    root: Root,
    rules: Rules,
    start: bytes = b"",
    before: BeforeListing = lambda directory, fd: None,
    unfamiliar: Unfamiliar | None = None,
) -> Generator[Batch, None, None]:
    """Yield the listings of *start* (a directory below the root) and of everything below it, parents first.

    With *unfamiliar*, what is exactly as known is left out: of many directories there is no listing at all, of others
    one of some names.

    Holds one batch, one directory's names and the list of directories still to visit in memory, nothing else.

    Raises:
        RootUnhealthy: the root is not there, or not the one registered.
    """
    with opened_root(root.path, root.identity) as root_fd, closing(Way(root_fd)) as way:
        ignores = Ignores(root, rules, root_fd)
        reached, levels = ignores.reach(start)
        if reached != start:
            yield from _batches(_look_at_places(way, ignores, rules, [(start, {})]))
            return
        look = partial(_list_directory, way, ignores, rules, before=before, unfamiliar=unfamiliar)
        yield from _batches(_walk(look, (start, ignores.above(start, levels))))


def _walk(look: Callable[[bytes, Levels], Iterator[_Looked]], top: tuple[bytes, Levels]) -> Iterator[_Looked]:
    pending = [top]
    while pending:
        for looked in look(*pending.pop()):
            pending.extend((below, looked.levels) for below in reversed(looked.below))
            yield looked


def _batches(looks: Iterable[_Looked]) -> Generator[Batch, None, None]:
    """Yield the listings among *looks* in batches of a bounded number of names; and now and then, even without any."""
    listings: list[Listing] = []
    names = looked_at = 0
    for listing, count, *_ in looks:
        more = 0 if listing is None else max(len(listing.entries), len(listing.asked or ()))
        full = names + more > BATCH_ENTRIES or len(listings) >= BATCH_DIRECTORIES
        if (listings and full) or looked_at >= BATCH_LOOKS:
            yield Batch(listings, looked_at)
            listings, names, looked_at = [], 0, 0
        if listing is not None:
            listings.append(listing)
        names += more
        looked_at += count
    if looked_at or listings:
        yield Batch(listings, looked_at)


def _descend(told: Listing, folders: Iterable[Snapshot], rules: Rules) -> list[bytes]:
    if not rules.recursive or rules.leaves_out_all(told):
        return []
    prefix = told.directory + b"/" if told.directory else b""
    judge = rules.judge(told)
    return [
        prefix + folder.name
        for folder in folders
        if not rules.excluded(folder, judge) and not rules.unsupported(told.directory, folder)
    ]


def _list_directory(
    way: Way,
    ignores: Ignores,
    rules: Rules,
    directory: bytes,
    above: Levels,
    before: BeforeListing = lambda directory, fd: None,
    unfamiliar: Unfamiliar | None = None,
) -> Iterator[_Looked]:
    """Yield what came of a look at everything in *directory*, in parts: their names follow each other.

    First all names are read, then they are looked at. A part is not `complete` where reading the names, or a look at
    any of them so far, has failed: after the first error nothing is said to be missing any more.

    *above* are the patterns that count there, but for its own.
    """
    told = Listing(directory, (), complete=True, levels=above)
    try:
        fd = way.open(directory)
        before(directory, fd)
        names, problem = _names(fd)
        if IGNORE_NAME in names:
            own, rule_problems = ignores.of(directory, fd)
            told = replace(told, levels=above + own, rule_problems=rule_problems)
        if SERVER_DATA_MARK in names:
            (mark, _), problem = _looks(fd, [SERVER_DATA_MARK], problem)
            told = replace(told, is_server_data=marks_server_data(entries_of(mark, {})))
        for part, some in _parts(names):
            (seen, folders), problem = _looks(fd, some, problem)
            if problem or part != ALL_NAMES:
                told = replace(told, complete=problem is None, problem=problem, part=part)
            news = None if unfamiliar is None else unfamiliar.names(told, seen, folders)
            listing = None
            if news is None:
                listing = replace(told, entries=entries_of(seen, folders))
            elif news:
                listing = replace(told, entries=entries_of(seen, folders, news), asked=frozenset(news))
            counted = len(seen) if rules.recursive else len(seen) - len(folders)  # else they have no rows
            yield _Looked(listing, counted, _descend(told, folders.values(), rules), told.levels)
    except OSError as error:
        problem = f"cannot list it: {error.strerror}"
        yield _Looked(replace(told, complete=False, problem=problem), 0, [], told.levels)


def _names(fd: int) -> tuple[list[bytes], str | None]:
    """Return the names in the open directory *fd*, and what went wrong."""
    names: list[str] = []
    problem = None
    try:
        with os.scandir(fd) as found:
            names.extend(map(_NAME, found))  # those before an error stay
    except OSError as error:
        problem = f"cannot list it: {error.strerror}"
    some = (names[n : n + AT_A_TIME] for n in range(0, len(names), AT_A_TIME))
    return [name for each in some for name in os.fsencode("/".join(each)).split(b"/")], problem  # none has a slash


def _parts(names: list[bytes]) -> Iterator[tuple[Part, list[bytes]]]:
    """Yield the parts that *names* are listed in, together all names there can be, and the names in each."""
    if len(names) <= PART_ENTRIES:
        yield ALL_NAMES, names
        return
    runs = [sorted(names[n : n + AT_A_TIME]) for n in range(0, len(names), AT_A_TIME)]
    in_order = merge(*runs)
    first, some = b"", list(islice(in_order, PART_ENTRIES))
    while some:
        following = list(islice(in_order, PART_ENTRIES))
        end = following[0] if following else AFTER_ALL_NAMES
        yield Part(first, end), some
        first, some = end, following


def _looks(
    fd: int, names: Iterable[bytes], problem: str | None
) -> tuple[tuple[Seen, dict[bytes, Snapshot]], str | None]:
    """Return what *names* in the open directory *fd* are and the directories among them, and what went wrong:
    *problem*, if anything has before.
    """
    seen: list[tuple[bytes, os.stat_result]] = []
    stat = os.stat
    for name in names:
        try:
            seen.append((name, stat(name, dir_fd=fd, follow_symlinks=False)))
        except OSError as error:
            if error.errno not in GONE:
                problem = problem or f"cannot look at all names: {error.strerror}"
    folders = mounts_marked(fd, [snapshot_of(*each) for each in seen if S_ISDIR(each[1].st_mode)])
    return (seen, {folder.name: folder for folder in folders}), problem


def look_at_places(
    root: Root, rules: Rules, places: Iterable[tuple[bytes, Mapping[bytes, bool]]]
) -> Generator[Batch, None, None]:
    """Yield what some names in some directories are now: (directory, name → closed by its writer).

    A directory that is gone has none of them. Where many names are asked for, the whole directory is listed. Where a
    pattern leaves out the directory, or one above it, that one is looked at instead.

    Raises:
        RootUnhealthy: the root is not there, or not the one registered.
    """
    with opened_root(root.path, root.identity) as root_fd, closing(Way(root_fd)) as way:
        yield from _batches(_look_at_places(way, Ignores(root, rules, root_fd), rules, places))


def _look_at_places(
    way: Way, ignores: Ignores, rules: Rules, places: Iterable[tuple[bytes, Mapping[bytes, bool]]]
) -> Iterator[_Looked]:
    for directory, (levels, names) in reachable(ignores, places).items():
        if len(names) <= MAX_NAMES_PER_DIRECTORY:
            yield _look_at(way.root_fd, directory, levels, names)
            continue
        closed = frozenset(name for name, is_closed in names.items() if is_closed)
        for part in _list_directory(way, ignores, rules, directory, ignores.above(directory, levels)):
            assert part.listing is not None
            yield part._replace(listing=replace(part.listing, closed=closed))


def _look_at(root_fd: int, directory: bytes, levels: Levels, names: Mapping[bytes, bool]) -> _Looked:
    entries: tuple[Snapshot, ...] = ()
    problem = None
    asked = frozenset({*names, SERVER_DATA_MARK})  # the mark counts for every name beside it
    try:
        with nothing_if_gone(root_fd, directory), opened_directory(root_fd, directory) as fd:
            found, problem = _looks(fd, asked, problem)
            entries = entries_of(*found)
    except OSError as error:
        problem = f"cannot look at all names: {error.strerror}"
    closed = frozenset(name for name, is_closed in names.items() if is_closed)
    listing = Listing(directory, entries, problem is None, asked, closed, problem, levels)
    return _Looked(listing, len(entries), [], levels)
