"""Whoever guesses keys is slowed down; whoever has a good one never is."""

import httpx
import pytest
from serving import Server

from pp_server.core.failures import MAX_REMEMBERED, Failures
from pp_server.core.keys import format_key

QUICK = {"auth_failures": 5, "auth_window_seconds": 3600}
URL = "/api/hosts/none"


def guess(n: int, key_id: str = "") -> dict[str, str]:
    return {"X-API-Key": format_key(key_id or f"{n:016x}", f"{n:064x}")}


async def answers(http: httpx.AsyncClient, count: int) -> list[int]:
    return [(await http.get(URL, headers=guess(n))).status_code for n in range(count)]


def elsewhere(server: Server, address: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(server.app, client=(address, 1))
    client = httpx.AsyncClient(transport=transport, base_url="http://server")
    server.clients.append(client)
    return client


async def test_too_many_bad_keys_of_one_address_have_to_wait(running) -> None:
    async with running(limits=QUICK) as server:
        client = await server.client()
        stranger = server.http()
        assert await answers(stranger, 8) == [401] * 5 + [429] * 3
        answer = await stranger.get(URL)
        assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
        assert 3000 < int(answer.headers["retry-after"]) <= 3600
        assert (await client.http.get("/api/files")).status_code == 200, (
            "a good key of the same address is not bothered"
        )
        assert (await elsewhere(server, "192.0.2.7").get(URL)).status_code == 401


async def test_a_key_that_is_guessed_from_everywhere_has_to_wait_too(running) -> None:
    async with running(limits=QUICK) as server:
        client = await server.client()
        key_id = client.api_key.split("_")[1]
        got = [
            (await elsewhere(server, f"192.0.2.{n}").get(URL, headers=guess(n, key_id))).status_code for n in range(8)
        ]
        assert got == [401] * 5 + [429] * 3
        assert (await elsewhere(server, "192.0.2.99").get(URL, headers=guess(1))).status_code == 401
        assert (await client.http.get("/api/files")).status_code == 200


async def test_bad_keys_are_told_nothing_apart(running) -> None:
    async with running() as server:
        client = await server.client()
        revoked = await server.client("eve")
        await server.app.state.services.keys.revoke(revoked.api_key.split("_")[1])
        bodies = set()
        for key in (
            "",
            "nonsense",
            guess(1)["X-API-Key"],
            revoked.api_key,
            guess(1, client.api_key.split("_")[1])["X-API-Key"],
        ):
            answer = await server.http({"X-API-Key": key}).get(URL)
            assert answer.status_code == 401
            bodies.add((answer.json()["detail"], answer.json()["code"], len(answer.json())))
        assert len(bodies) == 1


def test_counting() -> None:
    failures = Failures(2, 10.0)
    assert [failures.note("a", now) for now in (0.0, 1.0)] == [0, 0]
    assert [failures.note("a", now) for now in (2.0, 9.0)] == [8, 1]
    assert failures.note("b", 9.0) == 0
    assert failures.note("a", 10.0) == 0
    for n in range(2 * MAX_REMEMBERED):
        failures.note(f"stranger {n}", 11.0)
    assert len(failures._counts) == MAX_REMEMBERED


@pytest.mark.parametrize("name", ["x" * 100_000])
def test_long_names_take_no_memory(name: str) -> None:
    failures = Failures(2, 10.0)
    failures.note(name, 0.0)
    assert max(map(len, failures._counts)) < 100
