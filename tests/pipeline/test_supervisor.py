"""Components are restarted when they crash, and stay stopped when they are told to stop."""

import asyncio

import pytest

from pp_assist import supervisor
from pp_assist.supervisor import Supervisor


class Crashing:
    """Crashes a few times, then works."""

    name = "crashing"

    def __init__(self, crashes: int) -> None:
        self.crashes = crashes
        self.runs = 0

    async def run(self) -> None:
        self.runs += 1
        if self.runs <= self.crashes:
            raise RuntimeError("a bug")
        await asyncio.sleep(3600)


class FailsToStop:
    """Raises something else when it is cancelled."""

    name = "fails to stop"

    async def run(self) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            raise ValueError("while stopping")


async def test_a_crash_is_seen_and_mended() -> None:
    component, stop = Crashing(3), asyncio.Event()
    supervised = Supervisor([component])
    running = asyncio.create_task(supervised.run_until(stop))
    async with asyncio.timeout(10):
        while component.runs < 4:
            await asyncio.sleep(0.01)
    assert supervised.running == {"crashing": True}
    stop.set()
    await running
    assert supervised.running == {"crashing": False}


@pytest.mark.parametrize("component", [FailsToStop(), Crashing(10**9)])
async def test_stopping_always_ends(component: supervisor.Component) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(Supervisor([component]).run_until(stop))
    await asyncio.sleep(0.05)
    stop.set()
    async with asyncio.timeout(10):
        await running
