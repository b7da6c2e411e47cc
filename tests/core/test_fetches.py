"""The orders that wait: what counts, and what is the same."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pp_assist.core.errors import NoServer
from pp_assist.core.fetching import Fetch, FetchState, Order
from pp_assist.core.identity import Identity
from pp_assist.restore import fetches
from pp_assist.restore.fetches import Fetches, TooMany


@asynccontextmanager
async def no_server() -> AsyncIterator[Any]:
    raise NoServer("there is none")
    yield


@asynccontextmanager
async def a_server() -> AsyncIterator[Any]:
    yield None


def waiting() -> Fetches:
    return Fetches(no_server, lambda: "host", lambda: 1, lambda *_, **__: None)


def order(name: str, **facts: Any) -> Order:
    return Order(b"/r/" + name.encode(), b"/r", name.encode(), b"/r", Identity(1, 2), **facts)


async def test_the_same_order_is_one_until_it_has_ended() -> None:
    known = waiting()
    first = known.begin(order("a"))
    assert known.begin(order("a")) is first
    assert known.begin(order("b")) is not first
    assert known.begin(order("a", version="0" * 64)) is not first
    known.cancel(first.id)
    again = known.begin(order("a"))
    assert again is not first and again.state is FetchState.WAITING


async def test_what_was_cancelled_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetches, "MOST_WAITING", 2)
    known = waiting()
    for number in range(10):
        known.cancel(known.begin(order(str(number))).id)
    left = [known.begin(order(name)) for name in ("a", "b")]
    with pytest.raises(TooMany):
        known.begin(order("c"))
    known.cancel(left[0].id)
    assert known.begin(order("c")).state is FetchState.WAITING


async def test_who_asks_again_after_a_cancel_waits_until_the_file_is_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    async def slow(_: object, __: str, job: Fetch, ___: object) -> None:
        told.append(f"begun {job.id}")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)  # a thread is writing yet
            told.append(f"ended {job.id}")
            raise

    monkeypatch.setattr(fetches, "fetch", slow)
    known = Fetches(a_server, lambda: "host", lambda: 1, lambda *_, **__: None)
    working = asyncio.create_task(known.run())
    first = known.begin(order("a"))
    while not told:
        await asyncio.sleep(0)
    known.cancel(first.id)
    known.begin(order("a", overwrite=True))
    known.begin(order("b"))
    async with asyncio.timeout(5):
        while len(told) < 4:
            await asyncio.sleep(0.01)
    assert told.index("ended 1") < told.index("begun 2")
    working.cancel()
    await asyncio.wait([working])
