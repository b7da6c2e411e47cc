"""The memory budget: never exceeded, given in turn, given back whatever happens."""

import asyncio
import contextlib
import random

import pytest

from pp_server.budget import Budget
from pp_server.core.errors import Overloaded


async def test_what_does_not_fit_waits_for_its_turn() -> None:
    budget = Budget(100, patience_s=30)
    order: list[str] = []

    async def use(name: str, count: int) -> None:
        async with budget.reserve(count):
            order.append(name)
            await asyncio.sleep(0)

    async with budget.reserve(60):
        large = asyncio.create_task(use("large", 80))
        await asyncio.sleep(0)
        small = asyncio.create_task(use("small", 10))  # would fit, but came later
        await asyncio.sleep(0.01)
        assert order == []
    await asyncio.gather(large, small)
    assert order == ["large", "small"]
    assert budget.used_bytes == 0


async def test_whoever_waits_in_vain_is_sent_away_and_stands_in_nobodys_way() -> None:
    budget = Budget(100, patience_s=0.1)
    async with budget.reserve(60):
        with pytest.raises(Overloaded):
            async with budget.reserve(50):
                pytest.fail("there was no room")
        async with budget.reserve(40):
            assert budget.used_bytes == 100
    assert budget.used_bytes == 0


async def test_what_is_larger_than_all_of_it_goes_alone() -> None:
    budget = Budget(100, patience_s=0.01)
    async with budget.reserve(500):
        with pytest.raises(Overloaded):
            async with budget.reserve(1):
                pytest.fail("there was no room")
    async with budget.reserve(1):
        pass


async def test_what_is_only_convenient_leaves_half_to_others() -> None:
    budget = Budget(100)
    async with budget.reserve(30) as held:
        assert not held.try_grow(21)
        assert held.try_grow(20)
        assert budget.used_bytes == 50
        held.shrink(45)
        assert budget.used_bytes == 5
    assert budget.used_bytes == 0


@pytest.mark.parametrize("seed", range(20))
async def test_it_is_never_exceeded_and_nothing_is_lost(seed: int) -> None:
    rng = random.Random(seed)
    budget = Budget(100, patience_s=rng.choice([0.001, 0.05]))

    async def use() -> None:
        with contextlib.suppress(Overloaded):
            async with budget.reserve(rng.randrange(60)) as held:
                for _ in range(rng.randrange(4)):
                    assert budget.used_bytes <= 100
                    await asyncio.sleep(0)
                    await held.grow(rng.randrange(10))
                assert budget.used_bytes <= 100

    tasks = [asyncio.create_task(use()) for _ in range(60)]
    for task in rng.sample(tasks, 20):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.wait(tasks, timeout=60)
    assert budget.used_bytes == 0
    assert all(task.cancelled() or task.exception() is None for task in tasks)


async def test_who_holds_everything_gets_more_than_there_is() -> None:
    """Else the largest request would be sent away for ever, however often it comes."""
    budget = Budget(100, patience_s=0.1)
    async with budget.reserve(30) as held:
        await held.grow(90)
        with pytest.raises(Overloaded):
            async with budget.reserve(1):
                pytest.fail("there was no room")
    assert budget.used_bytes == 0


async def test_who_is_the_last_to_wait_gets_more_than_there_is() -> None:
    budget = Budget(100, patience_s=30)
    async with budget.reserve(30) as held:
        async with budget.reserve(30):
            growing = asyncio.create_task(held.grow(90))
            await asyncio.sleep(0.01)
            assert not growing.done()
        await growing
    assert budget.used_bytes == 0
