"""A person's pause: nothing is hashed or sent, nothing is lost, and it goes on from where it was."""

import asyncio
from typing import Any

from pair import Pair, noise, write

from pp_assist.core.model import Stage
from pp_assist.core.pause import Pause
from pp_server.wire.chunks import MIB


async def test_nothing_is_hashed_or_sent_and_everything_is_noted(pair: Pair) -> None:
    assert pair.daemon
    await pair.settle()
    await pair.daemon.holding.hold(None)
    write(pair.tree / "new", "x")
    asked = len(pair.weather.requests)
    await pair.scan()
    await asyncio.sleep(0.3)
    assert (await pair.counts()).queued(Stage.CHECKSUM) == 1
    assert pair.daemon.link.reason == "paused"
    await pair.daemon.holding.resume()
    assert pair.daemon.link.reason is None
    await pair.assert_equal()
    assert len(pair.weather.requests) > asked


async def test_no_request_leaves_while_it_is_paused(pair: Pair) -> None:
    assert pair.daemon
    for number in range(20):
        write(pair.tree / f"f{number}", noise(2000, number))
    await pair.daemon.holding.hold(None)
    await asyncio.sleep(0.1)  # what was under way has ended
    asked = len(pair.weather.requests)
    await pair.scan()
    await asyncio.sleep(0.3)
    assert len(pair.weather.requests) == asked
    await pair.daemon.holding.resume()
    await pair.assert_equal()


async def test_a_large_file_stops_at_a_chunk_and_goes_on_from_there(pair: Pair) -> None:
    assert pair.daemon
    holding = pair.daemon.holding
    await pair.settle()
    size = 12 * MIB
    write(pair.tree / "large", noise(size, 1))
    pausing: list[asyncio.Task[Pause]] = []

    def pause_at_the_third_chunk(path: str, answer: Any) -> Any:
        if len(pair.weather.chunk_sizes) >= 3 and not pausing:
            pausing.append(asyncio.create_task(holding.hold(None)))
        return answer

    pair.weather.lie = pause_at_the_third_chunk
    await pair.scan()
    async with asyncio.timeout(20):
        while not pausing or pair.daemon.uploader.stats.active_workers:
            await asyncio.sleep(0.01)
    sent = pair.bytes_sent
    assert 0 < sent < size
    await asyncio.sleep(0.5)
    assert pair.bytes_sent == sent
    attempts = await pair.daemon.db.value("SELECT attempts FROM work")
    assert attempts == 0  # it was nobody's fault
    await holding.resume()
    await pair.assert_equal()
    assert pair.bytes_sent == size  # no chunk twice


async def test_it_ends_by_itself_at_its_time(pair: Pair) -> None:
    assert pair.daemon
    await pair.daemon.holding.hold(pair.daemon.clock.now_ms() + 600)
    write(pair.tree / "new", "x")
    await pair.scan()
    assert (await pair.counts()).queued(Stage.CHECKSUM) == 1
    await pair.assert_equal()
    assert pair.daemon.holding.pause is None


async def test_it_outlives_the_process(pair: Pair) -> None:
    assert pair.daemon
    first = await pair.daemon.holding.hold(None)
    write(pair.tree / "new", "x")
    await pair.stop_daemon()
    await pair.start_daemon()
    assert pair.daemon.holding.pause == first
    await pair.scan()
    await asyncio.sleep(0.2)
    assert (await pair.counts()).queued(Stage.CHECKSUM) == 1
    changed = await pair.daemon.holding.hold(pair.daemon.clock.now_ms() + 100)
    assert changed.since_ms == first.since_ms
    await pair.assert_equal()
    await pair.stop_daemon()
    await pair.start_daemon()
    assert pair.daemon.holding.pause is None
