"""Lanes for what is to be hashed and uploaded: the size decides, none waits for another, and taking stays fast."""

import sqlite3
from pathlib import Path

from test_work import NOW_MS, OLD, Fixed, receipt, replace_size, see
from test_work import root_id as root_id

from pp_assist.core.model import HUGE_BYTES, Claim, FileState, Hashed, Lane, Stage
from pp_assist.store import queue, versions
from pp_assist.store.db import Database, open_database
from pp_assist.store.queues import Queues
from pp_server.wire.batch import MAX_INLINE_BYTES

LARGE = replace_size(OLD, MAX_INLINE_BYTES + 1)
SMALL = replace_size(OLD, MAX_INLINE_BYTES)
HUGE = replace_size(OLD, HUGE_BYTES)
NOT_HUGE = replace_size(OLD, HUGE_BYTES - 1)
RELEASED = Path(__file__).parent / "released"


async def hand_on(db: Database, queues: Queues) -> None:
    """Let everything that waits to be hashed have been hashed."""
    normal = await queues.checksum.claim(NOW_MS, 1000)
    huge = await queues.huge_checksum.claim(NOW_MS, 1000)
    claims = normal + huge
    rows = [
        (c, Hashed(c.seen, 0o644, 0, 0, "a" * 64), False, FileState.READY_FOR_UPLOAD, c.gen) for c in claims if c.seen
    ]
    async with db.transaction() as tx:
        await versions.hashed(tx, rows, NOW_MS)
        await queue.move(tx, [(c, Stage.UPLOAD, c.gen) for c in claims], NOW_MS)
    queues.checksum.release(normal)
    queues.huge_checksum.release(huge)


def names(claims: list[Claim]) -> list[bytes]:
    return [claim.location.name for claim in claims]


async def test_the_size_as_hashed_decides_the_lane(db: Database, root_id: int) -> None:
    queues = Queues(db, Fixed())
    await see(db, root_id, {b"a": SMALL, b"b": LARGE, b"c": replace_size(OLD, 0)})
    await hand_on(db, queues)
    small, large = queues.uploads[Lane.SMALL], queues.uploads[Lane.LARGE]
    assert names(await small.claim(NOW_MS, 10)) == [b"a", b"c"]
    claims = await large.claim(NOW_MS, 10)
    assert names(claims) == [b"b"]
    assert all(queues.is_uploading(claim) for claim in claims)
    large.release(claims)
    assert not any(queues.is_uploading(claim) for claim in claims)


async def test_huge_files_are_in_nobodys_way(db: Database, root_id: int) -> None:
    queues = Queues(db, Fixed())
    await see(db, root_id, {b"a": HUGE, b"b": NOT_HUGE, b"c": HUGE, b"d": SMALL})
    assert names(await queues.checksum.claim(NOW_MS, 10)) == [b"b", b"d"]
    assert names(await queues.huge_checksum.claim(NOW_MS, 10)) == [b"a", b"c"]
    queues.checksum.start_over()
    queues.huge_checksum.start_over()
    await hand_on(db, queues)
    assert {lane: names(await queues.uploads[lane].claim(NOW_MS, 10)) for lane in Lane} == {
        Lane.SMALL: [b"d"],
        Lane.LARGE: [b"b"],
        Lane.HUGE: [b"a", b"c"],
    }


async def test_a_file_that_shrinks_changes_its_lane(db: Database, root_id: int) -> None:
    queues = Queues(db, Fixed())
    await see(db, root_id, {b"f": LARGE})
    await hand_on(db, queues)
    await see(db, root_id, {b"f": SMALL})
    await hand_on(db, queues)
    assert names(await queues.uploads[Lane.LARGE].claim(NOW_MS, 10)) == []
    assert names(await queues.uploads[Lane.SMALL].claim(NOW_MS, 10)) == [b"f"]


async def test_what_must_be_given_to_another_server_is_in_its_lane(db: Database, root_id: int) -> None:
    queues = Queues(db, Fixed())
    await see(db, root_id, {b"a": SMALL, b"b": LARGE, b"c": HUGE})
    await hand_on(db, queues)
    for lane in Lane:
        claims = await queues.uploads[lane].claim(NOW_MS, 10)
        async with db.transaction() as tx:
            rows = [(claim, receipt(claim), FileState.COMPLETED, True, None) for claim in claims]
            await versions.stored(tx, rows, NOW_MS)
        queues.uploads[lane].release(claims)
    async with db.transaction() as tx:
        await versions.disregard_receipts_of_others(tx, "another", NOW_MS)
    assert names(await queues.uploads[Lane.SMALL].claim(NOW_MS, 10)) == [b"a"]
    assert names(await queues.uploads[Lane.LARGE].claim(NOW_MS, 10)) == [b"b"]
    assert names(await queues.uploads[Lane.HUGE].claim(NOW_MS, 10)) == [b"c"]


async def test_first_come_first_served_within_a_lane_and_backoff_is_in_nobodys_way(db: Database, root_id: int) -> None:
    queues = Queues(db, Fixed())
    await see(db, root_id, {b"%02d" % n: SMALL for n in range(20)})
    await hand_on(db, queues)
    small = queues.uploads[Lane.SMALL]
    first = await small.claim(NOW_MS, 5)
    assert names(first) == [b"%02d" % n for n in range(5)]
    async with db.transaction() as tx:
        await queue.later_all(tx, first[:2], NOW_MS + 1000, "server_unreachable", "nobody there")
        await queue.retry(tx, first[2], NOW_MS + 5000, "unreadable", "I/O error")
    small.release(first)
    assert names(await small.claim(NOW_MS, 4)) == [b"03", b"04", b"05", b"06"]
    later = await small.claim(NOW_MS + 5000, 100)
    assert names(later)[-3:] == [b"00", b"01", b"02"]
    assert [claim.attempts for claim in later[-3:]] == [0, 0, 1]


async def test_taking_small_files_reads_no_row_of_the_large_ones(db: Database) -> None:
    """Whatever the number of large ones: the index leads to the oldest small ones, in order."""
    small = Queues(db, Fixed()).uploads[Lane.SMALL]
    times = (NOW_MS, NOW_MS + 1)
    plan = await db.rows(f"EXPLAIN QUERY PLAN {small._ready.sql}", (*times, "[]", 1000))
    steps = [row["detail"] for row in plan if "CO-ROUTINE" not in row["detail"]]
    assert steps[0] == "SEARCH w USING INDEX work_by_lane (lane=?)"
    assert not any("TEMP B-TREE" in step for step in steps)
    (step,) = await db.rows(f"EXPLAIN QUERY PLAN {small._next}", (NOW_MS,))
    assert "work_by_lane (lane=? AND eligible_at_ms>?)" in step["detail"]


async def test_taking_huge_files_reads_no_row_of_the_others(db: Database) -> None:
    queues = Queues(db, Fixed())
    for huge in (queues.huge_checksum, queues.uploads[Lane.HUGE]):
        plan = await db.rows(f"EXPLAIN QUERY PLAN {huge._ready.sql}", (NOW_MS, NOW_MS + 1, "[]", 1000))
        steps = [row["detail"] for row in plan if "CO-ROUTINE" not in row["detail"]]
        assert steps[0] == "SEARCH w USING INDEX work_huge (stage=?)"
        assert not any("TEMP B-TREE" in step for step in steps)


async def test_rows_of_an_earlier_version_get_their_lane(path: str) -> None:
    with sqlite3.connect(path) as conn:
        conn.executescript((RELEASED / "assist-2.sql").read_text())
        conn.execute(
            "INSERT INTO work (file_id, stage, gen, queued_at_ms, eligible_at_ms) VALUES (4, 'upload', 4, 0, 0)"
        )
        conn.execute(
            "INSERT INTO work (file_id, stage, gen, queued_at_ms, eligible_at_ms) VALUES (3, 'checksum', 5, 0, 0)"
        )
    conn.close()
    async with open_database(path) as db:
        rows = await db.rows("SELECT file_id, lane FROM work WHERE stage = 'upload' ORDER BY file_id")
        assert [tuple(row) for row in rows] == [(4, "small"), (6, "large")]
