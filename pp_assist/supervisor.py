"""Keeps components working: one that crashes is restarted, with growing pauses, and everybody can see it."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
STEADY_S = 60.0
"""A component that worked this long has recovered: its next crash is its first again."""


class Component(Protocol):
    """A part of the daemon: one coroutine that works until cancelled."""

    name: str

    async def run(self) -> None: ...


class Supervisor:
    """Runs components side by side until told to stop."""

    def __init__(self, components: Sequence[Component]) -> None:
        self._components = components
        self.running = {component.name: False for component in components}
        self._stopping = False

    async def run_until(self, stop: asyncio.Event) -> None:
        """Run all components until *stop* is set, then cancel them and wait for them to end."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._keep_running(c), name=c.name) for c in self._components]
            await stop.wait()
            self._stopping = True
            for task in tasks:
                task.cancel()

    async def _keep_running(self, component: Component) -> None:
        loop = asyncio.get_running_loop()
        pause_s = FIRST_PAUSE_S
        while not self._stopping:  # an error while it is being cancelled must not bring it back
            began = loop.time()
            self.running[component.name] = True
            try:
                await component.run()
                log.error("%s ended by itself", component.name)
            except Exception:
                log.exception("%s crashed; it is restarted in %.0f s", component.name, pause_s)
            finally:
                self.running[component.name] = False
            if loop.time() - began > STEADY_S:
                pause_s = FIRST_PAUSE_S
            await asyncio.sleep(0 if self._stopping else pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
