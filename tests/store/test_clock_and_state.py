"""Clocks that are put back, and receipts that are worth nothing any more."""

import asyncio

from test_work import NOW_MS, OLD, Fixed, hash_all, queue_of, receipt, root_id, see

from pp_assist.core.compare import Look, compare
from pp_assist.core.model import FileState, Kind, Listing, Snapshot, Stage
from pp_assist.core.rest import Rest
from pp_assist.core.rules import Rules
from pp_assist.store import observations, queue, versions
from pp_assist.store.db import Database

__all__ = ["root_id"]  # a fixture

DAY_MS = 86_400_000


class Stepping(Fixed):
    """A clock whose wall time can be put back."""

    mono = 1_000

    def mono_ms(self) -> int:
        return self.mono


async def test_work_does_not_wait_longer_because_the_clock_was_put_back(db: Database, root_id: int) -> None:
    clock = Stepping()
    await see(db, root_id, {b"a": OLD, b"b": OLD})
    waiting = queue_of(db, Stage.CHECKSUM, clock)
    claims = await waiting.take(5)
    async with db.transaction() as tx:
        await queue.retry(tx, claims[0], clock.ms + 5_000, "unreadable", "")
        await queue.retry(tx, claims[1], clock.ms + 20_000, "unreadable", "")
    waiting.release(claims)
    clock.ms -= DAY_MS - 10_000
    clock.mono += 10_000
    async with asyncio.timeout(5):
        assert [claim.location.name for claim in await waiting.take(5)] == [b"a"]
    eligible = [row[0] for row in await db.rows("SELECT eligible_at_ms FROM work ORDER BY file_id")]
    assert eligible[1] == clock.ms + 10_000


async def test_after_a_start_with_the_clock_far_back_work_is_not_stuck(db: Database, root_id: int) -> None:
    await see(db, root_id, {b"a": OLD})
    clock = Stepping()
    clock.ms -= 3650 * DAY_MS
    assert len(await queue_of(db, Stage.CHECKSUM, clock).claim(clock.ms, 5)) == 1


async def test_set_aside_while_its_deletion_is_told_a_file_is_given_to_the_server_again(
    db: Database, root_id: int
) -> None:
    await see(db, root_id, {b"f": OLD})
    claims = await hash_all(db)
    async with db.transaction() as tx:
        await versions.offered(tx, claims, NOW_MS)
        await versions.stored(tx, [(claims[0], receipt(claims[0]), FileState.COMPLETED, True, None)], NOW_MS)
    await see(db, root_id, {})
    gone = await queue_of(db, Stage.VANISHED).claim(NOW_MS, 1)
    async with db.transaction() as tx:
        await queue.move(tx, [(gone[0], Stage.DELETION, gone[0].gen)], NOW_MS)
    listing = Listing(b"", (Snapshot(b"f", Kind.SYMLINK, OLD, 0o777, 0, 0),), complete=True)
    async with db.transaction() as tx:  # the server is being told, and a link stands in its place
        (known,) = await observations.recall(tx, root_id, [listing], NOW_MS)
        changes = compare(listing, known.files, (), Rules(frozenset(), 1, 5), Look(NOW_MS, Rest(0)))
        await observations.record(tx, root_id, [(known, changes)], NOW_MS, 0, Rest(0))
    await see(db, root_id, {b"f": OLD})
    (claim,) = await queue_of(db, Stage.CHECKSUM).claim(NOW_MS, 1)
    assert claim.stored is None, "the receipt from before the deletion is no proof"
