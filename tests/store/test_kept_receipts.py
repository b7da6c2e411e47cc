"""Receipts are kept so that each can be checked alone, and what signs them only for as long as it is needed."""

import base64
import hashlib
import sqlite3
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from test_lanes import hand_on
from test_work import NOW_MS, OLD, Fixed, see
from test_work import root_id as root_id

from pp_assist.core.model import Claim, FileState, Lane
from pp_assist.store import receipts, versions
from pp_assist.store.db import Database, open_database
from pp_assist.store.queues import Queues
from pp_assist.store.receipts import SignedTree
from pp_assist.store.servers import ServersTable
from pp_server.wire.names import to_json
from pp_server.wire.receipts import NotProven, Proof, Receipt, ReceiptKey, check, signed_bytes, tree_of

RELEASED = Path(__file__).parent / "released"


class Signer:
    """A server's key."""

    def __init__(self) -> None:
        self._private = Ed25519PrivateKey.generate()
        raw = self._private.public_key().public_bytes_raw()
        key_id = hashlib.sha256(raw).hexdigest()[:16]
        self.key = ReceiptKey(key_id=key_id, public_key=base64.b64encode(raw).decode())

    def sign(self, claims: list[Claim], sequence: int) -> tuple[list[Receipt], SignedTree]:
        """Answer one batch."""
        bare = [_bare(claim, sequence + n) for n, claim in enumerate(claims)]
        tree = tree_of(bare)
        signature = base64.b64encode(self._private.sign(signed_bytes(tree.root))).decode()

        def proven(index: int, receipt: Receipt) -> Receipt:
            proof = Proof(key_id=self.key.key_id, leaves=len(bare), index=index, path=[], signature=signature)
            return receipt.model_copy(update={"proof": proof})

        kept = SignedTree(self.key.key_id, signature, b"".join(tree.leaves))
        return [proven(n, receipt) for n, receipt in enumerate(bare)], kept


def _bare(claim: Claim, sequence: int) -> Receipt:
    assert claim.hashed
    filepath, encoded = to_json(claim.location.filepath)
    return Receipt(
        server_id="s", owner="me", host_id="h", filepath=filepath, filepath_b64=encoded, gen=claim.gen, sha256="a" * 64,
        size=claim.hashed.stat.size_bytes, stored_at=f"2026-01-01T00:00:00.{sequence:03}Z", sequence=sequence,
    )  # fmt: skip


@pytest.fixture
def signer() -> Signer:
    return Signer()


async def trust(db: Database, signer: Signer) -> None:
    server = await ServersTable(db).add("main", "https://s", "key", 0)
    async with db.transaction() as tx:
        await receipts.trust(tx, "s", signer.key, server.id, 0)


def kept(receipt: Receipt) -> receipts.Kept:
    assert receipt.proof is not None
    said = receipt.server_id, receipt.owner, receipt.host_id, receipt.stored_at, receipt.sequence
    return receipts.Kept(*said, receipt.proof.index)


async def store(db: Database, signer: Signer, sequence: int = 1) -> list[Claim]:
    """Let all small files that wait have been stored by one batch."""
    queues = Queues(db, Fixed())
    await hand_on(db, queues)
    claims = await queues.uploads[Lane.SMALL].claim(NOW_MS, 1000)
    answers, tree = signer.sign(claims, sequence)
    async with db.transaction() as tx:
        number = await receipts.keep(tx, tree, kept(answers[0]))
        rows = [(c, kept(r), FileState.COMPLETED, True, number) for c, r in zip(claims, answers, strict=True)]
        await versions.stored(tx, rows, NOW_MS)
    return claims


@pytest.mark.parametrize("count", [1, 2, 3, 7, 100])
async def test_every_receipt_of_a_batch_can_be_checked_alone(
    db: Database, root_id: int, signer: Signer, count: int
) -> None:
    await trust(db, signer)
    await see(db, root_id, {b"%03d" % n: OLD._replace(size_bytes=n) for n in range(count - 1)} | {b"caf\xe9": OLD})
    claims = await store(db, signer)
    assert len(claims) == count
    for claim in claims:
        found = await receipts.signed_receipt(db, root_id, claim.location.name)
        assert found is not None
        kept, key = found
        assert key == signer.key
        check(kept, signer.key)
        assert (kept.gen, kept.size) == (claim.gen, claim.hashed.stat.size_bytes)  # type: ignore[union-attr]
        with pytest.raises(NotProven):
            check(kept.model_copy(update={"size": kept.size + 1}), signer.key)
        with pytest.raises(NotProven):
            check(kept, Signer().key.model_copy(update={"key_id": key.key_id}))


async def test_a_changed_file_keeps_the_receipt_of_what_the_server_has(
    db: Database, root_id: int, signer: Signer
) -> None:
    await trust(db, signer)
    await see(db, root_id, {b"f": OLD})
    (claim,) = await store(db, signer)
    await see(db, root_id, {b"f": OLD._replace(size_bytes=77)})
    await hand_on(db, Queues(db, Fixed()))
    found = await receipts.signed_receipt(db, root_id, b"f")
    assert found is not None
    check(found[0], signer.key)
    assert (found[0].gen, found[0].size) == (claim.gen, 1)


async def test_a_tree_is_kept_while_a_file_is_a_leaf_of_it(db: Database, root_id: int, signer: Signer) -> None:
    await see(db, root_id, {b"a": OLD, b"b": OLD})
    await store(db, signer)
    assert await trees(db) == 1
    await see(db, root_id, {b"a": OLD._replace(size_bytes=2), b"b": OLD})
    await store(db, signer, sequence=5)
    assert await trees(db) == 2, "b is still a leaf of the first"
    await see(db, root_id, {b"a": OLD._replace(size_bytes=2), b"b": OLD._replace(size_bytes=2)})
    await store(db, signer, sequence=9)
    assert await trees(db) == 2, "a is still a leaf of the second"
    async with db.transaction() as tx:
        plan = [row["detail"] for row in await tx.execute_fetchall(f"EXPLAIN QUERY PLAN {receipts._PRUNE}")]
        assert any("files_by_tree" in step for step in plan), "one look per tree, not one per file"


async def trees(db: Database) -> int:
    async with db.transaction() as tx:
        await receipts.prune(tx)
    return int(await db.value("SELECT COUNT(*) FROM receipt_trees"))


async def test_a_key_is_trusted_for_as_long_as_the_server_is_known(db: Database, signer: Signer) -> None:
    await trust(db, signer)
    assert await receipts.trusted_key(db, "s") == signer.key
    assert await receipts.trusted_key(db, "another") is None
    servers, other = ServersTable(db), Signer()
    await servers.remove(1)
    async with db.transaction() as tx:
        await receipts.trust(tx, "s", signer.key, 1, 0)  # it was removed while it was being asked
    assert await receipts.trusted_key(db, "s") is None
    again = await servers.add("again", "https://s", "key", 0)
    async with db.transaction() as tx:
        await receipts.trust(tx, "s", other.key, again.id, 0)
    assert await receipts.trusted_key(db, "s") == other.key
    with pytest.raises(sqlite3.IntegrityError):
        async with db.transaction() as tx:
            await receipts.trust(tx, "s", signer.key, again.id, 0)


async def test_a_receipt_that_an_earlier_version_kept_can_still_be_shown(path: str) -> None:
    with sqlite3.connect(path) as conn:
        conn.executescript((RELEASED / "assist-3.sql").read_text())
    conn.close()
    async with open_database(path) as db:
        for relative in (b"a.txt", b"sub/b.bin", b"caf\xe9"):
            found = await receipts.signed_receipt(db, 1, relative)
            assert found is not None
            kept, key = found
            assert key is not None
            check(kept, key)
        assert await receipts.signed_receipt(db, 1, b"waiting") is None
