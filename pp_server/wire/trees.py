"""Moving a whole directory: what both sides take to be in it, and the receipts that follow, counted the same way.

The *entries* of a directory are what is live at its own path and below it, in order of their relative paths' bytes.
The directory's own entry, where it has one, has the empty relative path and so comes first.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pp_server.wire.digest import Digest
from pp_server.wire.merkle import leaf_hash
from pp_server.wire.messages import Kind
from pp_server.wire.names import to_json
from pp_server.wire.receipts import Receipt, canonical

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


def moved_receipts(moved: MovedTree, entries: Iterable[Entry]) -> Iterator[Receipt]:
    """Yield the receipts of a move, without proofs: for each entry its tombstone, then its new version."""
    sequence = moved.first_sequence
    for entry in entries:
        for is_new in (False, True):
            plain, encoded = to_json(placed(moved.path if is_new else moved.source, entry.relative))
            yield Receipt.model_construct(
                server_id=moved.server_id,
                owner=moved.owner,
                host_id=moved.host_id,
                filepath=plain,
                filepath_b64=encoded,
                gen=moved.gen,
                kind=entry.kind,
                status="active" if is_new else "deleted",
                sha256=entry.sha256,
                size=entry.size_bytes,
                stored_at=moved.stored_at,
                sequence=sequence,
                proof=None,
            )
            sequence += 1


def moved_leaves(moved: MovedTree, entries: Iterable[Entry]) -> Iterator[bytes]:
    """Yield the hashes of these receipts, as they stand in the Merkle tree of their batch."""
    return (leaf_hash(canonical(receipt)) for receipt in moved_receipts(moved, entries))
