"""A folder that is watched from now on: what was changed last is safe first, and nobody else waits for all of it."""

import os
import time

from pair import Pair, write

from pp_assist.core.first_upload import STEP_MS, turn_ms

DAY_S = 86_400


def age(pair: Pair, name: str, seconds: float) -> None:
    write(pair.tree / name, name)
    at = time.time() - seconds
    os.utime(pair.tree / name, (at, at))


async def in_line(pair: Pair) -> list[bytes]:
    assert pair.daemon
    rows = await pair.daemon.db.rows(
        "SELECT f.name FROM work w JOIN files f ON f.id = w.file_id ORDER BY w.eligible_at_ms, w.file_id"
    )
    return [row[0] for row in rows]


def test_the_newest_come_first() -> None:
    touched = time.time_ns()
    now_ms = touched // 1_000_000
    turns = [turn_ms(now_ms, touched - int(days * DAY_S * 1e9), now_ms) for days in (400, 40, 10, 3, 0.5, 0)]
    assert turns == [now_ms - STEP_MS * n for n in range(6)]
    assert turn_ms(now_ms + 1, touched, now_ms) == now_ms + 1  # not at rest yet
    assert turn_ms(now_ms, touched + 10**18, now_ms) == now_ms - STEP_MS * 5  # a time to come


async def test_a_first_scan_orders_by_age_and_a_later_one_does_not(pair: Pair) -> None:
    assert pair.daemon
    await pair.daemon.holding.hold(None)
    (root,) = await pair.daemon.roots.all()
    await pair.daemon.roots.remove(root.id)
    for name, days in (("a-old", 500), ("b-new", 0), ("c-week", 5), ("d-new", 0), ("e-year", 100)):
        age(pair, name, days * DAY_S)
    await pair.daemon.roots.add(root.path, root.shown, True, root.identity, 0)
    await pair.scan()
    first = await in_line(pair)
    assert sorted(first[:2]) == [b"b-new", b"d-new"] and first[2:] == [b"c-week", b"e-year", b"a-old"]
    age(pair, "0-late", 1000 * DAY_S)  # new, though old
    age(pair, "f-late", 2 * 3600)
    await pair.scan()
    after = await in_line(pair)
    assert after[:5] == first and sorted(after[5:]) == [b"0-late", b"f-late"]
    await pair.daemon.holding.resume()
    await pair.assert_equal()
