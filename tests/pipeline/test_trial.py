"""A server is asked before it is trusted with anything: whether it answers, is ours, and takes the key."""

import pytest
from pair import Pair

from pp_assist.core.trust import Trust


async def code(pair: Pair, api_key: str | None = None) -> str:
    assert pair.daemon
    found = await pair.daemon.link.try_server("http://server", api_key or pair.api_key, Trust())
    assert found.text and found.took_ms >= 0
    return found.code


@pytest.mark.parametrize(
    ("weather", "expected"),
    [
        ([], "ok"),
        (["lost_request"], "server_unreachable"),
        (["html"], "server_nonsense"),
        (["other_json"], "server_nonsense"),
        (["503"], "server_unavailable"),
        (["500"], "server_trouble"),
        (["ok", "401"], "needs_login"),
        (["ok", "403"], "not_allowed"),
    ],
)
async def test_what_is_in_the_way_is_named(pair: Pair, weather: list[str], expected: str) -> None:
    await pair.settle()
    pair.weather.forecast = weather
    assert await code(pair) == expected
    pair.weather.forecast = []
    assert pair.daemon and pair.daemon.link.reason is None  # nobody else has to wait for it


async def test_a_wrong_key_and_one_that_may_not_upload(pair: Pair) -> None:
    await pair.settle()
    assert await code(pair, "pp_wrong") == "needs_login"


async def test_another_default_gets_what_it_lacks(pair: Pair) -> None:
    assert pair.daemon
    (pair.tree / "a").write_text("x")
    await pair.settle()
    servers = pair.daemon.servers
    added = await servers.add("second", "http://second", pair.api_key, 0)
    assert await servers.make_default(added.id)
    assert [server.name for server in await servers.all() if server.is_default] == ["second"]
    assert not await servers.make_default(10**6)
    assert [server.name for server in await servers.all() if server.is_default] == ["second"]
