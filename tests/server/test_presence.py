"""Runs that take turns as the same host are two daemons; runs that follow each other are one."""

import pytest
from serving import Client

from pp_server.core.presence import RUNS, Presences


@pytest.mark.parametrize(
    ("shown", "second"),
    [
        ("a a a a", ""),
        ("a b c d c d", ""),  # one request of an ended run may be long on its way
        ("a b a b", ""),
        ("a b a b a b", "b"),
        ("a b a a b b a b", "b"),
        ("b a b a b a", "a"),
        ("x a b a b a b x", "b"),
        ("a b a b a c c c", ""),
    ],
)
def test_the_younger_of_two_that_take_turns_is_told(shown: str, second: str) -> None:
    presences = Presences()
    told = {run for run in shown.split() if presences.show(1, "host", run)}
    assert told == set(second.split())


def test_owners_and_hosts_have_nothing_to_do_with_each_other() -> None:
    presences = Presences()
    for _ in range(5):
        assert not presences.show(1, "host", "a")
        assert not presences.show(2, "host", "b")
        assert not presences.show(1, "other", "b")


def test_what_is_remembered_is_bounded() -> None:
    presences = Presences(hosts=3)
    for number in range(100):
        presences.show(1, "host", f"run {number}")
        presences.show(1, f"host {number}", "run")
    assert len(presences._hosts) == 3
    for _ in range(3):
        for number in range(RUNS + 5):
            presences.show(1, "busy", f"run {number}")
    assert len(presences._hosts[(1, "busy")].turns) == RUNS


async def test_it_is_asked_over_http(client: Client) -> None:
    async def shared(run: str) -> bool:
        return bool((await client.http.get("/api/hosts/laptop", params={"run": run})).json()["shared"])

    await client.upload("/a", b"x")
    assert [await shared(run) for run in "ababab"] == [False] * 5 + [True]
    assert (await client.http.get("/api/hosts/laptop")).json()["shared"] is False
    assert (await client.http.get("/api/hosts/laptop", params={"run": "x" * 65})).status_code == 422
