"""Single files that a person puts first, holds, cancels and lets go: nothing is lost by it, and nothing else waits."""

import asyncio
import os
from typing import Any

from pair import Pair, noise, write

from pp_assist.core.aside import Steer
from pp_assist.store.queue_steering import Which
from pp_server.wire.chunks import MIB


async def steer(pair: Pair, how: Steer, glob: str) -> int:
    assert pair.daemon
    return await pair.daemon.line.steer(how, Which(glob=glob))


async def rows(pair: Pair) -> dict[bytes, tuple[str, str, str | None]]:
    assert pair.daemon
    found = await pair.daemon.db.rows(
        "SELECT f.name, w.stage, w.state, w.reason FROM work w JOIN files f ON f.id = w.file_id"
    )
    return {name: (stage, state, reason) for name, stage, state, reason in map(tuple, found)}


async def until_only(pair: Pair, *names: bytes) -> None:
    async with asyncio.timeout(20):
        while set(await rows(pair)) != set(names):
            await asyncio.sleep(0.02)


async def test_what_is_held_waits_and_all_else_goes_on(pair: Pair) -> None:
    assert pair.daemon
    await pair.daemon.holding.hold(None)
    for name in ("a", "b.mov", "sub/c.mov"):
        write(pair.tree / name, name)
    await pair.scan()
    assert await steer(pair, Steer.HOLD, "*.mov") == 2
    assert await steer(pair, Steer.HOLD, "*.mov") == 0  # they are
    await pair.daemon.holding.resume()
    await until_only(pair, b"b.mov", b"c.mov")
    write(pair.tree / "b.mov", "another, and still held")
    await pair.scan(force=True)
    await until_only(pair, b"b.mov", b"c.mov")
    assert set((await rows(pair)).values()) == {("checksum", "held", "held_by_person")}
    await pair.stop_daemon()
    await pair.start_daemon()
    await pair.scan()
    await asyncio.sleep(0.2)
    assert set((await rows(pair)).values()) == {("checksum", "held", "held_by_person")}
    assert await steer(pair, Steer.RELEASE, "/sub/") == 1
    await until_only(pair, b"b.mov")
    assert await steer(pair, Steer.RELEASE, "*") == 1
    await pair.assert_equal()


async def test_what_is_cancelled_is_left_alone_until_it_changes_or_is_asked_for(pair: Pair) -> None:
    assert pair.daemon
    await pair.daemon.holding.hold(None)
    for name in ("a", "b", "c"):
        write(pair.tree / name, name)
    await pair.scan()
    assert await steer(pair, Steer.CANCEL, "[bc]") == 2
    await pair.daemon.holding.resume()
    await until_only(pair, b"b", b"c")
    await pair.scan(force=True)  # which tries again what failed: this has not
    await asyncio.sleep(0.2)
    assert set((await rows(pair)).values()) == {("checksum", "parked", "cancelled")}
    write(pair.tree / "b", "changed")
    await pair.scan()
    await until_only(pair, b"c")
    assert await steer(pair, Steer.RETRY, "c") == 1
    await pair.assert_equal()


async def test_a_held_file_that_is_deleted_is_told_as_ever(pair: Pair) -> None:
    assert pair.daemon
    write(pair.tree / "a", "1")
    await pair.settle()
    await pair.daemon.holding.hold(None)
    write(pair.tree / "a", "22")
    await pair.scan()
    assert await steer(pair, Steer.HOLD, "a") == 1
    await pair.daemon.holding.resume()
    (pair.tree / "a").unlink()
    await pair.assert_equal()
    assert await pair.live() == {}


async def test_a_large_file_stops_at_a_chunk_where_it_is_held(pair: Pair) -> None:
    assert pair.daemon
    size = 12 * MIB
    write(pair.tree / "large", noise(size, 1))
    holding: list[asyncio.Task[int]] = []

    def hold_at_the_third_chunk(path: str, answer: Any) -> Any:
        if len(pair.weather.chunk_sizes) >= 3 and not holding:
            holding.append(asyncio.create_task(steer(pair, Steer.HOLD, "large")))
        return answer

    pair.weather.lie = hold_at_the_third_chunk
    await pair.scan()
    async with asyncio.timeout(20):
        while not holding or pair.daemon.uploader.stats.active_workers:
            await asyncio.sleep(0.01)
    sent = pair.bytes_sent
    assert 0 < sent < size
    assert await rows(pair) == {b"large": ("upload", "held", "held_by_person")}
    write(pair.tree / "other", "goes on")
    await pair.scan()
    await until_only(pair, b"large")
    assert await steer(pair, Steer.RELEASE, "large") == 1
    await pair.assert_equal()
    assert pair.bytes_sent == size + len("goes on")  # no chunk twice


async def test_a_receipt_counts_that_comes_for_what_was_held_meanwhile(pair: Pair) -> None:
    assert pair.daemon
    await pair.settle()
    pair.weather.forecast = ["slow"] * 4
    asked = len(pair.weather.requests)
    write(pair.tree / "small", "on its way")
    scan = asyncio.create_task(pair.scan())
    async with asyncio.timeout(20):
        while len(pair.weather.requests) == asked:
            await asyncio.sleep(0.01)
    assert await steer(pair, Steer.HOLD, "small") == 1
    await scan
    await until_only(pair)
    assert await pair.daemon.db.value("SELECT state FROM files WHERE kind = 'file'") in ("completed", "unchanged")


async def test_whatever_is_held_or_cancelled_while_it_is_under_way_ends_well(pair: Pair) -> None:
    assert pair.daemon
    for number in range(40):
        write(pair.tree / f"f{number}", noise(30_000, number))
        write(pair.tree / f"l{number}", noise(400_000, 100 + number))
    scan = asyncio.create_task(pair.scan())
    for _ in range(30):
        for how in (Steer.HOLD, Steer.RELEASE, Steer.CANCEL, Steer.BUMP, Steer.RETRY):
            await steer(pair, how, "*")
            await asyncio.sleep(0.004)
    await scan
    await steer(pair, Steer.RELEASE, "*")
    await steer(pair, Steer.RETRY, "*")
    await pair.assert_equal()


async def test_what_is_bumped_is_next_in_every_line_it_passes(pair: Pair) -> None:
    assert pair.daemon
    await pair.daemon.holding.hold(None)
    pair.daemon.checksums.resize(1)  # so that nothing is read beside the first ones
    for number in range(20):
        write(pair.tree / f"f{number:02}", noise(2 * MIB, number))
        os.utime(pair.tree / f"f{number:02}", (number * 86400, number * 86400))  # the newest goes first
    await pair.scan()
    assert await steer(pair, Steer.BUMP, "f00") == 1
    first: list[bytes] = []

    def note(path: str, answer: Any) -> Any:
        if path.endswith("/complete"):
            first.append(answer["receipt"]["filepath"].rpartition("/")[2])
        return answer

    pair.weather.lie = note
    await pair.daemon.holding.resume()
    await pair.assert_equal()
    assert "f00" in first[:4]  # as many are under way at a time
