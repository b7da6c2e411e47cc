"""Receiving one chunk: stream, hash, write at its place, record, and only then say so."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Protocol

from pp_server.budget import Held
from pp_server.core.errors import (
    ChunkConflict,
    ChunkDamaged,
    ChunkOutOfRange,
    ChunkSuperseded,
    ChunkWrongLength,
    StorageFull,
    SyncFailed,
)
from pp_server.core.model import RecordedChunk
from pp_server.uploads.context import Context
from pp_server.uploads.live import LiveUpload
from pp_server.waiting import finish
from pp_server.wire.chunks import chunk_span
from pp_server.wire.digest import Digest
from pp_server.wire.messages import ChunkAnswer

PIECE_BYTES = 1 << 20
"""So much is gathered before a thread hashes and writes it, while there is memory for it."""

SMALL_PIECE_BYTES = 64 << 10
"""So much for the first piece, and for all while memory is scarce: slow bodies, however many, hold little."""

LEAST_BYTES = 256 << 10
"""What a body takes at least: a small piece gathered, one being written, and what its connection keeps."""

MOST_BYTES = 2 * PIECE_BYTES + LEAST_BYTES


@dataclass(frozen=True, slots=True)
class ChunkBody:
    """A chunk on its way in. *length* and *sha256* are what the client announced, where it did."""

    pieces: AsyncIterator[bytes]
    length: int | None = None
    sha256: Digest | None = None


@dataclass(frozen=True, slots=True)
class Incoming:
    """A chunk of *length* bytes being received, and the memory it may take."""

    body: ChunkBody
    length: int
    held: Held


class Sink(Protocol):
    """Takes the pieces of a chunk in order. Called in a worker thread, never two at a time."""

    def __call__(self, data: bytearray, offset: int) -> None:
        """Take *data*, which begins *offset* bytes into the chunk."""


class Receiver:
    """Receives chunks for any upload."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def receive(self, upload: LiveUpload, number: int, body: ChunkBody) -> ChunkAnswer:
        """Take one chunk; recorded, though not yet durable against a power cut, when this returns.

        Raises:
            ChunkOutOfRange, ChunkWrongLength, ChunkConflict, ChunkDamaged: nothing changed.
            ChunkSuperseded: a newer request for the same chunk took over.
            UploadExpired, UploadAborted, AlreadyCompleted: the upload is closed.
            Overloaded: no memory for it now.
            StorageFull: no room on disk for it.
            SyncFailed: the disk failed; all chunks are missing again.
        """
        try:
            return await self._receive(upload, number, body)
        except SyncFailed:
            await finish(self._begin_anew(upload))
            raise

    async def _begin_anew(self, upload: LiveUpload) -> None:
        async with upload.lock:
            if upload.file.is_lost:  # else somebody was here before
                await upload.clear_slots()
                await self._context.begin_anew(upload)

    async def _receive(self, upload: LiveUpload, number: int, body: ChunkBody) -> ChunkAnswer:
        upload.check_open(self._context.now_ms())
        length = _expected_length(upload, number, body)
        async with upload.slot(number) as slot:
            slot.receiving = True
            async with self._context.budget.reserve(min(length, LEAST_BYTES)) as held:
                upload.check_open(self._context.now_ms())
                recorded = bool(upload.received[number])
                incoming = Incoming(body, length, held)
                digest = await (self._hash_only(incoming) if recorded else self._write(upload, number, incoming))
            slot.receiving = False
            if recorded:
                return await self._repeat(upload, number, length, digest)
            await finish(self._record(upload, number, length, digest))
        return _answer(upload, number, digest, length)

    async def _write(self, upload: LiveUpload, number: int, incoming: Incoming) -> Digest:
        await self._context.check_room(incoming.length)
        start, _ = chunk_span(upload.session.size_bytes, upload.session.chunk_bytes, number)
        fresh = upload.count == 0

        def write(data: bytearray, offset: int) -> None:
            upload.file.write(data, start + offset, fresh)

        try:
            return await self._drain(incoming, write)
        except StorageFull:
            if upload.count == 0 and upload.users == 1:
                await finish(self._context.blocking(upload.file.discard))
            raise

    async def _hash_only(self, incoming: Incoming) -> Digest:
        def ignore(data: bytearray, offset: int) -> None:
            """What is recorded stays as it is."""

        return await self._drain(incoming, ignore)

    async def _drain(self, incoming: Incoming, sink: Sink) -> Digest:
        """Hand the whole body to *sink*, piece by piece, while the next one arrives; return its digest."""
        hasher = hashlib.sha256()
        taken = 0
        working: asyncio.Future[None] | None = None

        def take(data: bytearray, offset: int) -> None:
            hasher.update(data)
            sink(data, offset)

        try:
            async with aclosing(_pieces(incoming)) as pieces:
                async for piece in pieces:
                    if working is not None:
                        await finish(working)
                    working = asyncio.ensure_future(self._context.blocking(take, piece, taken))
                    taken += len(piece)
        finally:
            if working is not None:
                await finish(working)
        digest = Digest(hasher.hexdigest())
        if incoming.body.sha256 not in (None, digest):
            raise ChunkDamaged("The body is not what its Content-Digest announces")
        return digest

    async def _record(self, upload: LiveUpload, number: int, length: int, digest: Digest) -> None:
        context, now_ms = self._context, self._context.now_ms()
        renewed = context.rules.renewal(upload.session.expires_ms, now_ms)
        chunk = RecordedChunk(number, length, digest, context.metadata.epoch, now_ms)
        await context.metadata.record_chunk(upload.session.id, chunk, renewed)
        upload.mark(number)
        upload.follower.follow()
        if renewed is not None:
            upload.session = replace(upload.session, expires_ms=renewed)

    async def _repeat(self, upload: LiveUpload, number: int, length: int, digest: Digest) -> ChunkAnswer:
        if number in upload.borrowed:
            return await self._repeat_borrowed(upload, number, length, digest)
        recorded = await self._context.metadata.chunk(upload.session.id, number)
        if recorded is None:  # completed or forgotten meanwhile
            upload.check_open(self._context.now_ms())
            raise ChunkSuperseded("The upload went on meanwhile; ask again")
        if recorded.sha256 != digest:
            raise ChunkConflict("Other bytes are recorded for this chunk")
        await self._context.metadata.add_counts({"bytes_duplicate": length})
        return _answer(upload, number, digest, 0)

    async def _repeat_borrowed(self, upload: LiveUpload, number: int, length: int, digest: Digest) -> ChunkAnswer:
        context, session = self._context, upload.session
        offset, _ = chunk_span(session.size_bytes, session.chunk_bytes, number)
        copied = [(number, offset, length, digest)]
        if await context.blocking(context.staging.bad_chunks, session.upload_id, copied):
            raise ChunkConflict("Other bytes were copied for this chunk")
        return _answer(upload, number, digest, 0)


async def _pieces(incoming: Incoming) -> AsyncGenerator[bytearray, None]:
    """Gather the body into pieces; the last one is yielded only when the length is right."""
    length, gathered, total = incoming.length, bytearray(), 0
    piece_bytes = SMALL_PIECE_BYTES
    async for data in incoming.body.pieces:
        total += len(data)
        if total > length:
            raise ChunkWrongLength(f"The chunk has {length} bytes; the body is longer")
        gathered += data
        if len(gathered) >= piece_bytes and total < length:
            yield gathered
            gathered = bytearray()
            if piece_bytes < PIECE_BYTES and incoming.held.try_grow(MOST_BYTES - LEAST_BYTES):
                piece_bytes = PIECE_BYTES
    if total < length:
        raise ChunkWrongLength(f"The chunk has {length} bytes; the body ended after {total}")
    yield gathered


def _expected_length(upload: LiveUpload, number: int, body: ChunkBody) -> int:
    session = upload.session
    if not 0 <= number < session.total_chunks:
        raise ChunkOutOfRange(f"The upload has {session.total_chunks} chunks, numbered from 0")
    _, length = chunk_span(session.size_bytes, session.chunk_bytes, number)
    if body.length is not None and body.length != length:
        raise ChunkWrongLength(f"The chunk has {length} bytes, the body {body.length}")
    return length


def _answer(upload: LiveUpload, number: int, digest: Digest, received_bytes: int) -> ChunkAnswer:
    return ChunkAnswer(
        chunk_num=number,
        etag=digest,
        received_bytes=received_bytes,
        uploaded_chunks=upload.count,
        total_chunks=upload.session.total_chunks,
    )
