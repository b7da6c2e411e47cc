"""The requests of IndexedCP, read and answered so that clients in Python and Node both understand."""

import asyncio
import base64
import binascii
import logging
import os
import re
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from pp_server.budget import Budget, Held
from pp_server.core import errors
from pp_server.indexedcp.model import Incoming, Outcome
from pp_server.indexedcp.names import NameRefused, OutsideRefused, Parts
from pp_server.indexedcp.receiving import Receiver
from pp_server.wire.chunks import MAX_CHUNK_BYTES
from pp_server.wire.digest import Digest, parse_digest
from pp_server.wire.errors import ErrorCode
from pp_server.wire.names import json_fields, query_bytes

log = logging.getLogger(__name__)

T = TypeVar("T")

DEFAULT_NAME = "uploaded_file.txt"
MAX_INDEX = 10_000_000
MAX_TAG = 200

_NUMBER = re.compile(r"[0-9]{1,12}", re.ASCII)
_SHA256 = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]{44}):\s*(?:,|$)")

_REFUSALS: dict[type[Exception], tuple[int, str, ErrorCode]] = {
    OutsideRefused: (403, "Access denied: invalid path", ErrorCode.INVALID_REQUEST),
    NameRefused: (400, "Invalid filename", ErrorCode.INVALID_REQUEST),
    errors.InvalidRequest: (400, "Invalid request", ErrorCode.INVALID_REQUEST),
    errors.BadGeometry: (400, "Invalid chunk", ErrorCode.GEOMETRY),
    errors.ChunkDamaged: (400, "Invalid chunk", ErrorCode.SHA256_MISMATCH),
    errors.DigestMismatch: (400, "SHA256 mismatch", ErrorCode.SHA256_MISMATCH),
    errors.ChunkConflict: (409, "Chunk conflict", ErrorCode.CHUNK_CONFLICT),
    errors.BodyTooLarge: (413, "Chunk too large", ErrorCode.TOO_LARGE),
    errors.RateLimited: (429, "Too many requests", ErrorCode.RATE_LIMITED),
    errors.Unauthorized: (401, "Invalid or missing API key", ErrorCode.UNAUTHORIZED),
    errors.Forbidden: (403, "Not allowed", ErrorCode.FORBIDDEN),
    errors.Overloaded: (503, "Upload error", ErrorCode.OVERLOADED),
    errors.StorageFull: (507, "Write error", ErrorCode.STORAGE_FULL),
    errors.StorageFailed: (500, "Write error", ErrorCode.STORAGE_FAILED),
    errors.SyncFailed: (500, "Write error", ErrorCode.STORAGE_FAILED),
}


def refusal(error: Exception) -> JSONResponse:
    """Return the answer to what is refused or failed. ``error`` is for Node, ``detail`` for Python."""
    known = next((kind for kind in type(error).__mro__ if kind in _REFUSALS), None)
    if known is None:
        log.error("an upload failed", exc_info=error)
        return _problem(500, ErrorCode.INTERNAL, "Upload error", "Something went wrong on the server")
    status, text, code = _REFUSALS[known]
    headers = {}
    if status >= 500:
        log.error("an upload failed: %s", error, exc_info=error)
        headers["Retry-After"] = "5"
    if isinstance(error, errors.RateLimited):
        headers["Retry-After"] = str(error.retry_after_s)
    if status == 401:
        return _problem(401, code, text, text, {"WWW-Authenticate": "Bearer"})
    return _problem(status, code, text, str(error), headers)


def _problem(
    status: int, code: ErrorCode, error: str, message: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    detail = error if error == message else f"{error}: {message}"
    return JSONResponse({"error": error, "message": message, "detail": detail, "code": code}, status, headers)


async def upload(
    request: Request, owner: str, receiver: Receiver, executor: Executor, budget: Budget | None = None
) -> Response:
    """Answer ``POST /upload``; a 200 says that the chunk is durable, with its record.

    Raises:
        NameRefused, ServerError: see `refusal`.
    """
    held = _Nothing() if budget is None else budget.reserve(0)
    async with held as memory:
        made = await _incoming(request, owner, memory)
        incoming, outcome = await _blocking(executor, _take, receiver, made, _content_digest(request))
    headers = request.headers
    index = int(headers["x-chunk-index"]) if "x-chunk-index" in headers else 0
    return JSONResponse(
        {
            "message": "Chunk received",
            **_shown(outcome.parts),
            "chunkIndex": index,
            **json_fields(os.fsencode(incoming.name), "clientFilename"),
            "duplicate": outcome.is_duplicate,
            "complete": outcome.is_complete,
        }
    )


def _take(receiver: Receiver, made: Callable[[], Incoming], announced: Digest | None) -> tuple[Incoming, Outcome]:
    """Take a chunk, if it is what was announced. Blocking."""
    incoming = made()
    if announced not in (None, incoming.sha256):
        raise errors.ChunkDamaged("the body is not what Content-Digest announces")
    return incoming, receiver.receive(incoming)


async def status(request: Request, owner: str, receiver: Receiver, executor: Executor) -> Response:
    """Answer ``GET /upload/status``: which chunks are durable. ``uploadId`` says whose, where the client said it."""
    raw = query_bytes(request.scope["query_string"], "filename")
    if raw is None:
        raise errors.InvalidRequest("filename is needed")
    tag = _tag(request)
    name = os.fsdecode(raw)
    chunks, is_complete = await _blocking(executor, receiver.received, (owner, name, tag))
    if tag is None:
        chunks = chunks | receiver.history.marked(name)
    answer: dict[str, Any] = {**json_fields(raw, "filename"), "receivedChunks": sorted(chunks), "complete": is_complete}
    if tag is not None:
        answer["uploadId"] = tag.partition(":")[2]
    return JSONResponse(answer)


async def _blocking(executor: Executor, work: Callable[..., T], *args: object) -> T:
    return await asyncio.get_running_loop().run_in_executor(executor, work, *args)


def _shown(parts: Parts) -> dict[str, str]:
    return json_fields(os.fsencode("/".join(parts)), "actualFilename")


async def _incoming(request: Request, owner: str, held: "Held | None") -> Callable[[], Incoming]:
    """Return what makes the chunk that came, in a thread: its digest is computed."""
    index = _number(request, "X-Chunk-Index", MAX_INDEX) or 0
    total = _number(request, "X-Total-Chunks", MAX_INDEX + 1)
    chunk_bytes = _number(request, "X-Chunk-Size", MAX_CHUNK_BYTES)
    name, tag, file_sha256 = _name(request), _tag(request), _file_sha256(request)
    data = await _body(request, held)
    return partial(Incoming, owner, name, index, data, tag, total or None, chunk_bytes or None, file_sha256)


async def _body(request: Request, held: "Held | None") -> bytes:
    length = request.headers.get("content-length", "")
    if _NUMBER.fullmatch(length) and int(length) > MAX_CHUNK_BYTES:
        raise errors.BodyTooLarge(f"a chunk may have {MAX_CHUNK_BYTES} bytes")
    body = bytearray()
    try:
        async for piece in request.stream():
            if held is not None:
                await held.grow(2 * len(piece))
            body += piece
            if len(body) > MAX_CHUNK_BYTES:
                raise errors.BodyTooLarge(f"a chunk may have {MAX_CHUNK_BYTES} bytes")
    except ClientDisconnect:
        raise errors.InvalidRequest("the client went away") from None
    return bytes(body)


def _number(request: Request, header: str, most: int) -> int | None:
    text = request.headers.get(header)
    if text is None:
        return None
    if not _NUMBER.fullmatch(text) or int(text) > most:
        raise errors.InvalidRequest(f"{header} must be a number up to {most}")
    return int(text)


def _name(request: Request) -> str:
    """Return the file's name. Bytes that are UTF-8 are meant so (curl), others are Latin-1 (Node)."""
    raw = next((value for name, value in request.headers.raw if name.lower() == b"x-file-name"), None)
    if raw is None:
        return DEFAULT_NAME
    if request.headers.get("x-file-name-encoding", "").lower() == "utf-8":
        return os.fsdecode(unquote_to_bytes(raw))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _tag(request: Request) -> str | None:
    """Return what tells the upload from others of its name: the digest of its file, else the client's own word."""
    digest = _file_sha256(request)
    if digest is not None:
        return f"sha256:{digest}"
    upload_id = request.headers.get("x-upload-id")
    if not upload_id:
        return None
    if len(upload_id) > MAX_TAG:
        raise errors.InvalidRequest(f"X-Upload-Id may have {MAX_TAG} characters")
    return f"id:{upload_id}"


def _file_sha256(request: Request) -> Digest | None:
    text = request.headers.get("x-file-sha256")
    if not text:
        return None
    try:
        return parse_digest(text.lower())
    except ValueError as error:
        raise errors.InvalidRequest(f"X-File-SHA256 {error}") from error


def _content_digest(request: Request) -> Digest | None:
    match = _SHA256.search(request.headers.get("content-digest", ""))
    if match is None:
        return None
    try:
        return Digest(base64.b64decode(match[1], validate=True).hex())
    except binascii.Error as error:
        raise errors.InvalidRequest("Content-Digest is malformed") from error


class _Nothing(AbstractAsyncContextManager["Held | None"]):
    """No budget to hold anything of."""

    async def __aexit__(self, *_: object) -> None:
        return None

    async def __aenter__(self) -> None:
        return None
