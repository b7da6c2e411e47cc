"""Makes sure, now and then, that events still flow, that no sleep came between, and that roots are where they were."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from pp_assist.clock import Clock
from pp_assist.core.identity import Standing, standing
from pp_assist.core.model import Root
from pp_assist.scanner.identify import identity_or_none
from pp_assist.scanner.record import Recorder
from pp_assist.scanner.watch import Watcher

log = logging.getLogger(__name__)

CANARY_S = 5.0
"""An event that has not come after this long will not come."""

ASLEEP_MS = 1000


class Guard:
    """Looks after a watcher. What it finds doubtful it says to *doubt*: a root, and why."""

    def __init__(
        self,
        watcher: Watcher,
        recorder: Recorder,
        clock: Clock,
        roots: Callable[[], Awaitable[list[Root]]],
        doubt: Callable[[Root, str], None],
    ) -> None:
        self._watcher = watcher
        self._recorder = recorder
        self._roots = roots
        self._doubt = doubt
        self._clock = clock
        self._slept_ms = clock.asleep_ms()
        self._one_canary = asyncio.Lock()

    async def check(self) -> None:
        """Look once."""
        slept_ms = self._clock.asleep_ms()
        slept, self._slept_ms = abs(slept_ms - self._slept_ms) > ASLEEP_MS, slept_ms
        if slept:
            await self._doubt_all("the machine was asleep, or its clock was set")
        if self._watcher.dead:
            await self._restart("events can be had again")
        elif not self._watcher.events.alive:
            await self._restart("the watcher had ended")
        elif not await self.canary():
            await self._restart("the watcher told nothing any more")
        for root in await self._roots():
            found = await self._recorder.in_thread(identity_or_none, root.path)
            what = Standing.OTHER if found is None else standing(root.identity, found)
            there = what is not Standing.OTHER
            if what is Standing.RENUMBERED:
                self._doubt(root, "its file system was mounted anew")
            elif there != (root.status == "healthy"):
                self._doubt(root, "its folder is there again" if there else "its folder is not where it was")

    async def canary(self) -> bool:
        """Make an event and wait for it: all that happened before has then been noted. False if it does not come."""
        async with self._one_canary:
            self._watcher.sink.expect_canary()
            try:
                await self._recorder.in_thread(self._watcher.touch_canary)
            except OSError as error:  # says nothing about the watcher
                log.warning("cannot touch the canary: %s", error)
                self._watcher.canary_passed = False
                return True
            passed = self._watcher.canary_passed = await self._watcher.sink.canary_passes(CANARY_S)
            return passed

    async def _restart(self, why: str) -> None:
        was = self._watcher.dead
        await self._recorder.in_thread(self._watcher.restart)
        if self._watcher.dead is None:
            await self._doubt_all(why)
        elif was is None:
            log.warning("%s, and cannot be started again: %s", why, self._watcher.dead)

    async def _doubt_all(self, reason: str) -> None:
        for root in await self._roots():
            self._doubt(root, reason)
