"""Reading directories: one at a time, streamed, beneath an open root, never through a link. Blocking."""

import os
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import replace

from pp_assist.core.hints import MAX_NAMES_PER_DIRECTORY
from pp_assist.core.model import Kind, Listing, Root, Snapshot
from pp_assist.core.patterns import IGNORE_NAME, Problem
from pp_assist.core.rules import Rules
from pp_assist.disk import GONE, look_beneath, mounts_marked, opened_directory, opened_root, snapshot_of
from pp_assist.scanner.ignore import Ignores, Levels, reachable
from pp_server.wire.names import SERVER_DATA_MARK

BATCH_ENTRIES = 2000
BATCH_DIRECTORIES = 500


BeforeListing = Callable[[bytes, int], None]
"""Told of every directory, as its path below the root and an open descriptor, right before it is listed."""


def walk(
    root: Root, rules: Rules, start: bytes = b"", before: BeforeListing = lambda directory, fd: None
) -> Generator[list[Listing], None, None]:
    """Yield the listings of *start* (a directory below the root) and of everything below it, parents first.

    Holds one directory's entries and the list of directories still to visit in memory, nothing else.

    Raises:
        RootUnhealthy: the root is not there, or not the one registered.
    """
    with opened_root(root.path, root.device, root.inode) as root_fd:
        ignores = Ignores(root, rules, root_fd)
        reached, levels = ignores.reach(start)
        if reached != start:
            yield _look_at_places(root_fd, ignores, [(start, {})])
            return
        pending = [(start, ignores.above(start, levels))]
        batch: list[Listing] = []
        entries = 0
        while pending:
            listing = list_directory(root_fd, ignores, *pending.pop(), before)
            batch.append(listing)
            entries += len(listing.entries)
            if root.recursive:
                pending.extend((below, listing.levels) for below in reversed(_descend(listing, rules)))
            if entries >= BATCH_ENTRIES or len(batch) >= BATCH_DIRECTORIES:
                yield batch
                batch, entries = [], 0
        if batch:
            yield batch


def _descend(listing: Listing, rules: Rules) -> list[bytes]:
    if rules.leaves_out_all(listing.entries):
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
) -> Listing:
    """Return everything in *directory*; not `complete` where anything in it could not be looked at.

    *above* are the patterns that count there, but for its own.
    """
    entries: list[Snapshot] = []
    problem = None
    own: Levels = ()
    rule_problems: tuple[Problem, ...] = ()
    try:
        with opened_directory(root_fd, directory) as fd:
            before(directory, fd)
            with os.scandir(fd) as found:
                for entry in found:
                    try:
                        entries.append(snapshot_of(os.fsencode(entry.name), entry.stat(follow_symlinks=False)))
                    except OSError as error:
                        if error.errno not in GONE:
                            problem = f"cannot look at all names: {error.strerror}"
            entries = mounts_marked(fd, entries)
            if any(entry.name == IGNORE_NAME for entry in entries):
                own, rule_problems = ignores.of(directory, fd)
    except OSError as error:
        problem = f"cannot list it: {error.strerror}"
    return Listing(
        directory,
        tuple(entries),
        complete=problem is None,
        problem=problem,
        levels=above + own,
        rule_problems=rule_problems,
    )


def look_at_places(root: Root, rules: Rules, places: Iterable[tuple[bytes, Mapping[bytes, bool]]]) -> list[Listing]:
    """Return what some names in some directories are now: (directory, name → closed by its writer).

    A directory that is gone has none of them. Where many names are asked for, the whole directory is listed. Where a
    pattern leaves out the directory, or one above it, that one is looked at instead.

    Raises:
        RootUnhealthy: the root is not there, or not the one registered.
    """
    with opened_root(root.path, root.device, root.inode) as root_fd:
        return _look_at_places(root_fd, Ignores(root, rules, root_fd), places)


def _look_at_places(
    root_fd: int, ignores: Ignores, places: Iterable[tuple[bytes, Mapping[bytes, bool]]]
) -> list[Listing]:
    return [
        _look_at(root_fd, ignores, directory, levels, names)
        for directory, (levels, names) in reachable(ignores, places).items()
    ]


def _look_at(root_fd: int, ignores: Ignores, directory: bytes, levels: Levels, names: Mapping[bytes, bool]) -> Listing:
    closed = frozenset(name for name, is_closed in names.items() if is_closed)
    if len(names) > MAX_NAMES_PER_DIRECTORY:
        whole = list_directory(root_fd, ignores, directory, ignores.above(directory, levels))
        return replace(whole, closed=closed)
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
    return Listing(directory, tuple(entries), problem is None, asked, closed, problem, levels)
