"""Bodies that come as frames of zstd: decoded as they arrive, so that little behind here has to know of it."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing

from fastapi import Request

from pp_server.budget import Held
from pp_server.core.errors import BodyDamaged
from pp_server.wire.frames import ENCODING, BadFrame, Data, Decoder, Frame

Aside = Callable[..., Awaitable[tuple[list[Frame], Data]]]
"""Runs CPU-bound work in a thread."""

_TAKEN = re.compile(r"POST /api/batch|PUT /api/uploads/[^/]+/chunk/[^/]+")


def encoding_of(request: Request) -> str:
    """Return how the body is encoded, by whatever name; empty where it comes as it is."""
    named = request.headers.get("content-encoding", "").strip().lower()
    return "" if named == "identity" else named


def is_taken(request: Request) -> bool:
    """Say whether this request may have its body encoded like that."""
    encoding = encoding_of(request)
    return not encoding or (encoding == ENCODING and bool(_TAKEN.fullmatch(f"{request.method} {request.url.path}")))


async def frames(
    request: Request, pieces: AsyncGenerator[bytes, None], aside: Aside, held: Held
) -> AsyncGenerator[Frame, None]:
    """Yield the body frame by frame; what comes as it is, piece by piece, as frames that are not encoded.

    *held* grows by what has come of a frame, until it is whole.

    Raises:
        BodyDamaged: it is not of frames, or ends in the middle of one.
        Overloaded: there is no memory for the frame.
    """
    async with aclosing(pieces):
        if not encoding_of(request):
            async for piece in pieces:
                yield Frame(b"", piece)
            return
        decoder, partly_bytes = Decoder(), 0
        try:
            async for piece in pieces:
                rest: Data = piece
                while rest:
                    found, rest = await aside(decoder.feed, rest)
                    more = decoder.held_bytes - partly_bytes
                    partly_bytes += more
                    if more > 0:
                        await held.grow(more)
                    else:
                        held.shrink(-more)
                    for frame in found:
                        yield frame
            decoder.finish()
        except BadFrame as error:
            raise BodyDamaged(f"The body is not what its Content-Encoding says: {error}") from error


async def plain(body: AsyncGenerator[Frame, None]) -> AsyncIterator[bytes]:
    """Yield what the frames of a body hold."""
    async with aclosing(body):
        async for frame in body:
            yield frame.plain
