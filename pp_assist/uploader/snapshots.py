"""Files that never come to rest: stored, where a person wants that, as they were read while they changed.

A snapshot travels as a private copy, under a generation of its own and with a mark; it touches nothing of the file's
own way, which goes on waiting until the file is at rest.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pp_assist import posix
from pp_assist.clock import Clock
from pp_assist.core.errors import AssistError, Remedy, Stale
from pp_assist.core.model import Claim
from pp_assist.store import generations, receipts, snapshots
from pp_assist.store.db import Database
from pp_assist.store.snapshots import Snapshot
from pp_assist.uploader.copying import copy
from pp_assist.uploader.link import ServerLink
from pp_assist.uploader.transfer import Transfer
from pp_assist.uploader.way import Way
from pp_server.wire.names import display

log = logging.getLogger(__name__)

LONGEST_PAUSE_S = 5.0
FEATURE = "inconsistent"
"""Without it a server could not tell a snapshot from a version that is whole."""

T = TypeVar("T")


class Snapshots:
    """Takes and sends them, one after the other."""

    def __init__(
        self,
        db: Database,
        link: ServerLink,
        transfer: Transfer,
        threads: ThreadPoolExecutor,
        clock: Clock,
        directory: str,
        busy_after_s: float,
    ) -> None:
        self._db = db
        self._link = link
        self._transfer = transfer
        self._threads = threads
        self._clock = clock
        self._directory = directory
        self._busy_after_ms = int(busy_after_s * 1000)
        self._pause_s = min(LONGEST_PAUSE_S, max(busy_after_s / 4, 0.05))

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                await self._once()
            except OSError as error:  # a full disk, say: what needs no copy must not pay for it
                log.warning("no snapshots of files that go on changing for now: %s", error)
            await asyncio.sleep(self._pause_s)

    async def _once(self) -> None:
        """Remove what nobody needs, take one snapshot, if it is time for one, and send what waits."""
        await self._in_thread(posix.make_private_directory, self._directory)
        await self._tidy()
        way = await self._link.ready()
        if way.capabilities.can(FEATURE):
            await self._take()
            for snapshot in await snapshots.waiting(self._db):
                await self._send(way, snapshot)

    async def _tidy(self) -> None:
        """Remove the copies that nobody needs any more, whatever stopped us from doing so before."""
        async with self._db.transaction() as tx:
            needed = await snapshots.tidy(tx)
        await self._in_thread(_keep_only, self._directory, {str(file_id) for file_id in needed})

    async def _take(self) -> None:
        """Copy the file that has gone on changing the longest, if one has for long enough."""
        claim = await snapshots.gone_on_longest(self._db, self._clock.now_ms() - self._busy_after_ms)
        if claim is None:
            return
        try:
            copied, marked = await self._in_thread(copy, claim.location, self._path(claim))
        except AssistError as error:
            log.warning("no snapshot of %s: %s", _name(claim), error)
            return
        async with self._db.transaction() as tx:
            await snapshots.taken(tx, claim, copied, marked, self._clock.now_ms())

    async def _send(self, way: Way, snapshot: Snapshot) -> None:
        claim = snapshot.claim
        try:
            confirmed = await self._transfer.run(way, claim, self._path(claim), snapshot.marked)
        except AssistError as error:
            if error.remedy in (Remedy.WAIT, Remedy.LOGIN):
                await self._link.failed(error)
                return
            log.warning("the snapshot of %s is not stored: %s", _name(claim), error)
            async with self._db.transaction() as tx:
                if isinstance(error, Stale):
                    await generations.raise_to(tx, error.server_gen)
                await snapshots.given_up(tx, claim, self._clock.now_ms())
            return
        await self._link.succeeded()
        async with self._db.transaction() as tx:
            tree = None if confirmed.tree is None else await receipts.keep(tx, confirmed.tree, confirmed.receipt)
            now_ms, sent = self._clock.now_ms(), confirmed.sent > 0
            await snapshots.stored(tx, snapshot, confirmed.receipt, sent, tree, now_ms)
        log.info("stored a snapshot of %s, which goes on changing", _name(claim))

    def _path(self, claim: Claim) -> str:
        return os.path.join(self._directory, str(claim.file_id))

    async def _in_thread(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)


def _keep_only(directory: str, names: set[str]) -> None:
    for name in os.listdir(directory):
        if name not in names:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(directory, name))


def _name(claim: Claim) -> str:
    return display(claim.location.filepath)
