"""What becomes of moving a whole directory: pure, from what the records say about it to a decision.

The client says what it takes to be in the directory, and it is moved only if exactly that is there. As everywhere, what
is newer wins, and an order whose effect is there already gets what the first one got.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pp_server.core.model import Facts, VersionStatus
from pp_server.wire.digest import Digest
from pp_server.wire.messages import Kind
from pp_server.wire.names import MAX_PATH_BYTES, below
from pp_server.wire.trees import Entry, is_beneath, placed, relative_to, tree_digest

Span = tuple[bytes, bytes]
"""A half-open range of paths."""


@dataclass(frozen=True, slots=True)
class MoveTree:
    """The directory *source* is at *path* now; *count* entries with *digest* are taken to be in it.

    Facts that are not None replace those of the directory's own entry.
    """

    path: bytes
    source: bytes
    gen: int
    facts: Facts
    count: int
    digest: Digest


class Head(NamedTuple):
    """The newest version of a path, as far as moving directories goes. The fields of an entry come first."""

    path: bytes
    kind: Kind
    sha256: Digest | None
    size_bytes: int
    sequence: int
    status: str
    stored_ms: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What the records say about both places."""

    newest_gen: int
    """The highest generation of any head at both places; anything lower than the order's where all are older."""
    there: Sequence[Head]
    """What is live at the source, perhaps no more than one entry beyond what the order counts."""
    of_this_gen: Sequence[Head]
    """The heads at both places that have the order's own generation."""
    is_taken: bool
    """Something is live at the target."""
    lacks_content: bool
    """Some content of what is to be confirmed is not held any more."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A directory that is at its new place: its entries in order, the first of their sequences, and when."""

    order: MoveTree
    entries: Sequence[Entry]
    first_sequence: int
    stored_ms: int

    @property
    def last_sequence(self) -> int:
        """Return the sequence of the last entry's version."""
        return self.first_sequence + 2 * len(self.entries) - 1

    @property
    def has_own_entry(self) -> bool:
        """Say whether the directory itself is recorded, and not only what is in it."""
        return not self.entries[0].relative


def spans(folder: bytes) -> tuple[Span, Span]:
    """Return where paths of a directory lie: its own, and all below it. Names that go on differently lie between."""
    return (folder, folder + b"\0"), below(folder)


def is_stale(order: MoveTree, seen: Seen) -> bool:
    """Say whether something at one of both places is as new as the order, other than its own effect."""
    return seen.newest_gen > order.gen or (seen.newest_gen == order.gen and repeated(order, seen) is None)


def repeated(order: MoveTree, seen: Seen) -> Moved | None:
    """Return what the order has done already; None where it has not, or something else has this generation."""
    if seen.newest_gen != order.gen:
        return None
    gone = sorted(head for head in seen.of_this_gen if is_beneath(head.path, order.source) and not _is_nothing(head))
    here = sorted(head for head in seen.of_this_gen if is_beneath(head.path, order.path))
    if not gone or len(gone) != len(here):
        return None
    first, when = gone[0].sequence, here[0].stored_ms
    for number, (old, new) in enumerate(zip(gone, here, strict=True)):
        if (old.sequence, new.sequence) != (first + 2 * number, first + 2 * number + 1):
            return None
        if (old.status, new.status, new.stored_ms) != (VersionStatus.DELETED, VersionStatus.ACTIVE, when):
            return None
    entries = _entries(order.source, gone)
    is_same = entries == _entries(order.path, here) and _is_expected(order, entries)
    return Moved(order, entries, first, when) if is_same else None


def movable(order: MoveTree, seen: Seen) -> list[Entry] | None:
    """Return what is to be moved; None where it is not what the order says, or something is in its way."""
    entries = _entries(order.source, sorted(seen.there))
    return entries if not seen.is_taken and _is_expected(order, entries) else None


def is_too_long(order: MoveTree, entries: Iterable[Entry]) -> bool:
    """Say whether a path would be longer at the new place than paths may be."""
    return any(len(placed(order.path, entry.relative)) > MAX_PATH_BYTES for entry in entries)


def _is_expected(order: MoveTree, entries: Sequence[Entry]) -> bool:
    return len(entries) == order.count and tree_digest(entries) == order.digest


def _entries(folder: bytes, heads: Iterable[Head]) -> list[Entry]:
    return [Entry(relative_to(folder, path), kind, digest, size) for path, kind, digest, size, *_ in heads]


def _is_nothing(head: Head) -> bool:
    """Say whether it is a tombstone of what was never here: what a deletion with a generation leaves behind."""
    return head.status == VersionStatus.DELETED and head.kind == "file" and head.sha256 is None
