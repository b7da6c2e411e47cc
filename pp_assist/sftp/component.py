"""The drop folders of the daemon: one task watches each, one sends announcements. What blocks is done in threads."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from pp_assist import disk
from pp_assist.clock import Clock
from pp_assist.core.drop_folders import DropOptions
from pp_assist.core.model import Root
from pp_assist.core.sftp_url import Target, is_sftp, parse
from pp_assist.sftp.announcing import Poster
from pp_assist.sftp.clearing import Keeping, clear_all
from pp_assist.sftp.errors import SftpError, Stopped
from pp_assist.sftp.ledger import Ledger
from pp_assist.sftp.outbox import Outbox
from pp_assist.sftp.pool import Pool
from pp_assist.sftp.spool import LeftOut, Room, Spool
from pp_assist.sftp.threads import in_thread, start
from pp_assist.store import drop_folders, reconciling
from pp_assist.store.db import Database
from pp_assist.store.roots import RootsTable

if TYPE_CHECKING:
    from pp_assist.sftp.watching import Watching  # which brings paramiko along

log = logging.getLogger(__name__)

LEDGER = "sftp.db"
DELIVER_EVERY_S = 1.0
AFTER_CRASH_S = 10.0
CLEARED_WITHIN_S = 5.0
"""So long whoever removes a folder waits until nothing is done with it any more."""


@dataclass(slots=True)
class _Watched:
    """A drop folder, and the task that has its turns done."""

    watching: "Watching"
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None


class DropFolders:
    """All of them. Without any it does nothing, and imports nothing that speaks SFTP."""

    name = "sftp"

    def __init__(
        self,
        db: Database,
        roots: RootsTable,
        state_dir: str,
        clock: Clock,
        keeping: Keeping,
        arrived: Callable[[int], object],
        left_out: Callable[[Root], LeftOut],
    ) -> None:
        """*arrived* is told the id of a root into which files have come; *left_out* knows the rules of a root."""
        self._db = db
        self._roots = roots
        self._state_dir = state_dir
        self._clock = clock
        self._keeping = keeping
        self._arrived = arrived
        self._left_out = left_out
        self._changed = asyncio.Event()
        self._opening = asyncio.Lock()
        self._ledger: Ledger | None = None
        self._pool = Pool()
        self._room = Room()
        self._watched: dict[int, _Watched] = {}
        self._unwatched: dict[int, str] = {}
        self._clearing: dict[str, asyncio.Task[str | None]] = {}
        self._being_added: set[str] = set()
        self._tidying = asyncio.Lock()
        """Held while a folder is added, or what an earlier life left is cleared."""

    async def run(self) -> None:
        """Watch them until cancelled."""
        delivering: asyncio.Task[None] | None = None
        await self._clear_what_was_left()
        try:
            while True:
                self._changed.clear()
                wanted = {root.id: root for root in await self._roots.all() if is_sftp(root.shown) and root.enabled}
                for root_id in set(self._watched) - set(wanted):
                    self._clear(self._watched[root_id].watching.target.url)
                await self._begin_all([root for root_id, root in wanted.items() if root_id not in self._watched])
                if self._ledger is not None and delivering is None:
                    delivering = asyncio.create_task(self._deliver(Outbox(self._ledger)))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), AFTER_CRASH_S if self._unwatched else None)
        finally:
            for root_id in list(self._watched):
                self._end(root_id)
            if delivering is not None:
                delivering.cancel()

    async def add(self, target: Target, options: DropOptions, recursive: bool, exclude: tuple[str, ...]) -> Root:
        """Register a drop folder, after a look at it.

        Raises:
            SftpError: it cannot be looked at.
            OSError: there is no place for what comes from there.
        """
        await in_thread(_look_at, target, options)
        async with self._tidying:
            root = await self._add(target, options, recursive, exclude)
        self._changed.set()
        return root

    async def _add(self, target: Target, options: DropOptions, recursive: bool, exclude: tuple[str, ...]) -> Root:
        self._being_added.add(target.url)
        try:
            if (clearing := self._clearing.get(target.url)) is not None:  # it was watched until a moment ago
                await asyncio.wait([clearing])
            spool = Spool(self._state_dir, target.url)
            await in_thread(spool.make)
            resolved, identity = await in_thread(disk.resolve, spool.files)
            return await self._roots.add(
                resolved, target.url.encode(), recursive, identity, self._clock.now_ms(), "archive", exclude,
                also=lambda tx, root_id: drop_folders.add(tx, root_id, options),
            )  # fmt: skip
        finally:
            self._being_added.discard(target.url)

    async def removed(self, root: Root) -> str | None:
        """Forget what was on its way, but what is here and not stored: say what that is, as far as it is known soon.

        What is to be announced is announced.
        """
        if not is_sftp(root.shown):
            return None
        clearing = self._clear(os.fsdecode(root.shown))
        done, _ = await asyncio.wait([clearing], timeout=CLEARED_WITHIN_S)
        self._changed.set()
        return clearing.result() if done and clearing.exception() is None else None

    def look_soon(self, root_id: int) -> None:
        """Look at a drop folder now, whenever that was to be."""
        if (watched := self._watched.get(root_id)) is not None:
            watched.watching.look_soon()
            watched.hurry.set()

    async def facts(self, root_id: int) -> dict[str, Any] | None:
        """Return what is shown of a drop folder; None where the root is none, or is not watched yet."""
        watched = self._watched.get(root_id)
        return None if watched is None else await in_thread(watched.watching.facts)

    async def why(self, root_id: int, name: bytes) -> tuple[str, str, str] | None:
        """Return where a file stands that is not here: pending or stored, a word, and a sentence."""
        watched = self._watched.get(root_id)
        return None if watched is None else await in_thread(watched.watching.why, name)

    def problem(self, root_id: int) -> str | None:
        """Return why a drop folder cannot be looked at."""
        watched = self._watched.get(root_id)
        if watched is None:
            return self._unwatched.get(root_id)
        return None if watched.watching.problem is None else str(watched.watching.problem)

    @property
    def to_do(self) -> int:
        """How many files are on their way into spools, or still to be moved or removed."""
        return sum(watched.watching.to_do for watched in self._watched.values())

    def close(self) -> None:
        """Let go of all connections."""
        start(self._pool.close)

    async def _begin_all(self, roots: Sequence[Root]) -> None:
        """Watch what can be, and note what is in the way of the others."""
        options = await drop_folders.options_of_all(self._db) if roots else {}
        unwatched: dict[int, str] = {}
        for root in roots:
            try:
                if root.id not in options:
                    raise SftpError("how to get there is not known any more: remove it, and add it again")
                await self._begin(root, options[root.id])
            except (SftpError, OSError) as error:
                unwatched[root.id] = str(error)
                if unwatched[root.id] != self._unwatched.get(root.id):
                    log.error("%s is not watched: %s", os.fsdecode(root.shown), error)
        self._unwatched = unwatched

    async def _begin(self, root: Root, options: DropOptions) -> None:
        """Watch a folder from here on."""
        ledger = await self._opened()
        target = parse(os.fsdecode(root.shown))
        spool = Spool(self._state_dir, target.url)
        await in_thread(spool.make)
        kind, tools = await in_thread(_imported)
        shared = tools(ledger, self._db, self._pool, self._keeping, self._room, self._clock.mono_ms)
        watched = _Watched(kind(root, target, options, spool, shared, self._left_out(root)))
        watched.task = asyncio.create_task(self._watch(watched))
        self._watched[root.id] = watched

    def _end(self, root_id: int) -> "Watching":
        watched = self._watched.pop(root_id)
        watched.watching.stop()
        if watched.task is not None:
            watched.task.cancel()
        return watched.watching

    def _clear(self, url: str) -> "asyncio.Task[str | None]":
        """Have nothing left of a folder that is not watched any more."""
        ended = [self._end(root_id) for root_id, each in list(self._watched.items()) if each.watching.target.url == url]
        task = asyncio.create_task(self._cleared(url, ended, self._clearing.get(url)))
        self._clearing[url] = task
        task.add_done_callback(partial(self._clearing_ended, url))
        return task

    def _clearing_ended(self, url: str, task: "asyncio.Task[str | None]") -> None:
        if self._clearing.get(url) is task:
            del self._clearing[url]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s: something of it is left until the next start: %s", url, error, exc_info=error)

    async def _clear_what_was_left(self) -> None:
        """Have nothing left of removed folders whose clearing was cut off, or failed, in an earlier life.

        Only of what a person removed: where the memory of what is watched was lost, nothing of it is.
        """
        async with self._tidying:
            watched = {root.shown for root in await self._roots.all()}
            removed = {shown for shown, _ in await reconciling.forgotten_roots(self._db)} - watched
            for shown in sorted(filter(is_sftp, removed)):
                url = os.fsdecode(shown)
                try:
                    await self._clear_all(url)
                except Exception:
                    log.exception("%s: something of it is left until the next start", url)

    async def _clear_all(self, url: str) -> str | None:
        """Have nothing left of a folder but what is not stored; return what that is."""
        spool = Spool(self._state_dir, url)
        unsent = await in_thread(clear_all, spool, await self._opened(), url)
        if not unsent:
            return None
        left = f"{unsent} files are not stored, and stay in {os.fsdecode(spool.files)} until it is watched again"
        log.warning("%s: %s", url, left)
        return left

    async def _cleared(
        self, url: str, ended: list["Watching"], before: "asyncio.Task[str | None] | None"
    ) -> str | None:
        if before is not None:
            await asyncio.wait([before])
        for watching in ended:
            await in_thread(watching.end)
            if all(each.watching.way != watching.way for each in self._watched.values()):
                await in_thread(self._pool.forget, watching.way)
        if url in self._being_added or url.encode() in {root.shown for root in await self._roots.all()}:
            return None
        for watching in ended:
            await in_thread(watching.announce_rest)
        return await self._clear_all(url)

    async def _opened(self) -> Ledger:
        async with self._opening:  # one process, one connection that writes
            if self._ledger is None:
                self._ledger = await in_thread(Ledger, os.path.join(self._state_dir, LEDGER))
            return self._ledger

    async def _watch(self, watched: _Watched) -> None:
        watching = watched.watching
        while True:
            before = watching.fetched
            watched.hurry.clear()
            try:
                pause_s = await in_thread(watching.turn, self._clock.now_ms())
            except Stopped:
                return
            except Exception:
                log.exception("%s: a turn crashed", watching.target.url)
                pause_s = AFTER_CRASH_S
            if watching.fetched != before:
                self._arrived(watching.root_id)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(watched.hurry.wait(), pause_s)

    async def _deliver(self, outbox: Outbox) -> None:
        poster = Poster()
        try:
            while True:
                try:
                    await in_thread(outbox.deliver, poster.post)
                except Exception:
                    log.exception("announcing crashed")
                await asyncio.sleep(DELIVER_EVERY_S)
        finally:
            poster.close()


def _imported() -> Any:
    """Return what watches, and what it needs; paramiko is imported for it.

    Raises:
        ExtraMissing: it is not installed.
    """
    from pp_assist.sftp.watching import Tools, Watching

    return Watching, Tools


def _look_at(target: Target, options: DropOptions) -> None:
    """Make sure that the folder is there, and ours to list. Blocking."""
    from pp_assist.sftp.connecting import connect, list_folder, told_apart
    from pp_assist.sftp.watching import way_of

    client, transport = connect(*way_of(target, options))
    with contextlib.closing(transport), told_apart():
        list_folder(client, target.path)
