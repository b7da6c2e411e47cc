"""Batches over HTTP."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from fastapi import APIRouter, Request
from starlette.responses import Response

from pp_server.api import deps
from pp_server.budget import Held
from pp_server.core.errors import BodyTooLarge
from pp_server.wire.batch import MAX_BATCH_BYTES, MAX_HEAD_BYTES, BatchRequest

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
    async with aclosing(deps.body_pieces(request)) as pieces, services.budget.reserve(0) as held:
        line, rest = await _head(pieces, held)
        wanted = await services.batches.aside(deps.validate, BatchRequest, line)  # thousands take a while
        await held.grow(services.batches.moved(wanted) * MOVED_ENTRY_BYTES)
        answer = await services.batches.apply(caller, wanted, _after(rest, pieces, held))
    return Response(answer, media_type="application/json")


async def _head(pieces: AsyncIterator[bytes], held: Held) -> tuple[bytes, bytes]:
    """Return the first line, and what of the contents came with it. *held* grows as it comes."""
    line = bytearray()
    async for piece in pieces:
        end = piece.find(b"\n")
        begun = piece if end < 0 else piece[:end]
        if len(line) + len(begun) > MAX_HEAD_BYTES:
            raise BodyTooLarge(f"The first line may have {MAX_HEAD_BYTES} bytes")
        await held.grow(len(begun) * MESSAGE_FACTOR)
        line += begun
        if end >= 0:
            return bytes(line), piece[end + 1 :]
    return bytes(line), b""


async def _after(first: bytes, pieces: AsyncIterator[bytes], held: Held) -> AsyncIterator[bytes]:
    """Yield the contents; what is announced takes no memory before it comes, else who drips would keep others out."""
    await held.grow(len(first) * CONTENT_COPIES)
    if first:
        yield first
    async for piece in pieces:
        await held.grow(len(piece) * CONTENT_COPIES)
        yield piece
