"""One file's way to the server: offer it, send the chunks it lacks, have it confirmed.

Nothing about the upload is remembered between attempts: offering the same version again finds the same session, and its
answer names the chunks that are still missing. That is how a restarted daemon goes on where it was.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, ExitStack, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from pp_assist import posix
from pp_assist.core.blocks import agrees, same_spans
from pp_assist.core.compression import Compression
from pp_assist.core.errors import AssistError, FileChanged, Paused, ServerNonsense, ServerUnreachable, SessionLost
from pp_assist.core.model import Claim, Hashed
from pp_assist.core.progress import Progress
from pp_assist.core.upload_rate import proposal
from pp_assist.disk import Directories, looks_as, stat_of
from pp_assist.store.stored_blocks import StoredBlocks
from pp_assist.uploader.client import ChunksMissing
from pp_assist.uploader.confirmed import Confirmed, believed
from pp_assist.uploader.encoding import chunk_body
from pp_assist.uploader.under_way import UnderWay
from pp_assist.uploader.way import Way, offer_of
from pp_server.wire.chunks import MAX_CHUNK_BYTES, MIB, chunk_count, chunk_span, numbers_in
from pp_server.wire.messages import MAX_SPANS, InitiateAnswer

ROUNDS = 5
"""How often the server may name chunks as missing that we have just sent before we try again later."""

CHUNK_BYTES_FOR_FEW = MIB
FEW = 8
"""Where at most one byte in so many has changed, chunks are small."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Transfer:
    """How files are sent, one at a time and by chunks."""

    threads: ThreadPoolExecutor
    chunk_slots: AbstractAsyncContextManager[None]
    """Chunks in memory at a time, over all files."""
    parallel_chunks: int
    max_chunk_bytes: int
    on_bytes: Callable[[int], None]
    """Told the size of each chunk the server has accepted."""
    under_way: UnderWay
    held_back: Callable[[Claim], str | None] = lambda claim: None
    """Why no more of a file is to be sent just now; asked before each chunk."""

    async def run(
        self, way: Way, claim: Claim, copy: str | None = None, marked: bool = False, before: StoredBlocks | None = None
    ) -> Confirmed:
        """Give one hashed file to the server; return its receipt and the bytes sent for it.

        What is the same as *before*, which the server has, is not sent. With *copy*, the path of a private copy, that
        is what is sent, and not the file itself; *marked* tells the server that it may be inconsistent.

        Raises:
            AssistError: what went wrong, and (as its remedy) what to do.
        """
        hashed = claim.hashed
        assert hashed is not None
        sent = 0
        known = way.rate.bytes_per_s if way.capabilities.can("proposals") else None  # else another one begins anew
        same = await self._in_thread(_same, before, hashed) if before and way.capabilities.can("base") else []
        wanted = proposal(known, self._comfortable_bytes(same, hashed), hashed.stat.size_bytes)
        largest = way.capabilities.limit("max_chunk_size", wanted)
        said: dict[str, Any] = (
            way.host.fields() | {"max_chunk_size": largest} | ({"inconsistent": True} if marked else {})
        )
        if before is not None and same:
            said["base"] = {"sha256": before.sha256, "same": same}
        offer = await way.client.initiate(offer_of(claim) | said)
        _check_geometry(offer, hashed.stat.size_bytes)
        missing = offer.missing
        for _ in range(ROUNDS):
            try:
                sent += await self._send(way, claim, copy, offer, numbers_in(missing))
                answer = await way.client.complete(offer.upload_id, hashed.sha256, hashed.stat.size_bytes)
            except ChunksMissing as error:
                missing = _within(error.missing, offer.total_chunks)
            except FileChanged:
                with suppress(AssistError):  # only tidiness: the server's own clean-up does the same later
                    await way.client.abort(offer.upload_id)
                raise
            else:
                told = [(claim, answer.receipt.model_dump(), sent)]
                (confirmed,) = await self._in_thread(believed, told, way.host, way.key)
                return confirmed
        raise SessionLost("the server goes on losing chunks of this upload")

    def _comfortable_bytes(self, same: list[tuple[int, int]], hashed: Hashed) -> int:
        """Return how large chunks should be: small where little has changed, for each is sent as a whole."""
        changed = hashed.stat.size_bytes - sum(last + 1 - first for first, last in same)
        few = changed * FEW <= hashed.stat.size_bytes
        return min(self.max_chunk_bytes, CHUNK_BYTES_FOR_FEW) if few else self.max_chunk_bytes

    async def _send(self, way: Way, claim: Claim, copy: str | None, offer: InitiateAnswer, numbers: list[int]) -> int:
        """Send the chunks *numbers*, several at a time, and return their bytes; without any, only look at the file."""
        with ExitStack() as stack:
            fd, hashed = await self._in_thread(_opened, stack, claim, copy)
            if not numbers:
                return 0
            waiting = iter(numbers)
            progress = stack.enter_context(self.under_way.begun(claim, offer.total_chunks, len(numbers)))
            at_a_time = min(self.parallel_chunks, len(numbers))
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [
                        group.create_task(self._chunks(way, fd, claim, hashed, offer, waiting, progress))
                        for _ in range(at_a_time)
                    ]
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from None
            if next(waiting, None) is not None:
                raise Paused("a person wants nothing to be sent just now")
            return sum(task.result() for task in tasks)

    async def _chunks(
        self,
        way: Way,
        fd: int,
        claim: Claim,
        hashed: Hashed,
        offer: InitiateAnswer,
        waiting: Iterator[int],
        progress: Progress,
    ) -> int:
        sent = 0
        while self.held_back(claim) is None and (number := next(waiting, None)) is not None:
            length = chunk_span(hashed.stat.size_bytes, offer.chunk_size, number)[1]
            async with self.chunk_slots:
                if not await self._put(way, fd, hashed, offer, number):
                    await self._put(way, fd, hashed, offer, number, plain=True)
            self.on_bytes(length)
            self.under_way.one_more(progress, length)
            sent += length
        return sent

    async def _put(
        self, way: Way, fd: int, hashed: Hashed, offer: InitiateAnswer, number: int, plain: bool = False
    ) -> bool:
        """Send one chunk; False: it failed compressed, and may arrive *plain*."""
        compression = Compression.NEVER if plain else way.compressing
        offset, length = chunk_span(hashed.stat.size_bytes, offer.chunk_size, number)
        body, encoding = await self._in_thread(_chunk, way, compression, fd, hashed, offset, length)
        try:
            await _put_timed(way, offer.upload_id, number, body, encoding)
        except AssistError as error:
            if plain:
                way.plainly.did_not_help(error)
            if encoding is None or not way.plainly.may_help(error):
                raise
            return False
        if plain:
            way.plainly.helped()
        return True

    async def _in_thread(self, function: Callable[..., T], *args: object) -> T:
        """Run in a thread, and wait for the thread even when cancelled: it may be using our descriptor."""
        future = asyncio.get_running_loop().run_in_executor(self.threads, function, *args)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise


def _chunk(
    way: Way, compression: Compression, fd: int, hashed: Hashed, offset: int, length: int
) -> tuple[list[bytes], str | None]:
    """Return a chunk as it is sent, and its encoding."""
    content = read_unchanged(fd, hashed, offset, length)
    return chunk_body(compression, way.rate.bytes_per_s, content)


async def _put_timed(way: Way, upload_id: str, number: int, body: list[bytes], encoding: str | None) -> None:
    """Send a chunk, and note what that says of the way."""
    size_bytes, began = sum(map(len, body)), asyncio.get_running_loop().time()
    try:
        await way.client.put_chunk(upload_id, number, body, way.rate.patience_s(size_bytes), encoding)
    except ServerUnreachable:
        way.rate.broke(size_bytes, asyncio.get_running_loop().time() - began)
        raise
    way.rate.sent(size_bytes, asyncio.get_running_loop().time() - began)


def _same(before: StoredBlocks, hashed: Hashed) -> list[tuple[int, int]]:
    if hashed.blocks is None:
        return []
    return same_spans(before.blocks, before.size_bytes, hashed.blocks, hashed.stat.size_bytes, MAX_SPANS)


def _opened(stack: ExitStack, claim: Claim, copy: str | None) -> tuple[int, Hashed]:
    """Open what is to be sent; return its descriptor, and how it must look from now on."""
    hashed = claim.hashed
    assert hashed is not None
    if copy is None:
        with Directories() as directories:
            return stack.enter_context(posix.opened(open_unchanged(directories, claim, hashed))), hashed
    try:
        fd = stack.enter_context(posix.opened(os.open(copy, os.O_RDONLY)))
    except FileNotFoundError as error:
        raise FileChanged("its copy is not there any more") from error
    return fd, hashed._replace(stat=stat_of(os.fstat(fd)))


def open_unchanged(directories: Directories, claim: Claim, hashed: Hashed) -> int:
    """Open the file and return its descriptor; the caller closes it.

    Raises:
        FileChanged: it is not the one that was hashed.
    """
    try:
        fd = directories.open_file(claim.location)
    except FileNotFoundError as error:
        raise FileChanged("it is not there any more") from error
    try:
        _check_unchanged(fd, hashed)
    except BaseException:
        os.close(fd)
        raise
    return fd


def read_unchanged(fd: int, hashed: Hashed, offset: int, length: int) -> bytes:
    """Read one chunk; every byte that leaves belongs to the version whose digest was announced.

    Raises:
        FileChanged: it would not.
    """
    try:
        content = posix.pread(fd, length, offset)
    except OSError as error:
        raise FileChanged(f"cannot be read any more: {error.strerror}") from error
    _check_unchanged(fd, hashed)
    if len(content) != length:
        raise FileChanged("it became shorter")
    if hashed.blocks is not None and not agrees(hashed.blocks, hashed.stat.size_bytes, offset, content):
        raise FileChanged("its content is not what was hashed, though it looks untouched")
    return content


def _check_unchanged(fd: int, hashed: Hashed) -> None:
    if not looks_as(os.fstat(fd), hashed.stat):
        raise FileChanged("it was touched after it was hashed")


def _check_geometry(offer: InitiateAnswer, size_bytes: int) -> None:
    """Refuse a chunk size that cannot be meant: it would decide how much we hold in memory."""
    expected = chunk_count(size_bytes, offer.chunk_size) if offer.chunk_size > 0 else -1
    if offer.chunk_size > MAX_CHUNK_BYTES or offer.total_chunks not in (expected, max(expected, 1)):
        raise ServerNonsense("the server names an impossible chunk size")
    _within(offer.missing, offer.total_chunks)


def _within(ranges: list[tuple[int, int]], total_chunks: int) -> list[tuple[int, int]]:
    if any(not 0 <= first <= last < total_chunks for first, last in ranges):
        raise ServerNonsense("the server names chunks that do not exist")
    return ranges
