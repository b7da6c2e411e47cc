"""Queues, generations and counters: late finishers change nothing, and the numbers are those of the rows."""

import random
import time
from collections import Counter

import pytest

from pp_assist.clock import Clock
from pp_assist.core.compare import Look, compare
from pp_assist.core.model import Claim, FileState, Hashed, Kind, Lane, Listing, Snapshot, Stage, Stat, WorkState
from pp_assist.core.rest import Rest
from pp_assist.core.rules import Rules
from pp_assist.store import generations, observations, queue, versions
from pp_assist.store.counting import Counting, Counts
from pp_assist.store.db import Database
from pp_assist.store.queue import WorkQueue
from pp_assist.store.receipts import Kept
from pp_assist.store.report import Report
from pp_assist.store.roots import RootsTable

OLD = Stat(1, 1_000, 1_000, 1, 1)
NOW_MS = 1_700_000_000_000
RULES = Rules(frozenset(), root_device=1, root_length=5)


class Fixed(Clock):
    """A clock that stands still until told otherwise."""

    ms = NOW_MS

    def now_ms(self) -> int:
        return self.ms

    def mono_ms(self) -> int:
        return self.ms


@pytest.fixture
async def root_id(db: Database) -> int:
    return (await RootsTable(db).add(b"/root", b"/root", True, (1, 2), 0)).id


async def see(
    db: Database,
    root_id: int,
    names: dict[bytes, Stat],
    directory: bytes = b"",
    complete: bool = True,
    grace_ms: int = 0,
) -> None:
    entries = tuple(Snapshot(name, Kind.FILE, stat, 0o644, 0, 0) for name, stat in names.items())
    listing = Listing(directory, entries, complete)
    async with db.transaction() as tx:
        (known,) = await observations.recall(tx, root_id, [listing], NOW_MS)
        changes = compare(listing, known.files, known.children, RULES, Look(NOW_MS, Rest(0)))
        await observations.record(tx, root_id, [(known, changes)], NOW_MS, grace_ms, Rest(0))


def queue_of(db: Database, stage: Stage, clock: Clock | None = None) -> WorkQueue:
    lane = Lane.SMALL if stage is Stage.UPLOAD else None  # all files here are small
    return WorkQueue(db, stage, clock or Fixed(), lane)


async def hash_all(db: Database, digest: str = "a" * 64) -> list[Claim]:
    claims = await queue_of(db, Stage.CHECKSUM).claim(NOW_MS, 1000)
    async with db.transaction() as tx:
        done = [
            (c, Hashed(c.seen, 0o644, 0, 0, digest), False, FileState.READY_FOR_UPLOAD, c.gen) for c in claims if c.seen
        ]
        await versions.hashed(tx, done, NOW_MS)
        await queue.move(tx, [(c, Stage.UPLOAD, c.gen) for c in claims], NOW_MS)
    return await queue_of(db, Stage.UPLOAD).claim(NOW_MS, 1000)


def receipt(claim: Claim) -> Kept:
    return Kept("s", "o", "h", "2026-01-01T00:00:00.000Z", 1, None)


async def test_a_row_is_claimed_by_one_and_given_back(db: Database, root_id: int) -> None:
    await see(db, root_id, {b"a": OLD, b"b": OLD})
    waiting = queue_of(db, Stage.CHECKSUM)
    first = await waiting.claim(NOW_MS, 1)
    second = await waiting.claim(NOW_MS, 5)
    assert [c.location.name for c in first + second] == [b"a", b"b"]
    assert await waiting.claim(NOW_MS, 5) == []
    waiting.release(first)
    assert await waiting.claim(NOW_MS, 5) == first


async def test_rows_that_wait_for_their_time_do_not_hold_up_others(db: Database, root_id: int) -> None:
    await see(db, root_id, {b"a": OLD, b"b": OLD, b"c": OLD})
    waiting = queue_of(db, Stage.CHECKSUM)
    (poisoned,) = await waiting.claim(NOW_MS, 1)
    async with db.transaction() as tx:
        await queue.retry(tx, poisoned, NOW_MS + 5000, "unreadable", "I/O error")
    waiting.release([poisoned])
    assert [c.location.name for c in await waiting.claim(NOW_MS, 10)] == [b"b", b"c"]
    (again,) = await waiting.claim(NOW_MS + 5000, 10)
    assert (again.location.name, again.attempts) == (b"a", 1)


async def test_a_late_finisher_changes_nothing(db: Database, root_id: int) -> None:
    await see(db, root_id, {b"f": OLD})
    (late,) = await queue_of(db, Stage.CHECKSUM).claim(NOW_MS, 1)
    await see(db, root_id, {b"f": OLD._replace(size_bytes=2)})
    async with db.transaction() as tx:
        read = Hashed(OLD, 0, 0, 0, "b" * 64)
        await versions.hashed(tx, [(late, read, False, FileState.READY_FOR_UPLOAD, late.gen)], NOW_MS)
        await queue.move(tx, [(late, Stage.UPLOAD, late.gen)], NOW_MS)
        await queue.done(tx, [late])
        await queue.park(tx, late, "x", "y")
    (current,) = await queue_of(db, Stage.CHECKSUM).claim(NOW_MS, 1)
    assert current.gen > late.gen
    assert current.seen == OLD._replace(size_bytes=2)
    assert current.hashed is None


async def test_a_receipt_for_an_outdated_version_does_not_complete_the_file(db: Database, root_id: int) -> None:
    await see(db, root_id, {b"f": OLD})
    (late,) = await hash_all(db)
    await see(db, root_id, {b"f": OLD._replace(size_bytes=2)})
    async with db.transaction() as tx:
        await versions.stored(tx, [(late, receipt(late), FileState.COMPLETED, True, None)], NOW_MS)
    counts = await Report(db).counts()
    assert counts.files[FileState.DISCOVERED] == 1
    assert counts.queued(Stage.CHECKSUM) == 1


@pytest.mark.parametrize("newest_is", ["first", "last"])
async def test_only_the_receipt_for_the_newest_version_counts_where_two_come_at_once(
    db: Database, root_id: int, newest_is: str
) -> None:
    """A large file is still under way when it has become a small one, which overtakes it."""
    await see(db, root_id, {b"f": OLD})
    (late,) = await hash_all(db)
    await see(db, root_id, {b"f": OLD._replace(size_bytes=2)})
    (newest,) = await hash_all(db, "b" * 64)
    claims = [newest, late] if newest_is == "first" else [late, newest]
    rows = [(each, receipt(each)._replace(sequence=each.gen), FileState.COMPLETED, True, None) for each in claims]
    async with db.transaction() as tx:
        await versions.stored(tx, rows, NOW_MS)
    (row,) = await db.rows("SELECT state, stored_sequence, stored_sha256 FROM files")
    assert tuple(row) == ("completed", newest.gen, "b" * 64)


async def test_what_is_held_while_it_is_worked_on_stays_held(db: Database, root_id: int) -> None:
    """The guard holds deletions that are being told: a failure must not let them go, nor crash on them."""
    await see(db, root_id, {b"a": OLD})
    (claim,) = await queue_of(db, Stage.CHECKSUM).claim(NOW_MS, 10)
    async with db.transaction() as tx:
        await queue.move(tx, [(claim, Stage.DELETION, claim.gen)], NOW_MS)
    (claim,) = await queue_of(db, Stage.DELETION).claim(NOW_MS, 10)
    async with db.transaction() as tx:
        await tx.execute("UPDATE work SET state = 'held', eligible_at_ms = NULL, reason = 'held'")
    for meanwhile in (
        lambda tx: queue.later_all(tx, [claim], NOW_MS, "not_reconciled", "x"),
        lambda tx: queue.later(tx, claim, NOW_MS, "being_uploaded", "x"),
        lambda tx: queue.retry(tx, claim, NOW_MS, "server_busy", "x"),
        lambda tx: queue.park(tx, claim, "refused", "x"),
    ):
        async with db.transaction() as tx:
            await meanwhile(tx)
        assert await db.value("SELECT state || ' ' || reason FROM work") == "held held"


async def test_a_file_is_in_one_queue_at_a_time(db: Database, root_id: int) -> None:
    await see(db, root_id, {b"f": OLD})
    claims = await hash_all(db)
    async with db.transaction() as tx:
        await versions.offered(tx, claims, NOW_MS)
    await see(db, root_id, {})
    counts = await Report(db).counts()
    assert counts.queued(*Stage) == counts.queued(Stage.VANISHED) == 1
    await see(db, root_id, {b"f": OLD})
    counts = await Report(db).counts()
    assert counts.queued(*Stage) == counts.queued(Stage.CHECKSUM) == 1


async def test_what_changed_since_it_was_claimed_may_not_be_sent(db: Database, root_id: int) -> None:
    await see(db, root_id, {b"a": OLD, b"b": OLD, b"c": OLD})
    taken = await hash_all(db)
    await see(db, root_id, {b"a": OLD, b"b": OLD._replace(size_bytes=2)})
    async with db.transaction() as tx:
        current = await versions.offered(tx, taken, NOW_MS)
    assert [claim.location.name for claim in current] == [b"a"]


async def test_a_file_never_offered_is_forgotten_without_a_word(db: Database, root_id: int) -> None:
    await see(db, root_id, {b"f": OLD})
    await hash_all(db)
    await see(db, root_id, {})
    counts = await Report(db).counts()
    assert not any(counts.files.values())
    assert counts.queued(*Stage) == 0


async def test_generations_are_never_given_twice(db: Database) -> None:
    async with db.transaction() as tx:
        first = await generations.take(tx, 3)
        await generations.raise_to(tx, 100)
        await generations.raise_to(tx, 50)
        second = await generations.take(tx, 1)
        assert list(await generations.take(tx, 0)) == []
    assert (list(first), list(second)) == ([1, 2, 3], [101])


async def test_a_daemon_without_memory_begins_above_what_the_server_knows(db: Database, root_id: int) -> None:
    await see(db, root_id, {b"a": OLD, b"b": OLD})
    for _ in range(2):  # asking again changes nothing more
        async with db.transaction() as tx:
            await generations.catch_up(tx, 40)
        claims = await queue_of(db, Stage.CHECKSUM).claim(NOW_MS, 5)
        assert [claim.gen for claim in claims] == [41, 42]
    claims = await hash_all(db)
    async with db.transaction() as tx:
        await versions.offered(tx, claims[:1], NOW_MS)
        assert await generations.catch_up(tx, 1000), "the server knows what we do not"
        assert not await generations.catch_up(tx, 1000)
        assert list(await generations.take(tx, 1)) == [1043]
    claims = await queue_of(db, Stage.UPLOAD).claim(NOW_MS, 5)
    assert [claim.gen for claim in claims] == [41, 1042], "what was told keeps its generation: it may be told again"


async def test_work_of_unhealthy_roots_is_left_alone(db: Database, root_id: int) -> None:
    await see(db, root_id, {b"f": OLD})
    await RootsTable(db).unhealthy(root_id, "gone")
    assert await queue_of(db, Stage.CHECKSUM).claim(NOW_MS, 5) == []


async def test_whoever_waits_is_woken_by_new_work(db: Database, root_id: int) -> None:
    import asyncio

    waiting = queue_of(db, Stage.CHECKSUM, Clock())
    taking = asyncio.create_task(waiting.take(5))
    await asyncio.sleep(0.05)
    await see(db, root_id, {b"f": OLD})
    waiting.wake()
    async with asyncio.timeout(5):
        assert len(await taking) == 1


async def test_a_page_of_files_below_a_prefix(db: Database, root_id: int) -> None:
    await see(db, root_id, {b"a": OLD})
    for directory in (b"b", b"b/c", b"bc"):
        await see(db, root_id, {b"f": OLD}, directory)
    report = Report(db)

    async def paths(prefix: bytes) -> list[bytes]:
        return [row.filepath for row in (await report.files(None, ([root_id], prefix), 100, 0))[0]]

    assert await paths(b"b") == [b"/root/b/f", b"/root/b/c/f"]
    assert await paths(b"b/f") == [b"/root/b/f"]
    assert await paths(b"a") == [b"/root/a"]
    assert len(await paths(b"")) == 4
    rows, total = await report.files(FileState.DISCOVERED, None, 2, 3)
    assert (len(rows), total) == (1, 4)


@pytest.mark.parametrize("seed", range(5))
async def test_counters_are_those_of_the_rows_after_any_walk(db: Database, root_id: int, seed: int) -> None:
    """A random walk over everything that writes; then the counters are compared with the rows themselves."""
    rng = random.Random(seed)
    tree: dict[bytes, Stat] = {}
    for _ in range(60):
        step = rng.random()
        if step < 0.5:
            name = b"%d" % rng.randrange(12)
            if name in tree and rng.random() < 0.4:
                del tree[name]
            else:
                tree[name] = replace_size(OLD, rng.randrange(1000))
            await see(db, root_id, tree, complete=rng.random() < 0.8)
        elif step < 0.7:
            claims = await hash_all(db)
            async with db.transaction() as tx:
                await versions.offered(tx, claims[::2], NOW_MS)
                if claims and rng.random() < 0.5:
                    await versions.stored(
                        tx, [(claims[0], receipt(claims[0]), FileState.COMPLETED, True, None)], NOW_MS
                    )
        elif step < 0.85:
            claims = await queue_of(db, rng.choice(list(Stage))).claim(NOW_MS, 3)
            async with db.transaction() as tx:
                for claim in claims:
                    await rng.choice([queue.park, lambda t, c, *a: queue.retry(t, c, NOW_MS, *a)])(tx, claim, "r", "e")
        else:
            claims = await queue_of(db, Stage.VANISHED).claim(NOW_MS, 5)
            async with db.transaction() as tx:
                await queue.move(tx, [(c, Stage.DELETION, c.gen) for c in claims], NOW_MS)
            gone = await queue_of(db, Stage.DELETION).claim(NOW_MS, 5)
            async with db.transaction() as tx:
                await versions.forget(tx, gone)
    counts = await Report(db).counts()
    files = Counter(row[0] for row in await db.rows("SELECT state FROM files"))
    work = Counter((row[0], row[1]) for row in await db.rows("SELECT stage, state FROM work"))
    assert {s: n for s, n in counts.files.items() if n} == {FileState(s): n for s, n in files.items()}
    assert {k: n for k, n in counts.work.items() if n} == {(Stage(a), WorkState(b)): n for (a, b), n in work.items()}
    waiting = set(await _ids(db, "SELECT id FROM files WHERE state IN ('discovered', 'ready_for_upload', 'vanished')"))
    assert waiting <= set(await _ids(db, "SELECT file_id FROM work")), "a file that is not done has work"
    tracked = await db.value("SELECT COUNT(*) FROM files WHERE kind = 'file' AND state <> 'vanished'")
    assert await RootsTable(db).file_counts() == {root_id: tracked}
    await RootsTable(db).remove(root_id)
    assert not any((await Report(db).counts()).files.values())
    assert not any((await Report(db).counts()).work.values())


async def _ids(db: Database, sql: str) -> list[int]:
    return [row[0] for row in await db.rows(sql)]


def replace_size(stat: Stat, size: int) -> Stat:
    return stat._replace(size_bytes=size)


async def test_counts_are_counted_again_once_something_was_written_and_not_all_the_time(
    db: Database, root_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting, counted = Counting(db), list[float]()
    real = counting._count

    def count() -> Counts:
        counted.append(time.monotonic())
        return real()

    async def write() -> None:
        async with db.transaction() as tx:
            await tx.execute("DELETE FROM activity")

    monkeypatch.setattr(counting, "_count", count)
    nothing = await counting.counts()
    counting._good_until_s = 0.0
    assert await counting.counts() is nothing, "nothing was written"
    await see(db, root_id, {b"a": OLD})
    counting._good_until_s = time.monotonic() + 60
    some = await counting.counts()
    assert some.queued(Stage.CHECKSUM) == 1, "that nothing is left to do is never an old answer"
    await write()
    counting._good_until_s = time.monotonic() + 60
    assert await counting.counts() is some, "much was counted just now"
    counting._good_until_s = 0.0
    await counting.counts()
    assert len(counted) == 3
