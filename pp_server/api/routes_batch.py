"""Batches over HTTP."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from fastapi import APIRouter, Request
from starlette.responses import Response

from pp_server.api import deps, encoded
from pp_server.budget import Held
from pp_server.core.errors import BodyTooLarge
from pp_server.wire.batch import MAX_BATCH_BYTES, MAX_HEAD_BYTES, BatchRequest, Put
from pp_server.wire.frames import Frame

MESSAGE_FACTOR = 4
"""Memory that a parsed line takes, as a multiple of its length."""

CONTENT_COPIES = 3
"""The body, its parts, and what is written."""

MOVED_ENTRY_BYTES = 1000
"""Memory that each entry of a directory that is moved takes."""

router = APIRouter(prefix="/api")


@router.post("/batch")
async def batch(request: Request, caller: deps.Uploader) -> Response:
    """Apply many small operations."""
    deps.check_length(request, MAX_HEAD_BYTES + MAX_BATCH_BYTES)
    services = deps.services(request)
    async with (
        services.budget.reserve(0) as held,
        aclosing(encoded.frames(request, deps.body_pieces(request), services.batches.aside, held)) as pieces,
    ):
        line, rest = await _head(pieces, held)
        wanted = await services.batches.aside(deps.validate, BatchRequest, line)  # thousands take a while
        await held.grow(services.batches.moved(wanted) * MOVED_ENTRY_BYTES)
        contents = Contents(wanted)
        answer = await services.batches.apply(caller, wanted, _after(rest, pieces, held, contents), contents.frames)
    return Response(answer, media_type="application/json")


class Contents:
    """Where each content of a batch begins; and the frames that came, as far as each holds exactly one of them."""

    def __init__(self, wanted: BatchRequest) -> None:
        self._lengths: dict[int, int] = {}
        end = 0
        for each in wanted.operations:
            if isinstance(each, Put) and each.content == "inline" and each.file_size:
                self._lengths[end] = each.file_size
                end += each.file_size
        self.frames: dict[int, bytes] = {}
        """By where their content begins."""

    def keep(self, frame: Frame, start: int) -> int:
        """Keep a frame for the content that begins at *start*, if it holds just that; return the bytes it takes."""
        if not frame.encoded or self._lengths.get(start) != len(frame.plain):
            return 0
        self.frames[start] = frame.encoded
        return len(frame.encoded)


async def _head(pieces: AsyncIterator[Frame], held: Held) -> tuple[bytes, bytes]:
    """Return the first line, and what of the contents came with it. *held* grows as it comes."""
    line = bytearray()
    async for frame in pieces:
        piece = frame.plain
        end = piece.find(b"\n")
        begun = piece if end < 0 else piece[:end]
        if len(line) + len(begun) > MAX_HEAD_BYTES:
            raise BodyTooLarge(f"The first line may have {MAX_HEAD_BYTES} bytes")
        await held.grow(len(begun) * MESSAGE_FACTOR)
        line += begun
        if end >= 0:
            return bytes(line), piece[end + 1 :]
    return bytes(line), b""


async def _after(first: bytes, pieces: AsyncIterator[Frame], held: Held, contents: Contents) -> AsyncIterator[bytes]:
    """Yield the contents; what is announced takes no memory before it comes, else who drips would keep others out."""
    await held.grow(len(first) * CONTENT_COPIES)
    if first:
        yield first
    start = len(first)
    async for frame in pieces:
        await held.grow(len(frame.plain) * CONTENT_COPIES + contents.keep(frame, start))
        start += len(frame.plain)
        yield frame.plain
