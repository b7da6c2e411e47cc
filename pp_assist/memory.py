"""The daemon's memory, opened: is it the one that was used last, was everything written down, is it whole?

Every start puts a random number, its *epoch*, into the database and into a file beside it. A copy of the database that
is put back later has an older one. Then, as after every stop that was not clean, the server may know more than we do.
And the power may have been cut: files that were written to shortly before may have lost that, and look as if not.

A damaged database is put aside, and a new one begun with what a person had told the daemon. That is taken from the copy
beside the database, or from the damaged one where it has something newer.
"""

import asyncio
import logging
import os
import secrets
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from pp_assist.clock import Clock
from pp_assist.core.reconcile import NEW, why_doubt
from pp_assist.quarantine import put_aside
from pp_assist.state import write_private
from pp_assist.store import keepsake, reconciling, rehash
from pp_assist.store.db import Database, DatabaseDamaged, is_damage, open_database
from pp_assist.store.keepsake import Keepsake

log = logging.getLogger(__name__)

EPOCH = "epoch"
KEEPSAKE = "keepsake.json"
SMALLEST_BYTES = 512
"""What is smaller is a new database to SQLite, whatever is in it."""


@dataclass(frozen=True, slots=True)
class Memory:
    """The database, and what became of the last one."""

    db: Database
    rebuilt: str | None
    """Why it was begun anew, and where the old one lies; None: it was not."""


@asynccontextmanager
async def opened_memory(database: str, distrusted: str | None = None) -> AsyncIterator[Memory]:
    """Open the database at *database* for the block, which is one run of the daemon.

    *distrusted*: how it is damaged, where that is known already.

    Raises:
        DatabaseUnusable: it is of a newer version of this program, or cannot be used in another way that is no damage.
    """
    async with AsyncExitStack() as stack:
        db, rebuilt = await _open_or_begin_anew(stack, database, distrusted)
        yield Memory(db, rebuilt)
        async with db.transaction() as tx:
            await reconciling.ended_cleanly(tx)


async def _open_or_begin_anew(
    stack: AsyncExitStack, database: str, distrusted: str | None
) -> tuple[Database, str | None]:
    """Return the database, and why it is a new one with the settings of the last."""
    kept = _kept_beside(database)
    damage = distrusted or (None if kept is None else _lost(database))
    if damage is None:
        try:
            return await _opened(stack, database), None
        except DatabaseDamaged as error:
            damage = str(error)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            damage = f"the database is damaged ({error})"
    kept = _newer(kept, keepsake.salvage(database))
    rebuilt = f"{damage}; what is left of it is in {put_aside(database)}; everything is looked at anew"
    log.error("%s", rebuilt)
    return await _opened(stack, database, kept), rebuilt


def _lost(database: str) -> str | None:
    """Return how a database that there was once is gone, or None where there is one."""
    try:
        return None if os.path.getsize(database) >= SMALLEST_BYTES else "the database is empty"
    except FileNotFoundError:
        return "the database is gone"


async def _opened(stack: AsyncExitStack, database: str, kept: Keepsake | None = None) -> Database:
    """Open the database for as long as *stack* lasts, and begin an epoch in it; with *kept*, it is a new one.

    Raises:
        DatabaseDamaged: it is closed again.
    """
    async with AsyncExitStack() as attempt:
        db = await attempt.enter_async_context(open_database(database))
        if kept is not None:
            async with db.transaction() as tx:
                await keepsake.restore(tx, kept)
        keeper = _Keeper(db, _beside(database, KEEPSAKE))
        db.when_settings_change = keeper.renew
        if (copy := _kept_beside(database)) is None or copy.version != await keepsake.version(db):
            await keeper.renew()
        await _begin_epoch(db, _beside(database, EPOCH))
        stack.push_async_callback(attempt.pop_all().aclose)
        return db


async def _begin_epoch(db: Database, path: str) -> None:
    epoch = secrets.randbelow(2**62) + 1
    async with db.transaction() as tx:
        clean, before = await reconciling.begin_epoch(tx, epoch)
        doubt = why_doubt(clean, before, _number_in(path))
        if doubt:
            await reconciling.doubt(tx)
            await rehash.distrust_recent(tx, Clock().now_ms())
    write_private(path, f"{epoch}\n")
    if doubt:
        level = logging.INFO if doubt == NEW else logging.WARNING
        log.log(level, "%s: what the server has is compared before it is told of any deletion", doubt)


class _Keeper:
    """Renews the copy of what a person told the daemon."""

    def __init__(self, db: Database, path: str) -> None:
        self._db = db
        self._path = path
        self._one_at_a_time = asyncio.Lock()

    async def renew(self) -> None:
        """Have the copy say what the database says."""
        async with self._one_at_a_time:
            kept = await keepsake.read(self._db)
            try:
                write_private(self._path, keepsake.to_text(kept))
            except OSError as error:
                log.error("cannot renew %s, which is needed if the database is damaged: %s", self._path, error)


def _newer(kept: Keepsake | None, salvaged: Keepsake) -> Keepsake:
    return salvaged if kept is None or salvaged.version > kept.version else kept


def _kept_beside(database: str) -> Keepsake | None:
    try:
        with open(_beside(database, KEEPSAKE), encoding="ascii") as file:
            return keepsake.from_text(file.read())
    except (OSError, ValueError):
        return None


def _number_in(path: str) -> int | None:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def _beside(database: str, name: str) -> str:
    return os.path.join(os.path.dirname(database), name)
