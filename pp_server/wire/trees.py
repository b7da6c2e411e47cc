"""Moving a whole directory: what both sides take to be in it, and the receipts that follow, counted the same way.

The *entries* of a directory are what is live at its own path and below it, in order of their relative paths' bytes.
The directory's own entry, where it has one, has the empty relative path and so comes first.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from typing import NamedTuple

from pp_server.wire.digest import Digest
from pp_server.wire.merkle import leaf_hash
from pp_server.wire.messages import Kind
from pp_server.wire.names import to_json
from pp_server.wire.receipts import Receipt, Words, canonical

MAX_MOVE_TREE = 100_000
"""Entries that one batch may move with their directories, all together."""


class Entry(NamedTuple):
    """One thing in a directory that is moved."""

    relative: bytes
    kind: Kind
    sha256: str | None
    """None where there is no content."""
    size_bytes: int


def relative_to(folder: bytes, path: bytes) -> bytes:
    """Return where *path* is in *folder*; the folder itself has the empty path."""
    return path[len(folder) + 1 :]


def placed(folder: bytes, relative: bytes) -> bytes:
    """Return the path that *relative* has in *folder*."""
    return folder + b"/" + relative if relative else folder


def is_beneath(path: bytes, folder: bytes) -> bool:
    """Say whether *path* is the folder itself or lies below it."""
    return path == folder or path.startswith(folder + b"/")


def tree_digest(entries: Iterable[Entry]) -> Digest:
    """Return the digest of a directory's entries, which come in their order."""
    hasher = hashlib.sha256()
    for entry in entries:
        hasher.update(b"\0".join((entry.relative, entry.kind.encode(), (entry.sha256 or "").encode(), b"")))
    return Digest(hasher.hexdigest())


@dataclass(frozen=True, slots=True)
class MovedTree:
    """What the receipts of one move of a directory have in common."""

    server_id: str
    owner: str
    host_id: str
    source: bytes
    path: bytes
    gen: int
    first_sequence: int
    stored_at: str


def moved_words(moved: MovedTree, entries: Iterable[Entry]) -> Iterator[Words]:
    """Yield what the receipts of a move say: for each entry its tombstone, then its new version."""
    server_id, owner, host_id, source, path, gen, sequence, when = astuple(moved)
    for relative, kind, digest, size in entries:
        old, new = to_json(placed(source, relative)), to_json(placed(path, relative))
        yield Words(server_id, owner, host_id, *old, gen, kind, "deleted", digest, size, when, sequence)
        yield Words(server_id, owner, host_id, *new, gen, kind, "active", digest, size, when, sequence + 1)
        sequence += 2


def moved_receipts(moved: MovedTree, entries: Iterable[Entry]) -> Iterator[Receipt]:
    """Yield the receipts of a move, without proofs, as `moved_words` has them."""
    return (Receipt.model_validate(words, from_attributes=True) for words in moved_words(moved, entries))


class Leaves:
    """The leaves of one answer's tree, in the order of its results; a version that several name stands where the first
    does."""

    def __init__(self) -> None:
        self.hashes: list[bytes] = []
        self._places: dict[int, int] = {}

    def add(self, receipt: Receipt | Words) -> None:
        """Add a receipt, if it is not there."""
        self.add_leaf(receipt.sequence, leaf_hash(canonical(receipt)))

    def add_leaf(self, sequence: int, leaf: bytes) -> None:
        """Add the hash of a receipt, if it is not there."""
        if sequence not in self._places:
            self._places[sequence] = len(self.hashes)
            self.hashes.append(leaf)

    def place(self, sequence: int) -> int:
        """Return where the version of this sequence stands."""
        return self._places[sequence]
