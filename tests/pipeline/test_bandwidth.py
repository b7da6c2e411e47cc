"""A limit for what is sent: kept, shared by all, changed while it runs."""

import asyncio
from datetime import datetime

import pytest
from pair import Pair, noise, write

from pp_assist.clock import Clock
from pp_assist.steering.bandwidth import Bandwidth
from pp_server.wire.chunks import KIB, MIB


async def test_contents_leave_no_faster_than_the_limit(pair: Pair) -> None:
    assert pair.daemon
    await pair.settle()
    pair.daemon.bandwidth.set(1024, ())
    loop = asyncio.get_running_loop()
    for number in range(3):
        write(pair.tree / f"large{number}", noise(MIB, number))
    write(pair.tree / "small", noise(1000, 9))
    began = loop.time()
    await pair.assert_equal()
    assert loop.time() - began >= 2.9  # 3 MiB; upwards it depends on the machine


async def test_a_limit_is_lifted_in_the_middle_of_a_chunk(pair: Pair) -> None:
    assert pair.daemon
    await pair.settle()
    pair.daemon.bandwidth.set(16, ())
    write(pair.tree / "large", noise(4 * MIB, 1))
    await pair.scan()
    await pair.until(lambda _: bool(pair.daemon and pair.daemon.uploader.stats.active_workers))
    await asyncio.sleep(0.3)
    assert pair.bytes_sent < MIB  # at this pace it would take four minutes
    pair.daemon.bandwidth.set(0, ())
    await pair.assert_equal()


@pytest.mark.parametrize(("kib", "piece"), [(0, MIB), (16, 4 * KIB), (100, 25 * KIB), (1 << 20, MIB)])
async def test_pieces_are_a_quarter_of_a_second(kib: int, piece: int) -> None:
    assert Bandwidth(Clock(), kib, ()).piece_bytes(MIB) == piece


async def test_under_a_limit_one_body_leaves_after_the_other() -> None:
    bandwidth = Bandwidth(Clock(), 100, ())
    order: list[str] = []

    async def body(name: str) -> None:
        async with bandwidth.turn():
            order.append(name)
            await asyncio.sleep(0.02)
            order.append(name)

    await asyncio.gather(body("a"), body("b"))
    assert order == ["a", "a", "b", "b"]
    bandwidth.set(0, ())
    order.clear()
    await asyncio.gather(body("a"), body("b"))
    assert order == ["a", "b", "a", "b"]


async def test_the_time_of_the_day_decides() -> None:
    bandwidth = Bandwidth(Clock(), 0, ["08:00-18:00 512"])
    bandwidth.local_time = lambda: datetime(2026, 1, 5, 12)
    assert bandwidth.bytes_per_s == 512 * KIB
    bandwidth.local_time = lambda: datetime(2026, 1, 5, 18)
    assert bandwidth.bytes_per_s is None
