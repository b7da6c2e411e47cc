"""From a request to what a route needs: services, caller, body."""

import base64
import binascii
import re
from collections.abc import AsyncGenerator
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from pp_server.api.problems import from_pydantic
from pp_server.api.services import Services
from pp_server.auth import require
from pp_server.core.errors import BodyTooLarge, ChunkWrongLength, InvalidRequest
from pp_server.core.model import Caller, Scope
from pp_server.wire.digest import Digest

M = TypeVar("M", bound=BaseModel)

JSON_BYTES = 256 * 1024
HASHES_JSON_BYTES = 512 * 1024
"""For 4,096 digests."""

LONG_JSON_BYTES = 32 * 1024 * 1024
"""For `complete`, which may list 200,000 parts, and for 1,000 deletions of long paths."""

_SHA256_DIGEST = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]{44}):\s*(?:,|$)")


def services(request: Request) -> Services:
    """Return the services of the running application."""
    found: Services = request.app.state.services
    return found


def key_text(request: Request) -> str | None:
    """Return the API key as it was sent, from either header."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    return request.headers.get("x-api-key")


async def _caller(request: Request) -> Caller:
    return await services(request).keys.caller(key_text(request), request.client.host if request.client else "")


async def uploader(request: Request) -> Caller:
    """Return whoever asks, and may upload."""
    return require(await _caller(request), Scope.UPLOAD)


async def _reader(request: Request) -> Caller:
    return require(await _caller(request), Scope.READ)


async def _deleter(request: Request) -> Caller:
    return require(await _caller(request), Scope.DELETE)


AnyCaller = Annotated[Caller, Depends(_caller)]
Uploader = Annotated[Caller, Depends(uploader)]
Reader = Annotated[Caller, Depends(_reader)]
Deleter = Annotated[Caller, Depends(_deleter)]


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """Return the whole body, which may not be longer than *limit_bytes*, whether it is announced or not."""
    check_length(request, limit_bytes)
    body = bytearray()
    try:
        async with services(request).budget.reserve(0) as held:  # what is announced takes no memory before it comes
            async for piece in request.stream():
                await held.grow(len(piece))
                body += piece
                if len(body) > limit_bytes:
                    raise BodyTooLarge(f"The body may have {limit_bytes} bytes")
    except ClientDisconnect:
        raise InvalidRequest("The client went away") from None
    return bytes(body)


def check_length(request: Request, limit_bytes: int) -> None:
    """Refuse a body that is announced to be too long, before anything of it is read."""
    length = content_length(request)
    if length is not None and length > limit_bytes:
        raise BodyTooLarge(f"The body may have {limit_bytes} bytes")


async def parse(request: Request, model: type[M], limit_bytes: int = JSON_BYTES) -> M:
    """Return the JSON body, whatever its Content-Type says.

    Raises:
        InvalidRequest: it is not what *model* wants.
    """
    return validate(model, await read_body(request, limit_bytes))


async def parse_optional(request: Request, model: type[M], limit_bytes: int = JSON_BYTES) -> M:
    """Return the JSON body; no body counts as an empty object."""
    return validate(model, await read_body(request, limit_bytes) or b"{}")


def validate(model: type[M], body: bytes) -> M:
    """Return JSON as a message.

    Raises:
        InvalidRequest: it is not what *model* wants.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise from_pydantic(error) from None


def content_length(request: Request) -> int | None:
    """Return the announced length of the body in bytes, or None."""
    text = request.headers.get("content-length")
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else None


def content_digest(request: Request) -> Digest | None:
    """Return the SHA-256 that Content-Digest (RFC 9530) announces, or None.

    Raises:
        InvalidRequest: it announces one that is not 32 bytes.
    """
    match = _SHA256_DIGEST.search(request.headers.get("content-digest", ""))
    if match is None:
        return None
    try:
        raw = base64.b64decode(match[1], validate=True)
    except binascii.Error:
        raw = b""
    if len(raw) != 32:
        raise InvalidRequest("Content-Digest is malformed", [("Content-Digest", "is malformed")])
    return Digest(raw.hex())


async def body_pieces(request: Request) -> AsyncGenerator[bytes, None]:
    """Yield the body as it arrives; a client that goes away ended it too early."""
    try:
        async for piece in request.stream():
            if piece:
                yield piece
    except ClientDisconnect:
        raise ChunkWrongLength("The client went away") from None


def json_answer(model: BaseModel, status: int = 200) -> Response:
    """Return a wire message as an answer."""
    return Response(model.model_dump_json(), status, media_type="application/json")
