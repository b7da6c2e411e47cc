"""The size of chunks follows the speed of the way, and no progress is lost by that."""

import pytest
from pair import Pair, noise, write

from pp_server.api import routes_health
from pp_server.wire.chunks import KIB, MIB
from pp_server.wire.version import FEATURES


def largest_chunk(pair: Pair) -> int:
    return max(pair.weather.chunk_sizes)


async def test_chunks_are_measured_and_the_next_proposal_follows(pair: Pair) -> None:
    assert pair.daemon
    write(pair.tree / "first", noise(2 * MIB, 1))
    await pair.assert_equal()
    rate = pair.daemon.link._rate
    assert rate.bytes_per_s is not None and rate.bytes_per_s > 100_000
    assert largest_chunk(pair) == MIB
    rate.bytes_per_s = 20_000.0
    pair.weather.chunk_sizes.clear()
    write(pair.tree / "second", noise(2 * MIB, 2))
    await pair.assert_equal()
    assert largest_chunk(pair) == 256 * KIB
    assert rate.bytes_per_s > 20_000


@pytest.mark.parametrize("then", [None, 1.0])
async def test_an_upload_goes_on_with_the_chunks_it_began_with(pair: Pair, then: float | None) -> None:
    assert pair.daemon
    await pair.settle()
    before = MIB if then else 256 * KIB
    pair.daemon.link._rate.bytes_per_s = None if then else 1.0
    write(pair.tree / "large", noise(4 * MIB, 1))
    pair.weather.forecast = ["ok"] * 4 + ["lost_request"] * 10_000
    await pair.scan()
    await pair.until(lambda _: pair.daemon.link.reason is not None)  # type: ignore
    done = pair.bytes_sent
    assert before <= done < 4 * MIB
    pair.daemon.link._rate.bytes_per_s = then
    pair.weather.chunk_sizes.clear()
    pair.weather.forecast.clear()
    await pair.assert_equal()
    assert largest_chunk(pair) == before
    assert pair.bytes_sent <= 4 * MIB  # a chunk whose answer was lost is not counted, and not sent again


async def test_a_server_that_would_begin_anew_is_proposed_the_same_always(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pair.daemon
    await pair.stop_daemon()
    monkeypatch.setattr(routes_health, "FEATURES", [name for name in FEATURES if name != "proposals"])
    await pair.start_daemon()
    await pair.until(lambda _: pair.daemon.link.reason is None)  # type: ignore
    pair.daemon.link._rate.bytes_per_s = 1.0  # type: ignore[union-attr]
    write(pair.tree / "large", noise(4 * MIB, 1))
    await pair.assert_equal()
    assert largest_chunk(pair) == MIB
