"""Deletion notices: a third look right before sending, then in batches, until the server has confirmed each one."""

import asyncio
import json
import logging
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from pp_assist.clock import Clock
from pp_assist.core.backoff import delay_ms
from pp_assist.core.errors import AssistError, BehindALink, NotAllowed, NotOffered, Refused, Remedy, ServerNonsense
from pp_assist.core.events import Event, Tell
from pp_assist.core.model import Claim, Kind, Snapshot, Stage, is_gone
from pp_assist.core.rest import Rest
from pp_assist.disk import look_at_all
from pp_assist.store import excluded, generations, observations, queue, reconciling, tree_moves, versions
from pp_assist.store.db import Database
from pp_assist.store.queues import Queues
from pp_assist.uploader.client import read_batch
from pp_assist.uploader.confirmed import check_tombstones
from pp_assist.uploader.link import ServerLink
from pp_assist.uploader.packing import body_of
from pp_assist.uploader.way import Host, Way
from pp_server.wire.batch import OperationResult
from pp_server.wire.errors import ErrorCode
from pp_server.wire.messages import DeletionResult
from pp_server.wire.names import json_fields
from pp_server.wire.times import iso

log = logging.getLogger(__name__)

UNKNOWN = "0" * 64
"""For a file of which only a snapshot may have arrived: beside a generation, the digest decides nothing."""

DELETIONS_AT_A_TIME = 500
LOOK_AGAIN_MS = 5_000
UPLOAD_ENDS_MS = 500
COMPARED_MS = 30_000
"""They are woken before, when a root has been compared."""


class Deletions:
    """The part of the uploader that tells of files that are gone."""

    def __init__(
        self,
        db: Database,
        queues: Queues,
        link: ServerLink,
        host: Host,
        rest: Rest,
        clock: Clock,
        threads: ThreadPoolExecutor,
        tell: Tell,
    ) -> None:
        self._told = tell
        self._db = db
        self._queues = queues
        self._waiting = queues.deletion
        self._link = link
        self._host = host
        self._rest = rest
        self._clock = clock
        self._threads = threads

    async def run(self) -> None:
        """Work until cancelled."""
        self._waiting.start_over()
        while True:
            at_a_time = (await self._link.ready()).capabilities.limit("max_deletions", DELETIONS_AT_A_TIME)
            claims = await self._waiting.take(at_a_time)
            try:
                if not await tree_moves.all_told(self._db):
                    continue
                way = await self._link.ready()
                gone = await self._still_gone(way, await self._of_compared_roots(way, claims))
                if gone:
                    await self._tell(way, gone)
            finally:
                self._waiting.release(claims)

    async def _of_compared_roots(self, way: Way, claims: list[Claim]) -> list[Claim]:
        """Return the claims of roots that were compared with what the server has; the others wait for that."""
        compared = await reconciling.reconciled(self._db, *way.whose)
        if any(claim.location.folder.root_id not in compared for claim in claims):
            at_ms = self._clock.now_ms() + COMPARED_MS
            why = "what the server has must be compared with what is known here first"
            async with self._db.transaction() as tx:  # a comparison that just ended did not find these waiting
                compared = await reconciling.reconciled_now(tx, *way.whose)
                waiting = [claim for claim in claims if claim.location.folder.root_id not in compared]
                await queue.later_all(tx, waiting, at_ms, reconciling.NOT_RECONCILED, why)
        return [claim for claim in claims if claim.location.folder.root_id in compared]

    async def _still_gone(self, way: Way, claims: list[Claim]) -> list[Claim]:
        """Look a third time; return the claims whose files certainly are not there, and put the others right."""
        loop = asyncio.get_running_loop()
        looks = await loop.run_in_executor(self._threads, look_at_all, [claim.location for claim in claims])
        gone: list[Claim] = []
        hidden: list[Claim] = []
        back: set[tuple[int, bytes]] = set()
        now_ms = self._clock.now_ms()
        async with self._db.transaction() as tx:
            current = await queue.wanted(tx, claims)  # it may have taken long to come to them
            for claim, seen in zip(claims, looks, strict=True):
                if queue.key_of(claim) not in current:
                    continue
                certain = is_gone(seen, claim.location) or _cannot_be_told_otherwise(way, seen)
                if certain and not self._queues.is_uploading(claim):
                    gone.append(claim)
                elif certain:  # its upload, still under way, must not be overtaken
                    await queue.later(tx, claim, now_ms + UPLOAD_ENDS_MS, "being_uploaded", "its upload must end first")
                elif isinstance(seen, BehindALink):  # and so it will be tomorrow
                    hidden.append(claim)
                elif isinstance(seen, AssistError):
                    await queue.later(tx, claim, now_ms + LOOK_AGAIN_MS, seen.reason, str(seen))
                elif isinstance(seen, Snapshot):  # it is back
                    (gen,) = await generations.take(tx, 1)
                    eligible = self._rest.eligible_at_ms(seen.stat, now_ms)
                    await versions.look_again(tx, claim, seen.stat, gen, eligible, now_ms, None, seen.kind)
                    back.add((claim.location.folder.root_id, claim.location.folder.directory))
            await excluded.forget_missing(tx, hidden)
            for folder in back:  # it may count as missing: then nobody would look for what is in it once more
                await observations.there_again(tx, *folder)
        if len(gone) < len(claims):
            self._queues.wake_checksums()
        return gone

    async def _tell(self, way: Way, claims: list[Claim]) -> None:
        notices = [claim for claim in claims if _is_notice(way, claim)]
        others = [claim for claim in claims if not _is_notice(way, claim)]
        if notices and others:
            await self._tell(way, notices)
            await self._tell(way, others)
            return
        if not way.capabilities.can("deletions" if notices else "batch"):
            await self._failed(claims, NotOffered("the server does not take these deletions"))
            return
        try:
            results: Sequence[DeletionResult | OperationResult]
            if notices:
                results = (await way.client.deletions([self._notice(claim) for claim in claims])).results
            else:
                results = await self._orders(way, claims)
        except Refused as error:
            if len(claims) == 1:
                await self._failed(claims, error)
                return
            half = len(claims) // 2  # one that is refused must not hold up the others
            await self._tell(way, claims[:half])
            await self._tell(way, claims[half:])
            return
        except AssistError as error:
            await self._failed(claims, error)
            return
        await self._settle(list(zip(claims, results, strict=True)))
        await self._link.succeeded()

    async def _settle(self, results: Sequence[tuple[Claim, DeletionResult | OperationResult]]) -> None:
        """Forget what the server has confirmed; what it calls stale is looked at again under a newer generation."""
        stale = [(claim, result) for claim, result in results if result.status == "stale"]
        async with self._db.transaction() as tx:
            await versions.forget(tx, [claim for claim, result in results if result.status != "stale"])
            if stale:
                await generations.raise_to(tx, max(result.gen or 0 for _, result in stale))
                gens = await generations.take(tx, len(stale))
                await versions.renew(tx, [(claim, gen) for (claim, _), gen in zip(stale, gens, strict=True)])
                moves = [(claim, Stage.VANISHED, gen) for (claim, _), gen in zip(stale, gens, strict=True)]
                await queue.move(tx, moves, self._clock.now_ms())
        log.info("the server was told of %d deletions (%d stale)", len(results), len(stale))
        if told := [claim for claim, result in results if result.status != "stale"]:
            self._told(Event.FILE_DELETED, told[0].location.filepath, count=len(told))
        if stale:
            self._queues.vanished.wake()

    async def _failed(self, claims: list[Claim], error: AssistError) -> None:
        """Keep every row. A batch the server refuses is tried again like any other: deletions are never dropped."""
        alone = isinstance(error, NotAllowed)  # the key may upload, and not delete: uploads must not pay for it
        if error.remedy in (Remedy.WAIT, Remedy.LOGIN) and not alone:
            await self._link.failed(error)
        log.info("%d deletions not told yet: %s", len(claims), error)
        now_ms = self._clock.now_ms()
        async with self._db.transaction() as tx:
            if error.server_wide and not alone:
                await queue.later_all(tx, claims, now_ms, error.reason, str(error))
                return
            for claim in claims:
                at_ms = now_ms + delay_ms(claim.attempts, random.random(), error.retry_after_s)  # noqa: S311
                await queue.retry(tx, claim, at_ms, error.reason, str(error))

    async def _orders(self, way: Way, claims: Sequence[Claim]) -> list[OperationResult]:
        """Tell of directories and links that are gone: they have no digest, which a notice must name.

        Raises:
            AssistError: nothing, or not all of it, was done; the same may be told again.
        """
        operations = [{"op": "delete", "gen": claim.gen, **json_fields(claim.location.filepath)} for claim in claims]
        answer = await way.client.batch(
            body_of(self._host, [json.dumps(operation) for operation in operations]), len(claims)
        )
        results = read_batch(answer, len(claims)).results
        for result in results:
            if result.status == "refused":
                text = f"the server refuses it ({result.code}): {result.detail}"
                raise NotAllowed(text) if result.code == ErrorCode.FORBIDDEN else Refused(text)
            if result.status not in ("deleted", "not_found", "stale"):
                raise ServerNonsense(f"a deletion was told, and the result is {result.status}")
        deleted = [
            (claim, result.receipt) for claim, result in zip(claims, results, strict=True) if result.status == "deleted"
        ]
        check_tombstones(deleted, self._host, way.key)
        return results

    def _notice(self, claim: Claim) -> dict[str, object]:
        return {
            **json_fields(claim.location.filepath),
            **self._host.fields(),
            "sha256": claim.last_sha256 or UNKNOWN,
            "gen": claim.gen,
            "deleted_at": iso(claim.queued_at_ms),
        }


def _is_notice(way: Way, claim: Claim) -> bool:
    """Say whether the deletion can be told by the verb that is made for files."""
    return claim.kind is Kind.FILE or not way.capabilities.can("batch")


def _cannot_be_told_otherwise(way: Way, seen: object) -> bool:
    """Say whether *seen* is something that this server does not take: then only the end of the file can be told."""
    return isinstance(seen, Snapshot) and seen.kind is not Kind.FILE and not way.capabilities.can("batch")
