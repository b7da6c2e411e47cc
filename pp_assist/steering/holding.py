"""Whether files are hashed and sent at all just now: looking at the disk goes on in any case."""

import asyncio
import logging
from contextlib import suppress

from pp_assist.clock import Clock
from pp_assist.core.pause import PAUSED, Pause
from pp_assist.store import pauses
from pp_assist.store.db import Database

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 30.0
"""The clock may be set meanwhile: whoever waits for an hour of it looks again so often."""


class Holding:
    """Lets the hasher and the uploader wait while a person wants them to. Whoever works asks before each next step."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._pause: Pause | None = None
        self._outside: str | None = None
        self._changed = asyncio.Event()

    async def load(self) -> None:
        """Take up the pause that was made before the last stop."""
        self._pause = await pauses.kept(self._db)

    @property
    def pause(self) -> Pause | None:
        """The pause that is on; None: there is none, or it is over."""
        pause = self._pause
        return None if pause is None or pause.is_over(self._clock.now_ms()) else pause

    @property
    def reason(self) -> str | None:
        """Why nothing is hashed and sent, as a stable word; None: nothing holds it back."""
        return PAUSED if self.pause else self._outside

    def outside(self, reason: str | None) -> None:
        """Note what around the machine holds work back: see `surroundings`."""
        if reason != self._outside:
            log.info("no longer waiting: %s" if reason is None else "waiting: %s", reason or self._outside)
            self._outside = reason
            self._tell_all()

    async def hold(self, until_ms: int | None) -> Pause:
        """Begin a pause, or change when the one that is on ends."""
        on = self.pause
        pause = Pause(on.since_ms if on else self._clock.now_ms(), until_ms)
        await self._keep(pause)
        log.info("paused, until %s", "a person says so" if until_ms is None else f"{until_ms} ms since 1970")
        return pause

    async def resume(self) -> None:
        """End the pause."""
        await self._keep(None)
        log.info("no longer paused")

    async def allowed(self) -> None:
        """Return once nothing holds work back."""
        while self.reason is not None:
            pause, wait_s = self.pause, LONGEST_WAIT_S
            if pause is not None and pause.until_ms is not None:
                wait_s = min(max(pause.until_ms - self._clock.now_ms(), 1) / 1000, LONGEST_WAIT_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()

    async def _keep(self, pause: Pause | None) -> None:
        async with self._db.transaction() as tx:
            await pauses.keep(tx, pause)
        self._pause = pause
        self._tell_all()

    def _tell_all(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
