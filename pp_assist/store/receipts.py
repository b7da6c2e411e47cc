"""Receipts, kept so that each can be shown to others and checked without us: whose keys we trust, and the signed trees.

A receipt itself is the columns `stored_*` of its file. What signs it covers all receipts of one answer, so it is kept
once for all of them: the leaves of their tree, from which the path of any one leaf can be built.
"""

import base64
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import aiosqlite

from pp_assist.store import keepsake
from pp_assist.store.db import Database
from pp_server.wire.merkle import Tree
from pp_server.wire.names import to_json
from pp_server.wire.receipts import Proof, Receipt, ReceiptKey

LEAF_BYTES = 32

_KEEP = "INSERT INTO receipt_trees (owner, host_id, key_id, signature, leaves) VALUES (?, ?, ?, ?, ?) RETURNING id"
_PRUNE = "DELETE FROM receipt_trees WHERE NOT EXISTS (SELECT 1 FROM files WHERE stored_tree = receipt_trees.id)"
_TRUSTED = "SELECT key_id, public_key FROM receipt_keys WHERE server_id = ? AND trusted_by IS NOT NULL"
_TRUST = """
INSERT INTO receipt_keys (server_id, key_id, public_key, trusted_by, first_seen_ms)
SELECT ?1, ?2, ?3, id, ?5 FROM servers WHERE id = ?4
ON CONFLICT (server_id, key_id) DO UPDATE SET trusted_by = excluded.trusted_by"""
_SIGNED = """
SELECT r.shown, d.path AS directory, f.name, f.stored_gen, f.stored_sha256, f.stored_size, f.stored_at,
       f.stored_sequence, f.stored_server, f.stored_kind, f.stored_leaf, t.owner, t.host_id, t.key_id, t.signature,
       t.leaves, k.public_key
FROM directories d JOIN files f ON f.directory_id = d.id JOIN roots r ON r.id = d.root_id
JOIN receipt_trees t ON t.id = f.stored_tree
LEFT JOIN receipt_keys k ON k.server_id = f.stored_server AND k.key_id = t.key_id
WHERE d.root_id = ? AND d.path = ? AND f.name = ? AND f.stored_gen IS NOT NULL"""


@dataclass(frozen=True, slots=True)
class SignedTree:
    """One signature, and the hashes of all receipts it covers."""

    key_id: str
    signature: str
    """Base64, as the receipts carry it."""
    leaves: bytes


class Kept(NamedTuple):
    """What is kept of a receipt: what it says beyond what was sent."""

    server_id: str
    owner: str
    host_id: str
    stored_at: str
    sequence: int
    leaf: int | None
    """Its place in the tree that is signed; None where it is not signed."""


async def keep(tx: aiosqlite.Connection, tree: SignedTree, receipt: Kept | Receipt) -> int:
    """Keep *tree*, of which *receipt* is one leaf; return its number, to be named with each leaf that is stored."""
    signature = base64.b64decode(tree.signature)
    values = (receipt.owner, receipt.host_id, tree.key_id, signature, tree.leaves)
    (row,) = await tx.execute_fetchall(_KEEP, values)
    return int(row[0])


async def prune(tx: aiosqlite.Connection) -> None:
    """Remove the trees of which no file is a leaf any more."""
    await tx.execute(_PRUNE)


async def trusted_key(db: Database, server_id: str) -> ReceiptKey | None:
    """Return the key whose signature the receipts of *server_id* must bear; None before the first one was seen."""
    rows = await db.rows(_TRUSTED, (server_id,))
    return ReceiptKey(**dict(rows[0])) if rows else None


async def trust(tx: aiosqlite.Connection, server_id: str, key: ReceiptKey, server: int, now_ms: int) -> None:
    """Trust *key* for *server_id* from now on, for as long as the row *server* of `servers` is there."""
    await tx.execute(_TRUST, (server_id, key.key_id, key.public_key, server, now_ms))
    await keepsake.changed(tx)


async def signed_receipt(db: Database, root_id: int, relative: bytes) -> tuple[Receipt, ReceiptKey | None] | None:
    """Return the last receipt for a path below a root with its whole proof, and the key that signed it.

    None where there is none, or only one that is not signed.
    """
    directory, _, name = relative.rpartition(b"/")
    rows = await db.rows(_SIGNED, (root_id, directory, name))
    if not rows:
        return None
    key = None
    if rows[0]["public_key"] is not None:
        key = ReceiptKey(key_id=rows[0]["key_id"], public_key=rows[0]["public_key"])
    return _receipt(rows[0]), key


def _receipt(row: sqlite3.Row) -> Receipt:
    facts: dict[str, Any] = dict(row)
    parts = (facts["shown"].rstrip(b"/"), facts["directory"], facts["name"])
    filepath, encoded = to_json(b"/".join(part for n, part in enumerate(parts) if part or n == 0))
    leaves = split(facts["leaves"])
    path = [node.hex() for node in Tree(leaves).path(facts["stored_leaf"])]
    return Receipt(
        server_id=facts["stored_server"],
        owner=facts["owner"],
        host_id=facts["host_id"],
        filepath=filepath,
        filepath_b64=encoded,
        gen=facts["stored_gen"],
        kind=facts["stored_kind"],
        sha256=facts["stored_sha256"],
        size=facts["stored_size"],
        stored_at=facts["stored_at"],
        sequence=facts["stored_sequence"],
        proof=Proof(
            key_id=facts["key_id"],
            leaves=len(leaves),
            index=facts["stored_leaf"],
            path=path,
            signature=base64.b64encode(facts["signature"]).decode(),
        ),
    )


def split(leaves: bytes) -> Sequence[bytes]:
    """Return the hashes one by one."""
    return [leaves[start : start + LEAF_BYTES] for start in range(0, len(leaves), LEAF_BYTES)]
