"""Reads what the server has of each root, page by page, and has our memory follow where the server remembers more.

It begins once a root was scanned as a whole: then what we do not know of what the server has is not on the disk, or was
written just now. Deletions of a root are told only after that: see `core.reconcile`.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

from pp_assist.clock import Clock
from pp_assist.core.backoff import delay_ms
from pp_assist.core.errors import (
    AssistError,
    NotAllowed,
    NotOffered,
    Remedy,
    ServerBusy,
    ServerNonsense,
    ServerTrouble,
    ServerUnreachable,
)
from pp_assist.core.explain import Sight
from pp_assist.core.model import STORABLE, Kind, Root
from pp_assist.core.reconcile import Listed, is_adopted, is_kept, place_in
from pp_assist.store import reconciling, tree_moves
from pp_assist.store.db import Database
from pp_assist.store.queues import Queues
from pp_assist.store.roots import RootsTable
from pp_assist.uploader.client import read_inventory
from pp_assist.uploader.link import ServerLink
from pp_assist.uploader.way import Host, Way
from pp_server.wire.messages import FileListing, ListedFile
from pp_server.wire.names import display, from_json

log = logging.getLogger(__name__)

POLL_S = 30.0
OFFERED_AT_A_TIME = 1000
TRIES = 5

T = TypeVar("T")
Sights = Callable[[Root, Sequence[tuple[bytes, Kind, int]]], Awaitable[list[Sight]]]
"""What disk and rules say about paths of a root (with kind and size of what was there); raises RootUnhealthy."""


class OtherServer(Exception):
    """Another server is the default one by now: what was read of the last one is of no use."""


@dataclass(slots=True)
class Comparing:
    """How far the comparison has come, for people."""

    root: bytes
    read: int
    of: int


class Reconciler:
    """The part of the uploader that compares."""

    def __init__(
        self,
        db: Database,
        queues: Queues,
        link: ServerLink,
        roots: RootsTable,
        host: Host,
        sights: Sights,
        clock: Clock,
        threads: ThreadPoolExecutor,
        grace_ms: int,
    ) -> None:
        self._db = db
        self._queues = queues
        self._link = link
        self._roots = roots
        self._host = host
        self._sights = sights
        self._clock = clock
        self._threads = threads
        self._grace_ms = grace_ms
        self._woken = asyncio.Event()
        self._failures = 0
        self.comparing: Comparing | None = None
        self.trouble: AssistError | None = None
        """Why it could not go on the last time."""
        roots.when_looked_through = self.wake

    def wake(self) -> None:
        """Have it look now whether there is something to compare."""
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self._woken.clear()
            way = await self._link.ready()
            for root in await self._to_compare(way):
                try:
                    await self._compare(way, root)
                    self._failures, self.trouble = 0, None
                except OtherServer:
                    self._woken.set()
                except AssistError as error:
                    await self._failed(error)
                finally:
                    self.comparing = None
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s()):
                    await self._woken.wait()

    async def _to_compare(self, way: Way) -> list[Root]:
        """Return the roots that were scanned since the start, and not compared since there was reason for it."""
        if await tree_moves.is_pending(self._db):  # it would look as if all of that were missing
            return []
        done = await reconciling.reconciled(self._db, *way.whose)
        ready = self._roots.looked_through - done
        return [r for r in await self._roots.all() if r.id in ready and r.enabled and r.status == "healthy"]

    def _pause_s(self) -> float:
        if not self._failures:
            return POLL_S
        return min(POLL_S, delay_ms(self._failures, random.random()) / 1000)  # noqa: S311

    async def _failed(self, error: AssistError) -> None:
        """Begin again later. What it means for the server is the link's to say, unless only reading is not allowed."""
        self._failures += 1
        if self.trouble is None or self.trouble.reason != error.reason:
            log.warning("what the server has cannot be compared yet, so no deletions are told: %s", error)
        self.trouble = error
        await self._blame(error)

    async def _blame(self, error: AssistError) -> None:
        if error.remedy in (Remedy.WAIT, Remedy.LOGIN) and not isinstance(error, NotAllowed):
            await self._link.failed(error)

    # -- one root

    async def _compare(self, way: Way, root: Root) -> None:
        known = self._link.begun_with(way)
        if known is not None and await self._finish(way, root, known):
            log.info("%s: the server has nothing that it does not have from this run", display(root.path))
            return
        if not way.capabilities.can("list"):
            raise NotOffered("the server does not list what it has")
        self.comparing = progress = Comparing(root.shown, 0, 0)
        async with self._db.transaction() as tx:
            doubts = await reconciling.begin(tx, root.id)
        forgotten = await reconciling.forgotten_roots(self._db)
        adopted = 0
        for kind in STORABLE if way.capabilities.can("batch") else (Kind.FILE,):
            after: str | None = None
            before = progress.read
            while True:
                page = await self._ask(way, root, kind, after)
                listed = await self._in_thread(_concerning, root, page, forgotten)
                adopted += await self._page(root, listed)
                progress.read, progress.of, after = progress.read + len(page.files), before + page.total, page.next
                if after is None:
                    break
        offered = await self._offer_again(root)
        if await self._finish(way, root, doubts):
            log.info(
                "compared %s with the server: %d paths there, %d gone here and still there, %d offered again",
                display(root.path), progress.read, adopted, offered,
            )  # fmt: skip

    async def _ask(self, way: Way, root: Root, kind: Kind, after: str | None) -> FileListing:
        """Return a page; where the server is in trouble, ask for it again, and not for those before."""
        for attempt in count():
            now = await self._link.ready()
            if now.whose != way.whose:
                raise OtherServer
            try:
                answer = await now.client.inventory(self._host.host_id, root.shown, kind, after)
                page = await self._in_thread(read_inventory, answer, self._host.host_id)
            except (ServerUnreachable, ServerTrouble, ServerNonsense, ServerBusy) as error:
                if attempt == TRIES:
                    raise
                await self._blame(error)
                await asyncio.sleep(delay_ms(attempt, random.random(), error.retry_after_s) / 1000)  # noqa: S311
            else:
                await self._link.succeeded()
                return page
        raise AssertionError

    async def _page(self, root: Root, listed: list[Listed]) -> int:
        """Write down what a page means; return how many missing files are known from now on."""
        async with self._db.transaction() as tx:
            compared = await reconciling.page(tx, root.id, listed)
        if not compared.unknown or root.policy == "archive":  # an archive is never told of what is gone
            return 0
        sights = await self._sights(root, [(one.relative, one.kind, one.size_bytes) for one in compared.unknown])
        missing = [one for one, sight in zip(compared.unknown, sights, strict=True) if is_adopted(sight)]
        async with self._db.transaction() as tx:
            await reconciling.adopt(tx, root.id, missing, self._clock.now_ms())
        return len(missing)

    async def _offer_again(self, root: Root) -> int:
        """Offer what the server does not have as we believed; return how many files that were."""
        total = 0
        while True:
            async with self._db.transaction() as tx:
                again = await reconciling.offer_again(tx, OFFERED_AT_A_TIME, self._clock.now_ms())
            total += again
            if again < OFFERED_AT_A_TIME:
                break
        if total:
            log.warning("the server does not have %d files of %s as it once said", total, display(root.path))
            self._queues.wake_uploads()
            self._queues.wake_checksums()
        return total

    async def _finish(self, way: Way, root: Root, doubts: int) -> bool:
        now_ms = self._clock.now_ms()
        async with self._db.transaction() as tx:
            look_at_ms = now_ms + self._grace_ms
            done = await reconciling.finish(tx, root.id, *way.whose, doubts, look_at_ms, now_ms)
        self._queues.vanished.wake()
        self._queues.deletion.wake()
        return done

    async def _in_thread(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)


def _concerning(root: Root, page: FileListing, forgotten: Sequence[tuple[bytes, int]]) -> list[Listed]:
    """Return what of a page could be found by looking into *root*, and is not to stay on the server."""
    listed = []
    for file in page.files:
        path = _path_of(file)
        place = place_in(root.shown, root.recursive, path)
        if place is not None and not is_kept(path, file.gen, forgotten):
            listed.append(Listed(*place, file.gen, file.sha256, file.file_size, Kind(file.kind)))
    return listed


def _path_of(file: ListedFile) -> bytes:
    try:
        return from_json(file.filepath, file.filepath_b64)
    except ValueError as error:
        raise ServerNonsense(f"a path in what the server lists {error}") from error
