"""Receipts are believed only for exactly what was sent and, of a server that signs them, only with its signature."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from pp_assist.core.errors import ServerNonsense
from pp_assist.core.model import Claim
from pp_assist.store.receipts import Kept, SignedTree
from pp_assist.uploader.way import Host
from pp_server.wire.merkle import leaf_hash
from pp_server.wire.messages import MAX_INT
from pp_server.wire.names import to_json
from pp_server.wire.receipts import NotProven, Proof, Receipt, ReceiptKey, Words, canonical, check_all, check_leaves


class Confirmed(NamedTuple):
    """One file that the server has, and why we believe it."""

    claim: Claim
    receipt: Kept
    sent: int
    """Bytes of content that we sent for it, just now."""
    tree: SignedTree | None
    """What signs the receipt, shared by all receipts of one answer; None where the server signs none."""


def believed(
    answers: Sequence[tuple[Claim, Mapping[str, Any], int]], host: Host, key: ReceiptKey | None
) -> list[Confirmed]:
    """Return all receipts of one answer, (claim, receipt as JSON, bytes sent), as confirmed. CPU-bound for many.

    Raises:
        ServerNonsense: one is for something else than what was sent, or is not signed with *key*.
    """
    leaves: list[bytes] = []
    kept = [_kept(receipt, claim, host, leaves) for claim, receipt, _ in answers]
    if key is None or not answers:
        return [Confirmed(claim, receipt, sent, None) for (claim, _, sent), receipt in zip(answers, kept, strict=True)]
    tree = _signed([receipt.get("proof") for _, receipt, _ in answers], leaves, key)
    return [
        Confirmed(claim, receipt._replace(leaf=leaf), sent, tree)
        for leaf, ((claim, _, sent), receipt) in enumerate(zip(answers, kept, strict=True))
    ]


def _kept(receipt: Mapping[str, Any], claim: Claim, host: Host, leaves: list[bytes]) -> Kept:
    """Return what *receipt* says beyond what was sent, if it is for exactly that; add its hash to *leaves*."""
    hashed = claim.hashed
    assert hashed is not None
    filepath, encoded = to_json(claim.location.filepath)
    kind, digest, size = hashed.kind.value, hashed.sha256 or None, hashed.content_bytes
    said = receipt.get
    about = (said("host_id"), said("gen"), said("kind", "file"), said("status", "active"), said("sha256"), said("size"))
    if about != (host.host_id, claim.gen, kind, "active", digest, size):
        raise ServerNonsense("the receipt is for another version than the one sent")
    if (said("filepath"), said("filepath_b64")) != (filepath, encoded):
        raise ServerNonsense("the receipt is for another path than the one sent")
    server_id: Any = said("server_id")
    owner: Any = said("owner")
    stored_at: Any = said("stored_at")
    sequence: Any = said("sequence")
    texts = type(server_id) is type(owner) is type(stored_at) is str
    if not (texts and type(sequence) is int and 0 <= sequence <= MAX_INT):
        raise ServerNonsense("the receipt does not say who gives it, and when")
    words = Words(
        server_id, owner, host.host_id, filepath, encoded, claim.gen, kind, "active", digest, size, stored_at, sequence
    )
    try:
        leaves.append(leaf_hash(canonical(words)))
    except UnicodeEncodeError as error:
        raise ServerNonsense("the receipt says what is no text") from error
    return Kept(server_id, owner, host.host_id, stored_at, sequence, None)


def _signed(proofs: Sequence[Any], leaves: Sequence[bytes], key: ReceiptKey) -> SignedTree:
    """Return what signs *leaves*, if *proofs* say so of each."""
    try:
        first = Proof.model_validate(proofs[0])
        signed = (first.key_id, len(leaves), first.signature)
        for leaf, proof in enumerate(proofs):
            if (proof["key_id"], proof["leaves"], proof["signature"], proof["index"]) != (*signed, leaf):
                raise NotProven("the receipts are not those of one tree")
        check_leaves(leaves, first, key)
    except (ValidationError, TypeError, KeyError) as error:
        raise ServerNonsense("a receipt is not signed") from error
    except NotProven as error:
        raise ServerNonsense(f"a receipt is not to be believed: {error}") from error
    return SignedTree(key.key_id, first.signature, b"".join(leaves))


def check_tombstones(answers: Sequence[tuple[Claim, Receipt | None]], host: Host, key: ReceiptKey | None) -> None:
    """Check all receipts of one answer for deletions.

    Raises:
        ServerNonsense: one is for something else than what was told, or is not signed with *key*.
    """
    receipts = []
    for claim, receipt in answers:
        if receipt is None or (receipt.host_id, receipt.gen, receipt.status) != (host.host_id, claim.gen, "deleted"):
            raise ServerNonsense("the receipt is for something else than the deletion that was told")
        if (receipt.filepath, receipt.filepath_b64) != to_json(claim.location.filepath):
            raise ServerNonsense("the receipt is for the deletion of another path")
        receipts.append(receipt)
    if key is not None and receipts:
        try:
            check_all(receipts, key)
        except NotProven as error:
            raise ServerNonsense(f"a receipt is not to be believed: {error}") from error
