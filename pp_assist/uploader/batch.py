"""The small lane: many files in one request. Each gets its own result; none holds up the others.

One batch is: ask which contents the server holds already, read the others, send everything, believe the receipts. A
batch may be repeated: the same generations get the same receipts, and what arrived the first time is held by then.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Protocol, TypeVar

from pp_assist.clock import Clock
from pp_assist.core.asking import Asking
from pp_assist.core.capabilities import Capabilities
from pp_assist.core.compression import Compression
from pp_assist.core.errors import AssistError, FileChanged, Refused, Remedy, ServerNonsense, Stale, TooLarge
from pp_assist.core.model import Claim, Kind
from pp_assist.core.portions import portions
from pp_assist.http import Answer
from pp_assist.uploader.client import read_results
from pp_assist.uploader.confirmed import Confirmed, believed
from pp_assist.uploader.packing import Packed, pack
from pp_assist.uploader.transfer import Transfer
from pp_assist.uploader.way import Way
from pp_server.wire.batch import MAX_HASHES, MAX_INLINE_BYTES, MAX_OPERATIONS
from pp_server.wire.errors import ErrorCode

log = logging.getLogger(__name__)

BATCH_FILES = 1000
BATCH_BYTES = 4 << 20
ON_THE_WAY = 2
"""Batches that travel at a time: while the server works on one, the line is the other's."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Share:
    """What is meant to be one batch."""

    claims: list[Claim]
    lacking: frozenset[str] = frozenset()
    """Digests of contents the server has just said it does not have, whatever it said before."""
    plain: bool = False
    """It failed compressed: it is to be sent as it is."""

    def halves(self) -> "list[Share]":
        """Return the same as two."""
        middle = len(self.claims) // 2
        return [replace(self, claims=self.claims[:middle]), replace(self, claims=self.claims[middle:])]


@dataclass(frozen=True, slots=True)
class Judged:
    """What a server made of a batch."""

    confirmed: list[Confirmed]
    failures: list[tuple[Claim, AssistError]]
    missing: list[Claim]


class Settles(Protocol):
    """Takes note of what became of each."""

    async def stored(self, confirmed: Sequence[Confirmed]) -> None: ...
    async def failed(self, failures: Sequence[tuple[Claim, AssistError]]) -> None: ...
    async def trouble(self, claims: Sequence[Claim], error: AssistError) -> None: ...
    async def unexpected(self, claim: Claim, error: Exception) -> None: ...


class Relation(Protocol):
    """How we stand with the server."""

    @property
    def reason(self) -> str | None:
        """Why nothing more is to be sent just now; None when all is well."""

    async def succeeded(self) -> None:
        """Note that the server did what it was asked."""


class Batches:
    """Sends small files."""

    def __init__(
        self,
        settle: Settles,
        link: Relation,
        transfer: Transfer,
        threads: ThreadPoolExecutor,
        on_bytes: Callable[[int], None],
        clock: Clock,
    ) -> None:
        self._settle = settle
        self._link = link
        self._transfer = transfer
        self._threads = threads
        self._on_bytes = on_bytes
        self._most_bytes = BATCH_BYTES
        self._clock = clock
        self._asking: tuple[tuple[int, str], Asking] = ((0, ""), Asking())
        self._line = asyncio.Semaphore(ON_THE_WAY)

    async def send(self, way: Way, claims: Sequence[Claim]) -> None:
        """Give *claims* to the server and settle each; if the server gets into trouble, the rest stays as it is."""
        most = way.capabilities.limit("max_inline_size", MAX_INLINE_BYTES)
        for claim in claims:
            if claim.content_bytes > most and self._link.reason is None:
                await self._by_chunks(way, claim)
        small = [claim for claim in claims if claim.content_bytes <= most]
        waiting = deque(_shares(small, way.capabilities, self._most_bytes))
        while waiting and self._link.reason is None:
            waiting.extendleft(reversed(await self._share(way, waiting.popleft())))

    async def _share(self, way: Way, share: Share) -> list[Share]:
        """Send one batch; return what must be sent next, because there was no room for it or it was refused."""
        left: list[Share] = []
        encoding = None
        try:
            held = await self._held(way, share)
            compression = Compression.NEVER if share.plain else way.compressing
            packed = await self._in_thread(pack, share.claims, way.host, held, compression)
            left = [replace(share, claims=packed.left)] if packed.left else []
            share, encoding = replace(share, claims=packed.claims), packed.encoding
            if packed.failures:
                await self._settle.failed(packed.failures)
            if packed.claims and (lacking := await self._travel(way, packed)) is not None:
                left = lacking + left
                if share.plain:
                    way.plainly.helped()
        except AssistError as error:
            if encoding is not None and way.plainly.may_help(error):
                return [replace(share, plain=True), *left]
            if share.plain:
                way.plainly.did_not_help(error)
            return await self._failed(way, share, error) + left
        except Exception as error:
            if len(share.claims) == 1:
                await self._settle.unexpected(share.claims[0], error)
                return left
            return share.halves() + left
        return left

    async def _held(self, way: Way, share: Share) -> set[str]:
        """Ask which contents need not travel, where that pays."""
        digests = {
            claim.hashed.sha256 for claim in share.claims if claim.hashed and claim.content_bytes
        } - share.lacking
        if not digests or not way.capabilities.can("held") or not self._asked(way).is_due(self._clock.mono_ms()):
            return set()
        held = await way.client.held(sorted(digests)) & digests
        self._asked(way).answered(len(digests), len(held))
        return held

    def _asked(self, way: Way) -> Asking:
        """Return what is known of asking this server; of another one, that is nothing."""
        if self._asking[0] != way.whose:
            self._asking = way.whose, Asking()
        return self._asking[1]

    async def _travel(self, way: Way, packed: Packed) -> list[Share] | None:
        """Send a batch and settle what became of it; return what must be sent again, with its content. None: it was not
        sent, there was trouble with the others.
        """
        sent = sum(packed.sent)
        async with self._line:
            if self._link.reason is not None:
                return None
            began_ms = self._clock.mono_ms()
            answer = await way.client.batch(packed.body, len(packed.claims), packed.encoding)
            now_ms = self._clock.mono_ms()
        self._asked(way).travelled(sent, now_ms - began_ms, now_ms)
        self._on_bytes(sent)
        judged = await self._in_thread(_judge, answer, packed, way)
        if judged.confirmed:
            await self._settle.stored(judged.confirmed)
        else:
            await self._link.succeeded()
        if judged.failures:
            await self._settle.failed(judged.failures)
        lacking = frozenset(claim.hashed.sha256 for claim in judged.missing if claim.hashed)
        return [Share(judged.missing, lacking)] if judged.missing else []

    async def _failed(self, way: Way, share: Share, error: AssistError) -> list[Share]:
        """Settle a whole batch that came to nothing, or return what to try instead."""
        if isinstance(error, TooLarge):
            self._most_bytes = max(
                MAX_INLINE_BYTES, min(self._most_bytes, sum(claim.content_bytes for claim in share.claims)) // 2
            )
        if isinstance(error, Refused) and len(share.claims) > 1:
            return share.halves()  # one that is refused must not hold up the others
        if isinstance(error, TooLarge):
            await self._by_chunks(way, share.claims[0])
        elif error.remedy in (Remedy.WAIT, Remedy.LOGIN):
            await self._settle.trouble(share.claims, error)
        else:
            await self._settle.failed([(claim, error) for claim in share.claims])
        return []

    async def _by_chunks(self, way: Way, claim: Claim) -> None:
        """Send a file that is small for us and too large for one request of this server."""
        if not _is_file(claim):
            await self._settle.failed([(claim, Refused("the server takes not even a single name at a time"))])
            return
        try:
            await self._settle.stored([await self._transfer.run(way, claim)])
        except AssistError as error:
            await self._settle.failed([(claim, error)])

    async def _in_thread(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)


def _shares(claims: Sequence[Claim], capabilities: Capabilities, most_bytes: int) -> Iterator[Share]:
    """Yield *claims* in parts that are one batch each, however much of their content must travel."""
    most_files = min(
        capabilities.limit("max_operations", min(BATCH_FILES, MAX_OPERATIONS)),
        capabilities.limit("max_hashes", MAX_HASHES),
    )
    most_bytes = capabilities.limit("max_batch_size", most_bytes)
    return map(Share, portions(claims, attrgetter("content_bytes"), most_bytes, most_files))


def _is_file(claim: Claim) -> bool:
    return claim.hashed is not None and claim.hashed.kind is Kind.FILE


def _judge(answer: Answer, packed: Packed, way: Way) -> Judged:
    """Sort the results of a batch. CPU-bound: call it in a thread.

    Raises:
        ServerNonsense: the answer as a whole is not to be believed.
    """
    receipts: list[tuple[Claim, dict[str, Any], int]] = []
    failures: list[tuple[Claim, AssistError]] = []
    missing: list[Claim] = []
    results = read_results(answer, len(packed.claims))
    for claim, result, sent, inline in zip(packed.claims, results, packed.sent, packed.inline, strict=True):
        match result:
            case {"status": "stored", "receipt": dict() as receipt}:
                receipts.append((claim, receipt, sent))
            case {"status": "missing"} if not inline and _is_file(claim):
                missing.append(claim)
            case {"status": "stale", "gen": int() as gen}:
                failures.append((claim, Stale(gen)))
            case {"status": "refused", "code": ErrorCode.SHA256_MISMATCH}:
                failures.append((claim, FileChanged("the server received other bytes than were announced")))
            case {"status": "refused"}:
                why = f"({result.get('code')}): {result.get('detail')}"
                failures.append((claim, Refused(f"the server refuses it {why}")))
            case _:
                raise ServerNonsense(f"a file was sent, and the result is {result['status']}")
    return Judged(believed(receipts, way.host, way.key), failures, missing)
