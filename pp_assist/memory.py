"""The daemon's memory, opened: is it the one that was used last, and was everything written down?

Every start puts a random number, its *epoch*, into the database and into a file beside it. A copy of the database that
is put back later has an older one. Then, as after every stop that was not clean, the server may know more than we do.
"""

import logging
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pp_assist.core.reconcile import NEW, why_doubt
from pp_assist.state import write_private
from pp_assist.store import reconciling
from pp_assist.store.db import Database, open_database

log = logging.getLogger(__name__)

EPOCH = "epoch"


@asynccontextmanager
async def opened_memory(database: str) -> AsyncIterator[Database]:
    """Open the database at *database* for the block, which is one run of the daemon.

    Raises:
        DatabaseDamaged: it cannot be trusted.
    """
    epoch_path = os.path.join(os.path.dirname(database), EPOCH)
    async with open_database(database) as db:
        epoch = secrets.randbelow(2**62) + 1
        async with db.transaction() as tx:
            clean, before = await reconciling.begin_epoch(tx, epoch)
            doubt = why_doubt(clean, before, _read(epoch_path))
            if doubt:
                await reconciling.doubt(tx)
        write_private(epoch_path, f"{epoch}\n")
        if doubt:
            level = logging.INFO if doubt == NEW else logging.WARNING
            log.log(level, "%s: what the server has is compared before it is told of any deletion", doubt)
        yield db
        async with db.transaction() as tx:
            await reconciling.ended_cleanly(tx)


def _read(path: str) -> int | None:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None
