"""The drop folders of the daemon: one task watches each, one sends announcements. What blocks is done in threads."""

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from pp_assist import disk
from pp_assist.clock import Clock
from pp_assist.core.drop_folders import DropOptions
from pp_assist.core.model import Root
from pp_assist.core.sftp_url import Target, is_sftp, parse
from pp_assist.sftp.announcing import Poster
from pp_assist.sftp.errors import SftpError, Stopped
from pp_assist.sftp.ledger import Ledger
from pp_assist.sftp.outbox import Outbox
from pp_assist.sftp.spool import Spool
from pp_assist.store import drop_folders
from pp_assist.store.db import Database
from pp_assist.store.roots import RootsTable

if TYPE_CHECKING:
    from pp_assist.sftp.watching import Watching  # which brings paramiko along

log = logging.getLogger(__name__)

LEDGER = "sftp.db"
THREADS = 16
DELIVER_EVERY_S = 1.0
AFTER_CRASH_S = 10.0


class DropFolders:
    """All of them. Without any it does nothing, and imports nothing that speaks SFTP."""

    name = "sftp"

    def __init__(
        self, db: Database, roots: RootsTable, state_dir: str, clock: Clock, arrived: Callable[[int], object]
    ) -> None:
        """*arrived* is told the id of a root into which files have come."""
        self._db = db
        self._roots = roots
        self._state_dir = state_dir
        self._clock = clock
        self._arrived = arrived
        self._changed = asyncio.Event()
        self._threads = ThreadPoolExecutor(THREADS, "sftp")
        self._delivering = ThreadPoolExecutor(1, "announce")
        self._ledger: Ledger | None = None
        self._watched: dict[int, Watching] = {}
        self._unwatched: dict[int, str] = {}

    async def run(self) -> None:
        """Watch them until cancelled."""
        tasks: dict[int, asyncio.Task[None]] = {}
        delivering: asyncio.Task[None] | None = None
        try:
            while True:
                self._changed.clear()
                wanted = {root.id: root for root in await self._roots.all() if is_sftp(root.shown) and root.enabled}
                for root_id in set(tasks) - set(wanted):
                    watching = self._watched.pop(root_id)
                    watching.stop()
                    tasks.pop(root_id).cancel()
                    if watching.target.url.encode() not in {root.shown for root in wanted.values()}:
                        spool = Spool(
                            self._state_dir, watching.target.url
                        )  # it was begun while it was removed, perhaps
                        await self._in_thread(spool.remove)
                options = await drop_folders.options_of_all(self._db) if wanted else {}
                self._unwatched.clear()
                for root_id in sorted(set(options) - set(tasks)):
                    try:
                        watching = await self._begin(wanted[root_id], options[root_id])
                    except SftpError as error:
                        log.error("%s is not watched: %s", os.fsdecode(wanted[root_id].shown), error)
                        self._unwatched[root_id] = str(error)
                        continue
                    self._watched[root_id] = watching
                    tasks[root_id] = asyncio.create_task(self._watch(watching))
                if self._ledger is not None and delivering is None:
                    delivering = asyncio.create_task(self._deliver(Outbox(self._ledger)))
                await self._changed.wait()
        finally:
            for watching in self._watched.values():
                watching.stop()
            self._watched.clear()
            for task in [*tasks.values(), *([delivering] if delivering else [])]:
                task.cancel()

    async def add(self, target: Target, options: DropOptions, recursive: bool, exclude: tuple[str, ...]) -> Root:
        """Register a drop folder, after a look at it.

        Raises:
            SftpError: it cannot be looked at.
            OSError: there is no place for what comes from there.
        """
        await self._in_thread(_look_at, target, options)
        spool = Spool(self._state_dir, target.url)
        await self._in_thread(spool.make)
        resolved, identity = await self._in_thread(disk.resolve, spool.files)
        root = await self._roots.add(
            resolved, target.url.encode(), recursive, identity, self._clock.now_ms(), "archive", exclude,
            also=lambda tx, root_id: drop_folders.add(tx, root_id, options),
        )  # fmt: skip
        self._changed.set()
        return root

    async def removed(self, root: Root) -> None:
        """Forget what was on its way: all of it is on the SFTP server still. What is to be announced is announced."""
        if not is_sftp(root.shown):
            return
        if (watching := self._watched.get(root.id)) is not None:
            watching.stop()
        self._changed.set()
        ledger = await self._opened()
        url = os.fsdecode(root.shown)
        await self._in_thread(ledger.forget_open, url)
        await self._in_thread(Spool(self._state_dir, url).remove)

    async def facts(self, root_id: int) -> dict[str, Any] | None:
        """Return what is shown of a drop folder; None where the root is none, or is not watched yet."""
        watching = self._watched.get(root_id)
        if watching is None:
            return None
        facts: dict[str, Any] = await self._in_thread(watching.facts)
        return facts

    def why(self, root_id: int, name: bytes) -> tuple[str, str] | None:
        """Return why a file is not here yet, as a word and a sentence."""
        watching = self._watched.get(root_id)
        return None if watching is None else watching.why(name)

    def problem(self, root_id: int) -> str | None:
        """Return why a drop folder cannot be looked at."""
        watching = self._watched.get(root_id)
        if watching is None:
            return self._unwatched.get(root_id)
        return None if watching.problem is None else str(watching.problem)

    @property
    def to_do(self) -> int:
        """How many files are on their way into spools, or still to be moved or removed."""
        return sum(watching.to_do for watching in self._watched.values())

    def close(self) -> None:
        """Let go of the threads; what they do ends by itself."""
        for pool in (self._threads, self._delivering):
            pool.shutdown(wait=False, cancel_futures=True)

    async def _begin(self, root: Root, options: DropOptions) -> "Watching":
        ledger = await self._opened()
        target = parse(os.fsdecode(root.shown))
        spool = Spool(self._state_dir, target.url)
        await self._in_thread(spool.make)
        kind: type[Watching] = await self._in_thread(_watching)
        return kind(root.id, target, options, spool, ledger, self._db, self._clock.mono_ms)

    async def _opened(self) -> Ledger:
        if self._ledger is None:
            self._ledger = await self._in_thread(Ledger, os.path.join(self._state_dir, LEDGER))
        return self._ledger

    async def _watch(self, watching: "Watching") -> None:
        while True:
            before = watching.fetched
            try:
                pause_s = await self._in_thread(watching.turn, self._clock.now_ms())
            except Stopped:
                return
            except Exception:
                log.exception("%s: a turn crashed", watching.target.url)
                pause_s = AFTER_CRASH_S
            if watching.fetched != before:
                self._arrived(watching.root_id)
            await asyncio.sleep(pause_s)

    async def _deliver(self, outbox: Outbox) -> None:
        poster = Poster()
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    await loop.run_in_executor(self._delivering, outbox.deliver, poster.post)
                except Exception:
                    log.exception("announcing crashed")
                await asyncio.sleep(DELIVER_EVERY_S)
        finally:
            poster.close()

    async def _in_thread(self, function: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)


def _watching() -> Any:
    """Return what watches; paramiko is imported for it.

    Raises:
        ExtraMissing: it is not installed.
    """
    from pp_assist.sftp.watching import Watching

    return Watching


def _look_at(target: Target, options: DropOptions) -> None:
    """Make sure that the folder is there, and ours to list. Blocking."""
    from pp_assist.sftp.connecting import Login, connect, list_folder, told_apart
    from pp_assist.sftp.watching import login_of, strict_rules

    client, transport = connect(target.host, target.port, login_of(target, options, Login), strict_rules(options))
    try:
        with told_apart():
            list_folder(client, target.path)
    finally:
        client.close()
        transport.close()
