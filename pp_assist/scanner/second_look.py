"""Second looks: a file that was missing is looked for again after the grace, and only then counts as gone."""

import contextlib
import logging
from collections.abc import Iterable

import aiosqlite

from pp_assist.core.errors import AssistError, BehindALink, RootForgotten, RootUnhealthy
from pp_assist.core.events import Event
from pp_assist.core.model import Claim, Kind, Root, Snapshot, Stage, is_gone
from pp_assist.disk import look_at_all
from pp_assist.scanner.record import Recorder
from pp_assist.store import excluded, held, queue, versions
from pp_assist.store.roots import RootsTable
from pp_server.wire.names import display

log = logging.getLogger(__name__)

CLAIMS_AT_A_TIME = 500
ROOT_RETRY_MS = 5_000


class SecondLooks:
    """The part of the scanner that makes sure."""

    def __init__(self, recorder: Recorder, roots: RootsTable) -> None:
        self._recorder = recorder
        self._roots = roots
        self._waiting = recorder.queues.vanished
        self._deletions = recorder.queues.deletion

    async def run(self) -> None:
        """Work until cancelled."""
        self._waiting.start_over()
        while True:
            claims = await self._waiting.take(CLAIMS_AT_A_TIME)
            try:
                await self._look_again(claims)
            finally:
                self._waiting.release(claims)

    async def _look_again(self, claims: list[Claim]) -> None:
        """Hand on what is gone for sure; what is there again is seen like any other file; the rest waits, unless a link
        stands on the way to it by now: that is no deletion, and nobody would come to another end.
        """
        looks = await self._recorder.in_thread(look_at_all, [claim.location for claim in claims])
        seen = list(zip(claims, looks, strict=True))
        now_ms = self._recorder.clock.now_ms()
        gone = [claim for claim, found in seen if is_gone(found, claim.location)]
        roots = {root.id: root for root in await self._roots.all()}
        async with self._recorder.db.transaction() as tx:
            for root_id, claims_of_root in _by_root(gone).items():
                await self._certainly_gone(tx, roots.get(root_id), claims_of_root, now_ms)
            await excluded.forget_missing(tx, [claim for claim, found in seen if isinstance(found, BehindALink)])
            for claim, found in seen:
                if isinstance(found, AssistError) and not isinstance(found, BehindALink):
                    await queue.later(tx, claim, now_ms + ROOT_RETRY_MS, found.reason, str(found))
        if gone:
            self._deletions.wake()
        back = [claim for claim, found in seen if isinstance(found, Snapshot) and not is_gone(found, claim.location)]
        for root_id, claims_of_root in _by_root(back).items():
            await self._are_back(roots.get(root_id), claims_of_root)

    async def _certainly_gone(
        self, tx: aiosqlite.Connection, root: Root | None, gone: list[Claim], now_ms: int
    ) -> None:
        """Hand deletions on to be told, unless the root keeps everything, or so many cannot be meant."""
        if root is None:
            return
        if root.policy == "archive":
            await versions.forget(tx, gone)
            return
        elsewhere = await held.moved(tx, gone)
        lost = [claim for claim in gone if claim.file_id not in elsewhere]
        told = [claim for claim in gone if claim.file_id in elsewhere]
        if lost and await held.decide(tx, root.id, lost, now_ms):
            told = gone
        elif lost:
            files = sum(claim.kind is Kind.FILE for claim in lost)
            log.warning("deletions in %s are held: %d more files are missing", display(root.path), files)
            self._recorder.tell(Event.DELETIONS_HELD, root.shown, root_id=root.id, count=files)
        await queue.move(tx, [(claim, Stage.DELETION, claim.gen) for claim in told], now_ms)

    async def _are_back(self, root: Root | None, claims: list[Claim]) -> None:
        if root is None:
            return
        places: dict[bytes, dict[bytes, bool]] = {}
        for claim in claims:
            places.setdefault(claim.location.folder.directory, {})[claim.location.name] = False
        with contextlib.suppress(RootUnhealthy, RootForgotten):  # it is found again by the next look
            async for seen in self._recorder.looks(root, places.items()):
                await self._recorder.record(root, seen)


def _by_root(claims: Iterable[Claim]) -> dict[int, list[Claim]]:
    grouped: dict[int, list[Claim]] = {}
    for claim in claims:
        grouped.setdefault(claim.location.folder.root_id, []).append(claim)
    return grouped
