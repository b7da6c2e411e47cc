"""A server with nothing to do does next to nothing, and ends at once all the same."""

import asyncio
import time

import uvicorn

from pp_server.bounds.serving import Server


class Ticking(Server):
    """Counts how often it looks."""

    ticks = 0

    async def on_tick(self, counter: int) -> bool:
        self.ticks += 1
        return await super().on_tick(counter)


async def test_it_looks_once_a_second_and_ends_when_told() -> None:
    server = Ticking(uvicorn.Config(lambda scope: None))  # type: ignore[arg-type, misc]
    running = asyncio.create_task(server.main_loop())
    await asyncio.sleep(0.5)
    assert server.ticks == 1
    assert server.server_state.default_headers[0][0] == b"date"
    server.should_exit = True
    began = time.monotonic()
    await running
    assert time.monotonic() - began < 0.4
