"""Sending what was found: read, in one request with many others or by chunks, and again where that may help."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import Any

from pp_assist.checksum.entries import read_claims
from pp_assist.clock import Clock
from pp_assist.core.compression import Compression
from pp_assist.core.errors import AssistError, FileChanged, NeedsLogin, NotOffered, Remedy, ServerNonsense, Stale
from pp_assist.core.events import Event
from pp_assist.core.model import Claim, Kind
from pp_assist.disk import look
from pp_assist.push.found import Found, NotFound, portions, size_of
from pp_assist.uploader.batch import Batches
from pp_assist.uploader.client import UploadClient
from pp_assist.uploader.confirmed import Confirmed
from pp_assist.uploader.transfer import Transfer
from pp_assist.uploader.under_way import UnderWay
from pp_assist.uploader.way import Host, Way
from pp_server.wire.batch import MAX_INLINE_BYTES
from pp_server.wire.chunks import MIB
from pp_server.wire.frames import ENCODING

AT_A_TIME = 3
"""Portions that are read or sent."""

THREADS = 4
CHUNKS_AT_A_TIME = 4
TRIES = 4
PAUSE_S = 1.0
MOST_PAUSE_S = 30.0


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of one thing."""

    filepath: bytes
    kind: str
    size_bytes: int
    sha256: str | None
    bytes_sent: int
    problem: str | None


async def greeted(client: UploadClient, hostname: str) -> Way:
    """Return the way to a server, once it has said what it can do.

    Raises:
        AssistError: it does not answer, or not as our server would.
    """
    greeting = await client.greet()
    can = greeting.capabilities.can
    key = await client.receipt_key() if can("receipts") else None
    compression = Compression.AUTO if can(ENCODING) else Compression.NEVER
    host = Host(hostname, hostname)  # without a state directory, a host is its name
    return Way(client, host, greeting.capabilities, key, compression=compression)


class Pusher:
    """Gives whatever it is told to a server, some of it at a time."""

    def __init__(self, way: Way, first_gen: int, report: Callable[[Pushed], None]) -> None:
        self.way = way
        self.report = report
        self.under_way: dict[bytes, int] = {}
        """Bytes of large files that the server has by now."""
        self.gens = count(first_gen)
        self._stopped = threading.Event()
        self._threads = ThreadPoolExecutor(THREADS, "push")
        slots = asyncio.Semaphore(CHUNKS_AT_A_TIME)
        self.transfer = Transfer(self._threads, slots, CHUNKS_AT_A_TIME, 4 * MIB, lambda _: None, UnderWay(self._tell))

    async def push(self, everything: Iterator[Found]) -> None:
        """Give *everything* to the server, and report what became of each.

        Raises:
            AssistError: there is no point in going on.
        """
        loop = asyncio.get_running_loop()
        slots = asyncio.Semaphore(AT_A_TIME)
        parts = portions(everything, self.way.capabilities.limit("max_inline_size", MAX_INLINE_BYTES))
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    await slots.acquire()
                    part = await loop.run_in_executor(self._threads, next, parts, None)
                    if part is None:
                        break
                    tasks.create_task(self._part(part, slots))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _part(self, part: list[Found], slots: asyncio.Semaphore) -> None:
        try:
            for each in part:
                if isinstance(each, NotFound):
                    self.report(Pushed(each.filepath, "file", 0, None, 0, each.problem))
            await _Portion(self, [each for each in part if isinstance(each, Claim)]).send()
        finally:
            slots.release()

    async def read(self, claims: list[Claim]) -> list[Any]:
        """Read *claims* in a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, read_claims, claims, self._stopped.is_set)

    async def look(self, claims: Sequence[Claim]) -> list[Claim]:
        """Return *claims* as they look now, without those that are gone: these are reported."""
        loop = asyncio.get_running_loop()
        return [each for each in await loop.run_in_executor(self._threads, self._looked, claims) if each is not None]

    def _looked(self, claims: Iterable[Claim]) -> list[Claim | None]:
        return [self._looked_at(claim) for claim in claims]

    def _looked_at(self, claim: Claim) -> Claim | None:
        try:
            entry = look(claim.location)
        except AssistError as error:
            self.failed(claim, error)
            return None
        if entry is None or entry.kind is not claim.kind:
            self.failed(claim, AssistError("it is not there any more"))
            return None
        return claim._replace(seen=entry.stat)

    def batches(self, settle: "_Portion") -> Batches:
        """Return what sends for one portion."""
        return Batches(settle, settle, self.transfer, self._threads, lambda _: None, Clock())

    def failed(self, claim: Claim, error: Exception) -> None:
        """Report that one thing could not be sent."""
        reason = error.reason if isinstance(error, AssistError) else type(error).__name__
        path = claim.location.filepath
        self.under_way.pop(path, None)
        self.report(Pushed(path, claim.kind, size_of(claim), None, 0, f"{reason}: {error}"))

    def close(self) -> None:
        """Stop reading."""
        self._stopped.set()
        self._threads.shutdown(cancel_futures=True)

    def _tell(self, event: Event, filepath: bytes | None = None, **details: Any) -> None:
        if event is Event.UPLOAD_PROGRESS and filepath is not None:
            self.under_way[filepath] = details["bytes_uploaded"]


class _Portion:
    """Some claims on their way. For whoever sends them, it is both what settles each and the relation to the server."""

    def __init__(self, pusher: Pusher, claims: list[Claim]) -> None:
        self._pusher = pusher
        self._waiting = {claim.location.filepath: claim for claim in claims}
        self._errors: dict[bytes, AssistError] = {}
        self._trouble: AssistError | None = None

    async def send(self) -> None:
        """Send all of them; what may go better soon is tried again.

        Raises:
            AssistError: the server is in trouble, and stays so.
        """
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(self._pause_s(attempt))
                looked = await self._pusher.look(list(self._waiting.values()))
                self._waiting = {claim.location.filepath: claim for claim in looked}
            self._trouble = None
            await self._once()
            if not self._waiting:
                return
        if self._trouble is not None:
            raise self._trouble
        for path, claim in self._waiting.items():
            self._pusher.failed(claim, self._errors.get(path, AssistError("it was not sent")))

    def _pause_s(self, attempt: int) -> float:
        asked = self._trouble.retry_after_s if self._trouble else None
        return min(MOST_PAUSE_S, PAUSE_S * 2 ** (attempt - 1) if asked is None else asked)

    async def _once(self) -> None:
        claims = list(self._waiting.values())
        ready = []
        for claim, result in zip(claims, await self._pusher.read(claims), strict=True):
            if isinstance(result, FileChanged):
                self._note(claim, result)
            elif isinstance(result, AssistError):
                del self._waiting[claim.location.filepath]
                self._pusher.failed(claim, result)
            else:
                gen = next(self._pusher.gens)
                ready.append(claim._replace(gen=gen, hashed=result.hashed, content=result.content))
        if self._pusher.way.capabilities.can("batch"):
            await self._pusher.batches(self).send(self._pusher.way, ready)
        else:
            await self._one_by_one(ready)

    async def _one_by_one(self, claims: list[Claim]) -> None:
        for claim in claims:
            if claim.kind is not Kind.FILE:
                self._note(claim, NotOffered("this server takes files only"))
            elif self._trouble is None:
                try:
                    await self.stored([await self._pusher.transfer.run(self._pusher.way, claim)])
                except AssistError as error:
                    self._note(claim, error)

    def _note(self, claim: Claim, error: AssistError) -> None:
        """Keep what may go better in a moment; report what will not.

        Raises:
            NeedsLogin: nothing will go better.
        """
        path = claim.location.filepath
        if isinstance(error, NeedsLogin):
            raise error
        if isinstance(error, Stale):  # somebody else sends as this host, too
            self._pusher.gens = count(max(next(self._pusher.gens), error.server_gen + 1))
        if error.remedy is Remedy.WAIT:
            self._trouble = error
        if error.remedy is Remedy.PARK or isinstance(error, NotOffered):
            self._waiting.pop(path, None)
            self._pusher.failed(claim, error)
        else:
            self._errors[path] = error

    # -- as `Batches` wants it

    @property
    def reason(self) -> str | None:
        """Why nothing more is to be sent."""
        return None if self._trouble is None else self._trouble.reason

    async def succeeded(self) -> None:
        """Nothing depends on it."""

    async def stored(self, confirmed: Sequence[Confirmed]) -> None:
        """Report what the server has."""
        for each in confirmed:
            claim, hashed = each.claim, each.claim.hashed
            assert hashed is not None
            path = claim.location.filepath
            self._waiting.pop(path, None)
            self._pusher.under_way.pop(path, None)
            self._pusher.report(Pushed(path, hashed.kind, hashed.content_bytes, hashed.sha256 or None, each.sent, None))

    async def failed(self, failures: Sequence[tuple[Claim, AssistError]]) -> None:
        """Note what went wrong with some."""
        for claim, error in failures:
            self._note(claim, error)

    async def trouble(self, claims: Sequence[Claim], error: AssistError) -> None:
        """Note what went wrong with all."""
        for claim in claims:
            self._note(claim, error)

    async def unexpected(self, claim: Claim, error: Exception) -> None:
        """Note what nobody has thought of."""
        if isinstance(error, ServerNonsense):
            self._note(claim, error)
            return
        self._waiting.pop(claim.location.filepath, None)
        self._pusher.failed(claim, error)
