"""The orders that wait: what counts, and what is the same."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pp_assist.core.errors import NoServer
from pp_assist.core.fetching import FetchState, Order
from pp_assist.core.identity import Identity
from pp_assist.restore import fetches
from pp_assist.restore.fetches import Fetches, TooMany


@asynccontextmanager
async def no_server() -> AsyncIterator[Any]:
    raise NoServer("there is none")
    yield


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
