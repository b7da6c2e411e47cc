"""Having the server read and hash again what it said it has; what is damaged or gone there is offered anew."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from pp_assist.clock import Clock
from pp_assist.core.errors import NotOffered, ServerUnavailable, ServerUnreachable
from pp_assist.store import reconciling
from pp_assist.store.db import Database
from pp_assist.store.queues import Queues
from pp_assist.uploader.link import ServerLink
from pp_server.wire.batch import VerifyResult

PATIENCE_S = 10.0


class Verified(NamedTuple):
    """What the server's disk holds, as it said just now."""

    results: list[VerifyResult]
    offered_again: int
    """Files whose receipt the server could not stand by: they are sent anew."""
    retry_after_s: float | None = None
    """It will not read so much just now (then there are no results); ask again after this time."""


class Verifier:
    """Asks the default server."""

    def __init__(self, db: Database, queues: Queues, link: ServerLink, clock: Clock) -> None:
        self._db = db
        self._queues = queues
        self._link = link
        self._clock = clock

    async def verify(self, digests: Sequence[str], nonce: str | None) -> Verified:
        """Have contents of ours read by the server.

        Raises:
            AssistError: it does not answer, or cannot do that.
        """
        try:
            async with asyncio.timeout(PATIENCE_S):
                way = await self._link.ready()
        except TimeoutError as error:
            raise ServerUnreachable(f"there is no server to ask: {self._link.reason}") from error
        if not way.capabilities.can("verify"):
            raise NotOffered("the server is too old for this")
        known = await reconciling.sizes(self._db, digests)
        try:
            results = await way.client.verify(list(digests), nonce, sum(known.values()))
        except ServerUnavailable as error:
            if error.retry_after_s is None:
                raise
            return Verified([], 0, error.retry_after_s)
        bad = [each.sha256 for each in results if each.status != "intact" and each.sha256 in known]
        return Verified(results, await self._offer_again(bad))

    async def _offer_again(self, digests: Sequence[str]) -> int:
        if not digests:
            return 0
        async with self._db.transaction() as tx:
            count = await reconciling.offer_contents_again(tx, digests, self._clock.now_ms())
        self._queues.wake_uploads()
        return count
