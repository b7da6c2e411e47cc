"""A person's pause, which outlives the process."""

import aiosqlite

from pp_assist.core.pause import Pause
from pp_assist.store.db import Database

_READ = "SELECT name, value FROM daemon_state WHERE name IN ('paused_since_ms', 'paused_until_ms')"
_FORGET = "DELETE FROM daemon_state WHERE name IN ('paused_since_ms', 'paused_until_ms')"
_KEEP = "INSERT INTO daemon_state (name, value) VALUES (?, ?)"


async def kept(db: Database) -> Pause | None:
    """Return the pause that was kept last, also when it is over by now."""
    values = {row[0]: row[1] for row in await db.rows(_READ)}
    since_ms = values.get("paused_since_ms")
    return None if since_ms is None else Pause(since_ms, values.get("paused_until_ms"))


async def keep(tx: aiosqlite.Connection, pause: Pause | None) -> None:
    """Keep *pause* instead of the last one; None: there is none."""
    await tx.execute(_FORGET)
    if pause is not None:
        await tx.execute(_KEEP, ("paused_since_ms", pause.since_ms))
        if pause.until_ms is not None:
            await tx.execute(_KEEP, ("paused_until_ms", pause.until_ms))
