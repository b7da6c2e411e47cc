"""What a server promises once it has answered: this version of this path is durable here, and who says so.

A receipt can be checked without the server, alone: its `proof` leads from the receipt's hash through a Merkle tree to
a root, and the root is signed with Ed25519 by the server's key. A `complete` is a tree of one leaf.
"""

import base64
import binascii
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pp_server.wire.merkle import Tree, leaf_hash, root_from_path

_SIGNED = b"putplace receipts v1\n"
"""Stands before the root in what is signed, so that the key's signatures mean nothing else."""


class Proof(BaseModel):
    """Why to believe a receipt: leaf *index* of a tree of *leaves*, *path* to its root, the *signature* of the root."""

    model_config = ConfigDict(frozen=True)

    key_id: str
    leaves: int
    index: int
    path: list[str]
    """Hexadecimal hashes, from the leaf upwards; empty also where the client asked for none and builds them itself."""
    signature: str
    """Base64."""


class Receipt(BaseModel):
    """The server's word that one version of one path is recorded, and its content stored."""

    model_config = ConfigDict(frozen=True)

    server_id: str
    owner: str
    host_id: str
    filepath: str
    filepath_b64: str | None = None
    gen: int
    kind: Literal["file", "dir", "symlink"] = "file"
    status: Literal["active", "deleted"] = "active"
    """`deleted`: the version is a tombstone, and `sha256` what the path held before."""
    sha256: str | None = None
    """None where there is no content: directories, links, and tombstones of what was never here."""
    size: int
    """Bytes."""
    stored_at: str
    """UTC, RFC 3339 with milliseconds."""
    sequence: int
    """Grows with every version this server records; a lower one than seen before means the server went back in time."""
    proof: Proof | None = None
    """None only in receipts that were given before servers signed them."""


class ReceiptKey(BaseModel):
    """A key that signs receipts, as GET /api/receipts/key shows it."""

    model_config = ConfigDict(frozen=True)

    key_id: str
    """The first 16 digits of the SHA-256 of the raw public key."""
    algorithm: Literal["ed25519"] = "ed25519"
    public_key: str
    """Base64 of the 32 raw bytes."""


class NotProven(ValueError):
    """The receipt is not what the key's owner signed; the message says why."""


@dataclass(slots=True)
class Words:
    """What a receipt says, without what proves it: for whoever only hashes thousands of them."""

    server_id: str
    owner: str
    host_id: str
    filepath: str
    filepath_b64: str | None
    gen: int
    kind: str
    status: str
    sha256: str | None
    size: int
    stored_at: str
    sequence: int


def canonical(receipt: Receipt | Words) -> bytes:
    """Return what is hashed: the receipt without its proof and without empty fields, as RFC 8785 writes JSON."""
    r = receipt
    whose = quoted(r.server_id), quoted(r.owner), quoted(r.host_id)
    path, when = quoted(r.filepath), quoted(r.stored_at)
    return canonical_of(path, r.filepath_b64, r.gen, r.kind, whose, r.sequence, r.sha256, r.size, r.status, when)


def canonical_of(
    path: str,
    encoded: str | None,
    gen: int,
    kind: str,
    whose: tuple[str, str, str],
    sequence: int,
    digest: str | None,
    size: int,
    status: str,
    when: str,
) -> bytes:
    """Return `canonical` of a receipt's parts. The path, the time, and *whose* (server, owner, host) are JSON already:
    what thousands have in common need not be quoted each time."""
    server_id, owner, host_id = whose
    encoded = "" if encoded is None else f'"filepath_b64":{quoted(encoded)},'
    digest = "" if digest is None else f'"sha256":{quoted(digest)},'
    return (
        f'{{"filepath":{path},{encoded}"gen":{gen},"host_id":{host_id},"kind":"{kind}","owner":{owner},'
        f'"sequence":{sequence},"server_id":{server_id},{digest}"size":{size},"status":"{status}","stored_at":{when}}}'
    ).encode()


quoted = json.encoder.encode_basestring
"""What `json.dumps` writes for a text, at a fifth of the cost of a call."""


def listed(words: bytes, proof: bytes, nulls: bytes) -> bytes:
    """Return the JSON of a receipt with its *proof*, from what is hashed of it; *nulls* are the fields it has not."""
    return b'%b%b,"proof":%b}' % (words[:-1], nulls, proof)


NO_ENCODED_PATH = b',"filepath_b64":null'
NO_DIGEST = b',"sha256":null'


def tree_of(receipts: Sequence[Receipt]) -> Tree:
    """Return the tree whose leaves are *receipts*, in order."""
    return Tree([leaf_hash(canonical(receipt)) for receipt in receipts])


def signed_bytes(root: bytes) -> bytes:
    """Return what is signed for a root."""
    return _SIGNED + root


@dataclass(frozen=True, slots=True)
class Signed:
    """A tree and the signature (base64) of its root. Without *paths*, proofs come bare: the client has all leaves."""

    tree: Tree
    key_id: str
    signature: str
    paths: bool

    def proof(self, index: int) -> Proof:
        """Return the proof of the leaf at *index*."""
        path = [node.hex() for node in self.tree.path(index)] if self.paths else []
        leaves = len(self.tree.leaves)
        return Proof.model_construct(
            key_id=self.key_id, leaves=leaves, index=index, path=path, signature=self.signature
        )

    def proof_json(self, index: int) -> bytes:
        """Return `proof` as JSON."""
        path = ",".join([f'"{node.hex()}"' for node in self.tree.path(index)]) if self.paths else ""
        leaves = len(self.tree.leaves)
        return (
            f'{{"key_id":"{self.key_id}","leaves":{leaves},"index":{index},"path":[{path}],'
            f'"signature":"{self.signature}"}}'
        ).encode()


def check(receipt: Receipt, key: ReceiptKey) -> None:
    """Check one receipt alone.

    Raises:
        NotProven: it has no proof, the proof is by another key, or it does not hold.
    """
    proof = receipt.proof
    if proof is None:
        raise NotProven("the receipt is not signed")
    try:
        path = [bytes.fromhex(node) for node in proof.path]
        root = root_from_path(leaf_hash(canonical(receipt)), proof.index, proof.leaves, path)
    except (ValueError, UnicodeEncodeError) as error:
        raise NotProven(f"the proof does not fit: {error}") from error
    check_root(root, proof, key)


def check_all(receipts: Sequence[Receipt], key: ReceiptKey) -> Tree:
    """Check all receipts of one tree at once, in order, whether they carry their paths or not; return the tree.

    Raises:
        NotProven: as for `check`.
    """
    if any(receipt.proof is None for receipt in receipts):
        raise NotProven("a receipt is not signed")
    tree = tree_of(receipts)
    for index, receipt in enumerate(receipts):
        proof = receipt.proof
        assert proof is not None
        if (proof.index, proof.leaves) != (index, len(receipts)) or proof.signature != receipts[0].proof.signature:  # type: ignore[union-attr]
            raise NotProven("the receipts are not those of one tree")
    assert receipts[0].proof is not None
    check_root(tree.root, receipts[0].proof, key)
    return tree


def check_leaves(leaves: Sequence[bytes], proof: Proof, key: ReceiptKey) -> Tree:
    """Check all receipts of one tree at once, given as their hashes, in order, by the *proof* of any; return the tree.

    Raises:
        NotProven: they are not the leaves that were signed.
    """
    if len(leaves) != proof.leaves:
        raise NotProven("the receipts are not those of one tree")
    tree = Tree(leaves)
    check_root(tree.root, proof, key)
    return tree


_loading = threading.Lock()
"""Only who checks a signature loads what that takes, 7 MiB; and one thread at a time: these modules import each other,
and a second thread that comes meanwhile may see one half done (seen: an ImportError)."""


def check_root(root: bytes, proof: Proof, key: ReceiptKey) -> None:
    """Check the signature of a root.

    Raises:
        NotProven: it is not the key's.
    """
    with _loading:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if proof.key_id != key.key_id:
        raise NotProven(f"the receipt is signed by key {proof.key_id}, not {key.key_id}")
    try:
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.public_key, validate=True))
        public.verify(base64.b64decode(proof.signature, validate=True), signed_bytes(root))
    except (InvalidSignature, ValueError, binascii.Error) as error:
        raise NotProven("the signature is not the key's") from error
