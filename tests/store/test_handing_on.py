"""Small files go on to be sent with their content and without a row that says so. No row is lost by that."""

import asyncio

import pytest
from test_work import NOW_MS, OLD, Fixed, receipt, replace_size, see
from test_work import root_id as root_id

from pp_assist.core.lifecycle import after_hash
from pp_assist.core.model import Claim, FileState, Hashed, Stage
from pp_assist.store import queues as queues_module
from pp_assist.store import versions
from pp_assist.store.db import Database
from pp_assist.store.queues import BATCH_BYTES, Queues
from pp_assist.store.report import Report


async def read(queues: Queues) -> list[Claim]:
    """Claim everything that waits to be hashed, as it is once it was read."""
    claims = await queues.checksum.claim(NOW_MS, 1000)
    return [c._replace(hashed=Hashed(c.seen, 0o644, 0, 0, "a" * 64), content=b"x") for c in claims if c.seen]


async def handed_on(db: Database, root_id: int, *names: bytes) -> tuple[Queues, list[Claim]]:
    """Have files seen, read, handed on and taken to be sent."""
    queues = Queues(db, Fixed())
    await see(db, root_id, dict.fromkeys(names, OLD))
    queues.small.open()
    assert await queues.small.hand_on(await read(queues))
    return queues, await queues.small.claim(NOW_MS, 1000)


async def test_what_is_handed_on_is_stored_with_its_receipt(db: Database, root_id: int) -> None:
    _, claims = await handed_on(db, root_id, b"a", b"b")
    async with db.transaction() as tx:
        claims = await versions.offered(tx, claims, NOW_MS)
    counts = await Report(db).counts()
    assert counts.files[FileState.DISCOVERED] == counts.queued(Stage.CHECKSUM) == counts.queued(*Stage) == 2
    async with db.transaction() as tx:
        rows = [(claim, receipt(claim), FileState.COMPLETED, True, None) for claim in claims]
        await versions.stored(tx, rows, NOW_MS)
    counts = await Report(db).counts()
    assert (counts.files[FileState.COMPLETED], counts.queued(*Stage)) == (2, 0)


async def test_whoever_holds_it_holds_it_for_the_hasher_too(db: Database, root_id: int) -> None:
    queues, claims = await handed_on(db, root_id, b"a")
    assert await queues.checksum.claim(NOW_MS, 10) == []
    assert queues.is_uploading(claims[0])
    queues.small.release(claims)
    assert not queues.is_uploading(claims[0])
    assert [c.file_id for c in await queues.checksum.claim(NOW_MS, 10)] == [claims[0].file_id]


async def test_whoever_crashes_with_it_leaves_it_to_the_hasher(db: Database, root_id: int) -> None:
    """Taken and not released: those who send are gone, in the middle of a transaction, say."""
    queues, claims = await handed_on(db, root_id, b"a", b"b")
    queues.small.start_over()
    assert not queues.is_uploading(claims[0])
    assert {c.file_id for c in await queues.checksum.claim(NOW_MS, 10)} == {c.file_id for c in claims}


async def test_a_hasher_that_begins_anew_leaves_alone_what_it_handed_on(db: Database, root_id: int) -> None:
    """Else it would be read again, and perhaps otherwise, while it is on its way under the same generation."""
    queues, claims = await handed_on(db, root_id, b"a")
    queues.checksum.start_over()
    assert await queues.checksum.claim(NOW_MS, 10) == []
    queues.small.release(claims)
    queues.checksum.start_over()
    assert len(await queues.checksum.claim(NOW_MS, 10)) == 1


async def test_what_a_crash_interrupts_is_read_again_and_offered_as_it_was(db: Database, root_id: int) -> None:
    _, claims = await handed_on(db, root_id, b"a")
    async with db.transaction() as tx:
        await versions.offered(tx, claims, NOW_MS)
    (again,) = await Queues(db, Fixed()).checksum.claim(NOW_MS, 10)
    hashed = claims[0].hashed
    assert hashed
    plan = after_hash(again, hashed)
    assert (plan.send, plan.new_gen) == (True, False), "the server may have it under this very generation"
    assert after_hash(again, hashed._replace(sha256="b" * 64)).new_gen
    assert after_hash(again, hashed._replace(mode=0o600)).new_gen


async def test_what_cannot_be_sent_is_put_in_line_as_it_was_read(db: Database, root_id: int) -> None:
    queues, claims = await handed_on(db, root_id, b"a")
    async with db.transaction() as tx:
        claims = await versions.put_in_line(tx, claims, NOW_MS)
    assert [(claim.stage, claim.content) for claim in claims] == [(Stage.UPLOAD, None)]
    queues.small.release(claims)
    counts = await Report(db).counts()
    assert counts.files[FileState.READY_FOR_UPLOAD] == counts.queued(Stage.UPLOAD) == counts.queued(*Stage) == 1
    (in_line,) = await queues.small.claim(NOW_MS, 10)
    assert in_line.hashed == claims[0].hashed


async def test_what_changed_meanwhile_is_neither_offered_nor_put_in_line(db: Database, root_id: int) -> None:
    _, claims = await handed_on(db, root_id, b"a")
    await see(db, root_id, {b"a": replace_size(OLD, 7)})
    async with db.transaction() as tx:
        assert await versions.offered(tx, claims, NOW_MS) == []
        await versions.put_in_line(tx, claims, NOW_MS)
    counts = await Report(db).counts()
    assert counts.queued(Stage.CHECKSUM) == counts.queued(*Stage) == 1


async def test_nothing_is_handed_on_while_nobody_sends(db: Database, root_id: int) -> None:
    queues, _ = await handed_on(db, root_id, b"a")
    await see(db, root_id, {b"b": OLD})
    claims = await read(queues)
    assert await queues.small.hand_on(claims)
    assert queues.small.close() == claims
    assert not await queues.small.hand_on(claims)


async def test_who_hands_on_waits_for_room(db: Database, root_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    queues, (claim,) = await handed_on(db, root_id, b"a")
    full = [claim._replace(content=bytes(BATCH_BYTES // 2 + 1))] * 4
    assert await queues.small.hand_on(full)
    waiting = asyncio.create_task(queues.small.hand_on([claim]))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert len(await queues.small.claim(NOW_MS, 1000)) == 1, "what fits into one batch"
    assert await waiting

    monkeypatch.setattr(queues_module, "PATIENCE_S", 0.0)
    assert await queues.small.hand_on(full)
    assert not await queues.small.hand_on([claim])


async def test_of_what_waits_in_line_one_batch_is_taken_and_the_next_begins_with_the_rest(
    db: Database, root_id: int
) -> None:
    queues, size = Queues(db, Fixed()), BATCH_BYTES // 20
    await see(db, root_id, {b"%03d" % n: replace_size(OLD, size) for n in range(100)})
    async with db.transaction() as tx:
        await versions.put_in_line(tx, await read(queues), NOW_MS)
    taken = [[c.location.name for c in await queues.small.claim(NOW_MS, 70)] for _ in range(6)]
    assert list(map(len, taken)) == [20, 20, 20, 20, 20, 0]
    assert [name for each in taken for name in each] == [b"%03d" % n for n in range(100)]
