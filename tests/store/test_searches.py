"""What was found is kept for the next page, and not for ever."""

import asyncio
import weakref
from array import array

import pytest

from pp_assist.store import search
from pp_assist.store.db import Database
from pp_assist.store.search import Searches, Wanted

A, B, C = (Wanted(words=(word,)) for word in "abc")


class Found:
    """Answers of eight ids each, and which of them are in memory yet."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looked: list[str] = []
        self._answers: list[tuple[str, weakref.ref[array[int]]]] = []
        monkeypatch.setattr(Searches, "_ids", lambda _, wanted: self._ids(wanted))

    def _ids(self, wanted: Wanted) -> "array[int]":
        (word,) = wanted.words
        answer = array("q", range(8))
        self.looked.append(word)
        self._answers.append((word, weakref.ref(answer)))
        return answer

    @property
    def kept(self) -> list[str]:
        return [word for word, answer in self._answers if answer() is not None]


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Found:
    return Found(monkeypatch)


async def test_pages_of_two_answers_are_read_without_looking_again(db: Database, found: Found) -> None:
    searches = Searches(db)
    for wanted in (A, B, A, B):
        assert await searches.page(wanted, 3, 6) == ([6, 7], 8)
    assert found.looked == ["a", "b"]
    await searches.page(C, 3, 0)
    assert found.kept == ["b", "c"]


async def test_large_answers_are_not_kept_beside_each_other(
    db: Database, found: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST_IDS", 10)
    searches = Searches(db)
    for wanted in (A, B):
        await searches.page(wanted, 3, 0)
    assert found.kept == ["b"]
    await searches.page(B, 3, 3)
    assert found.looked == ["a", "b"]


async def test_what_nobody_asks_for_any_more_is_forgotten(
    db: Database, found: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "KEPT_S", 0.05)
    searches = Searches(db)
    await searches.page(A, 3, 0)
    assert found.kept == ["a"]
    async with asyncio.timeout(5):
        while found.kept:
            await asyncio.sleep(0.01)
    assert await searches.page(A, 3, 0) == ([0, 1, 2], 8)
