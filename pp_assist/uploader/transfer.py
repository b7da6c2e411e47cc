"""One file's way to the server: offer it, send the chunks it lacks, have it confirmed.

Nothing about the upload is remembered between attempts: offering the same version again finds the same session, and its
answer names the chunks that are still missing. That is how a restarted daemon goes on where it was.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from pp_assist import posix
from pp_assist.core.errors import AssistError, FileChanged, ServerNonsense, SessionLost
from pp_assist.core.model import Claim, Hashed
from pp_assist.disk import opened_file, stat_of
from pp_assist.uploader.client import ChunksMissing, UploadClient
from pp_server.wire.chunks import MAX_CHUNK_BYTES, chunk_count, chunk_span, numbers_in, smallest_chunk_bytes
from pp_server.wire.messages import InitiateAnswer
from pp_server.wire.names import json_fields
from pp_server.wire.receipts import Receipt

ROUNDS = 5
"""How often the server may name chunks as missing that we have just sent before we try again later."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Host:
    """Who we are for the server."""

    host_id: str
    hostname: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """How files are sent to one server."""

    client: UploadClient
    host: Host
    threads: ThreadPoolExecutor
    chunk_slots: asyncio.Semaphore
    """Chunks in memory at a time, over all files."""
    parallel_chunks: int
    max_chunk_bytes: int
    on_bytes: Callable[[int], None]
    """Told the size of each chunk the server has accepted."""

    async def run(self, claim: Claim) -> tuple[Receipt, int]:
        """Give one hashed file to the server; return its receipt and the bytes sent for it.

        Raises:
            AssistError: what went wrong, and (as its remedy) what to do.
        """
        hashed = claim.hashed
        assert hashed is not None
        sent = 0
        offer = await self.client.initiate(self._offer(claim, hashed))
        _check_geometry(offer, hashed.stat.size_bytes)
        missing = offer.missing
        for _ in range(ROUNDS):
            try:
                sent += await self._send(claim, hashed, offer, numbers_in(missing))
                answer = await self.client.complete(offer.upload_id, hashed.sha256, hashed.stat.size_bytes)
            except ChunksMissing as error:
                missing = _within(error.missing, offer.total_chunks)
            except FileChanged:
                await self._abort(offer.upload_id)
                raise
            else:
                check_receipt(answer.receipt, claim, hashed, self.host)
                return answer.receipt, sent
        raise SessionLost("the server goes on losing chunks of this upload")

    def _offer(self, claim: Claim, hashed: Hashed) -> dict[str, Any]:
        return {
            **json_fields(claim.location.filepath),
            "hostname": self.host.hostname,
            "host_id": self.host.host_id,
            "gen": claim.gen,
            "kind": "file",
            "sha256": hashed.sha256,
            "file_size": hashed.stat.size_bytes,
            "mtime_ns": hashed.stat.mtime_ns,
            "mode": hashed.mode,
            "uid": hashed.uid,
            "gid": hashed.gid,
            "user": posix.user_name(hashed.uid),
            "group": posix.group_name(hashed.gid),
            "max_chunk_size": max(self.max_chunk_bytes, smallest_chunk_bytes(hashed.stat.size_bytes)),
        }

    async def _send(self, claim: Claim, hashed: Hashed, offer: InitiateAnswer, numbers: list[int]) -> int:
        """Send the chunks *numbers*, several at a time, and return their bytes; without any, only look at the file."""
        with ExitStack() as stack:
            fd = await self._in_thread(_open_unchanged, stack, claim, hashed)
            if not numbers:
                return 0
            waiting = iter(numbers)
            lanes = min(self.parallel_chunks, len(numbers))
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(self._lane(fd, hashed, offer, waiting)) for _ in range(lanes)]
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from None
            return sum(task.result() for task in tasks)

    async def _lane(self, fd: int, hashed: Hashed, offer: InitiateAnswer, waiting: Any) -> int:
        sent = 0
        for number in waiting:
            offset, length = chunk_span(hashed.stat.size_bytes, offer.chunk_size, number)
            async with self.chunk_slots:
                content = await self._in_thread(_read_unchanged, fd, hashed, offset, length)
                await self.client.put_chunk(offer.upload_id, number, content)
            self.on_bytes(length)
            sent += length
        return sent

    async def _abort(self, upload_id: str) -> None:
        with suppress(AssistError):  # only tidiness: the server's own clean-up does the same later
            await self.client.abort(upload_id)

    async def _in_thread(self, function: Callable[..., T], *args: object) -> T:
        """Run in a thread, and wait for the thread even when cancelled: it may be using our descriptor."""
        future = asyncio.get_running_loop().run_in_executor(self.threads, function, *args)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise


def _open_unchanged(stack: ExitStack, claim: Claim, hashed: Hashed) -> int:
    try:
        fd = stack.enter_context(opened_file(claim.location))
    except FileNotFoundError as error:
        raise FileChanged("it is not there any more") from error
    _check_unchanged(fd, hashed)
    return fd


def _read_unchanged(fd: int, hashed: Hashed, offset: int, length: int) -> bytes:
    """Read one chunk; every byte that leaves belongs to the version whose digest was announced."""
    try:
        content = posix.pread(fd, length, offset)
    except OSError as error:
        raise FileChanged(f"cannot be read any more: {error.strerror}") from error
    _check_unchanged(fd, hashed)
    if len(content) != length:
        raise FileChanged("it became shorter")
    return content


def _check_unchanged(fd: int, hashed: Hashed) -> None:
    if stat_of(os.fstat(fd)) != hashed.stat:
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


def check_receipt(receipt: Receipt, claim: Claim, hashed: Hashed, host: Host) -> None:
    """Believe a receipt only if it is for exactly what was sent.

    Raises:
        ServerNonsense: it is for something else.
    """
    ours = (host.host_id, claim.gen, hashed.sha256, hashed.stat.size_bytes)
    fields = json_fields(claim.location.filepath)
    names = (fields["filepath"], fields.get("filepath_b64"))
    if (receipt.host_id, receipt.gen, receipt.sha256, receipt.size) != ours:
        raise ServerNonsense("the receipt is for another version than the one sent")
    if (receipt.filepath, receipt.filepath_b64) != names:
        raise ServerNonsense("the receipt is for another path than the one sent")
