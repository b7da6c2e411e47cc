"""What there is at and below the paths that a person names. Blocking."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pp_assist.core.errors import AssistError
from pp_assist.core.model import STORABLE, Claim, Folder, Kind, Listing, Location, Root, Snapshot, Stage
from pp_assist.core.patterns import Level, checked, parse_list
from pp_assist.core.rules import Rules
from pp_assist.disk import look, resolve
from pp_assist.scanner.walk import walk

PORTION_FILES = 500
PORTION_BYTES = 4 << 20
OPTION = "--exclude"


@dataclass(frozen=True, slots=True)
class NotFound:
    """Something that was named, or lies below that, and cannot be looked at."""

    filepath: bytes
    problem: str


Found = Claim | NotFound


def found(path: bytes, exclude: Sequence[str]) -> Iterator[Found]:
    """Yield everything at and below *path* that can be stored and is not left out, as work to do.

    *exclude* are patterns as in a `.gitignore`, from the named folder on; `.ppignore` files count as well.

    Raises:
        BadPattern: one of them means nothing.
    """
    patterns = parse_list(tuple(map(checked, exclude)), OPTION)
    shown = os.path.abspath(path)
    try:
        if os.path.isdir(shown) and not os.path.islink(shown):
            yield from _below(shown, Level(b"", patterns))
        else:
            yield _alone(shown)
    except (OSError, AssistError) as error:
        yield NotFound(shown, getattr(error, "strerror", None) or str(error))


def _alone(shown: bytes) -> Found:
    directory, name = os.path.split(shown)
    resolved, (device, inode, file_system) = resolve(directory)
    location = Location(Folder(0, resolved, device, inode, b"", directory, root_file_system=file_system), name)
    entry = look(location)
    if entry is None:
        return NotFound(shown, "there is no such file")
    return _claim(location, entry) if entry.kind in STORABLE else NotFound(shown, f"it is a {entry.kind}, not a file")


def _below(shown: bytes, patterns: Level) -> Iterator[Found]:
    resolved, (device, inode, file_system) = resolve(shown)
    root = Root(0, resolved, shown, True, True, device, inode, 0, None, "healthy", None, file_system=file_system)
    rules = Rules(frozenset(), device, len(shown), (patterns,))
    for batch in walk(root, rules):
        for listing in batch.listings:
            yield from _in(listing, root, rules)


def _in(listing: Listing, root: Root, rules: Rules) -> Iterator[Found]:
    folder = Folder(
        0, root.path, root.device, root.inode, listing.directory, root.shown, root_file_system=root.file_system
    )
    if listing.problem:
        yield NotFound(folder.shown.rstrip(b"/"), listing.problem)
    if rules.leaves_out_all(listing):
        return
    judge = rules.judge(listing)
    for entry in listing.entries:
        if rules.excluded(entry, judge):
            continue
        if rules.unsupported(listing.directory, entry) is None:
            yield _claim(Location(folder, entry.name), entry)


def _claim(location: Location, entry: Snapshot) -> Claim:
    return Claim(0, 0, Stage.UPLOAD, 0, 0, location, None, entry.stat, None, None, kind=entry.kind)


def size_of(claim: Claim) -> int:
    """Return how much content there was when it was found."""
    return claim.seen.size_bytes if claim.seen and claim.kind is Kind.FILE else 0


def portions(everything: Iterator[Found], alone_bytes: int) -> Iterator[list[Found]]:
    """Yield *everything* in parts that are read and sent together; files above *alone_bytes* are parts of their own."""
    part: list[Found] = []
    total = 0
    for each in everything:
        size = size_of(each) if isinstance(each, Claim) else 0
        if size > alone_bytes:
            yield [each]
            continue
        if part and (len(part) == PORTION_FILES or total + size > PORTION_BYTES):
            yield part
            part, total = [], 0
        part.append(each)
        total += size
    if part:
        yield part
