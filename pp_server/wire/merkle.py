"""Merkle trees over many receipts, so that one signature covers all of them and each can be checked alone.

The tree is that of RFC 6962, section 2.1: leaves and nodes are hashed with different first bytes, and an odd node moves
up unchanged. All hashes are SHA-256, 32 bytes.
"""

import hashlib
from collections.abc import Sequence

_LEAF, _NODE = b"\x00", b"\x01"


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of one leaf."""
    return hashlib.sha256(_LEAF + data).digest()


def _node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + right).digest()


class Tree:
    """The tree over at least one leaf hash, kept level by level."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        if not leaves:
            raise ValueError("a tree needs a leaf")
        self._levels = [list(leaves)]
        while len(level := self._levels[-1]) > 1:
            above = [_node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
            self._levels.append(above + level[len(level) & ~1 :])

    @property
    def root(self) -> bytes:
        """The hash that stands for all leaves."""
        return self._levels[-1][0]

    @property
    def leaves(self) -> list[bytes]:
        """The hashes it was made of."""
        return self._levels[0]

    def path(self, index: int) -> list[bytes]:
        """Return the hashes that lead from leaf *index* up to the root, lowest first."""
        path = []
        for level in self._levels[:-1]:
            sibling = index ^ 1
            if sibling < len(level):
                path.append(level[sibling])
            index //= 2
        return path


def root_from_path(leaf: bytes, index: int, leaves: int, path: Sequence[bytes]) -> bytes:
    """Return the root of the tree of *leaves* leaves in which *leaf* stands at *index* and *path* leads upwards.

    Raises:
        ValueError: the path does not fit such a tree.
    """
    if not 0 <= index < leaves:
        raise ValueError("no such leaf")
    rest, width, found = list(path), leaves, leaf
    while width > 1:
        if index ^ 1 < width:
            if not rest:
                raise ValueError("the path is too short")
            sibling = rest.pop(0)
            found = _node_hash(sibling, found) if index & 1 else _node_hash(found, sibling)
        index, width = index // 2, (width + 1) // 2
    if rest:
        raise ValueError("the path is too long")
    return found
