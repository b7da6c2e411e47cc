"""Receipts are believed only for exactly what was sent and, of a server that signs them, only with its signature."""

from collections.abc import Sequence
from dataclasses import dataclass

from pp_assist.core.errors import ServerNonsense
from pp_assist.core.model import Claim
from pp_assist.store.receipts import SignedTree
from pp_assist.uploader.way import Host
from pp_server.wire.names import to_json
from pp_server.wire.receipts import NotProven, Receipt, ReceiptKey, check_all


@dataclass(frozen=True, slots=True)
class Confirmed:
    """One file that the server has, and why we believe it."""

    claim: Claim
    receipt: Receipt
    sent: int
    """Bytes of content that we sent for it, just now."""
    tree: SignedTree | None
    """What signs the receipt, shared by all receipts of one answer; None where the server signs none."""


def believed(answers: Sequence[tuple[Claim, Receipt, int]], host: Host, key: ReceiptKey | None) -> list[Confirmed]:
    """Return all receipts of one answer, (claim, receipt, bytes sent), as confirmed. CPU-bound for many.

    Raises:
        ServerNonsense: one is for something else than what was sent, or is not signed with *key*.
    """
    for claim, receipt, _ in answers:
        _check_ours(receipt, claim, host)
    tree = _proven([receipt for _, receipt, _ in answers], key) if key is not None and answers else None
    return [Confirmed(claim, receipt, sent, tree) for claim, receipt, sent in answers]


def _check_ours(receipt: Receipt, claim: Claim, host: Host) -> None:
    hashed = claim.hashed
    assert hashed is not None
    ours = (host.host_id, claim.gen, hashed.kind, "active", hashed.sha256, hashed.content_bytes)
    if (receipt.host_id, receipt.gen, receipt.kind, receipt.status, receipt.sha256 or "", receipt.size) != ours:
        raise ServerNonsense("the receipt is for another version than the one sent")
    if (receipt.filepath, receipt.filepath_b64) != to_json(claim.location.filepath):
        raise ServerNonsense("the receipt is for another path than the one sent")


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
        _proven(receipts, key)


def _proven(receipts: Sequence[Receipt], key: ReceiptKey) -> SignedTree:
    try:
        tree = check_all(receipts, key)
    except NotProven as error:
        raise ServerNonsense(f"a receipt is not to be believed: {error}") from error
    proof = receipts[0].proof
    assert proof is not None
    return SignedTree(key.key_id, proof.signature, b"".join(tree.leaves))
