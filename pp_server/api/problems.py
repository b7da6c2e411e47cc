"""How errors look to clients: one table from domain error to (status, code), one shape for all of them."""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from pp_server.core import errors
from pp_server.wire.errors import ErrorCode

log = logging.getLogger(__name__)

TABLE: dict[type[errors.ServerError], tuple[int, ErrorCode]] = {
    errors.InvalidRequest: (422, ErrorCode.INVALID_REQUEST),
    errors.MalformedDigest: (400, ErrorCode.INVALID_REQUEST),
    errors.BodyTooLarge: (413, ErrorCode.TOO_LARGE),
    errors.UrlTooLong: (414, ErrorCode.TOO_LARGE),
    errors.UnsupportedEncoding: (415, ErrorCode.UNSUPPORTED_ENCODING),
    errors.BadGeometry: (422, ErrorCode.GEOMETRY),
    errors.TooLarge: (413, ErrorCode.TOO_LARGE),
    errors.UnsupportedKind: (422, ErrorCode.UNSUPPORTED_KIND),
    errors.Unauthorized: (401, ErrorCode.UNAUTHORIZED),
    errors.Forbidden: (403, ErrorCode.FORBIDDEN),
    errors.UploadNotFound: (404, ErrorCode.UPLOAD_NOT_FOUND),
    errors.UploadExpired: (410, ErrorCode.UPLOAD_EXPIRED),
    errors.UploadAborted: (410, ErrorCode.UPLOAD_ABORTED),
    errors.AlreadyCompleted: (409, ErrorCode.ALREADY_COMPLETED),
    errors.ChunkOutOfRange: (400, ErrorCode.CHUNK_OUT_OF_RANGE),
    errors.ChunkWrongLength: (400, ErrorCode.CHUNK_WRONG_LENGTH),
    errors.BodyDamaged: (400, ErrorCode.BODY_DAMAGED),
    errors.BodyWrongLength: (400, ErrorCode.BODY_WRONG_LENGTH),
    errors.RateLimited: (429, ErrorCode.RATE_LIMITED),
    errors.ChunkConflict: (422, ErrorCode.CHUNK_CONFLICT),
    errors.ChunkSuperseded: (423, ErrorCode.CHUNK_SUPERSEDED),
    errors.ChunkDamaged: (422, ErrorCode.SHA256_MISMATCH),
    errors.NotAllChunks: (400, ErrorCode.NOT_ALL_CHUNKS_UPLOADED),
    errors.DigestMismatch: (400, ErrorCode.SHA256_MISMATCH),
    errors.UnknownPart: (400, ErrorCode.UNKNOWN_CHUNK),
    errors.EtagMismatch: (400, ErrorCode.ETAG_MISMATCH),
    errors.StaleGeneration: (412, ErrorCode.STALE),
    errors.FileNotFound: (404, ErrorCode.FILE_NOT_FOUND),
    errors.HostNotFound: (404, ErrorCode.NOT_FOUND),
    errors.RangeNotSatisfiable: (416, ErrorCode.RANGE_NOT_SATISFIABLE),
    errors.Overloaded: (503, ErrorCode.OVERLOADED),
    errors.StorageFull: (507, ErrorCode.STORAGE_FULL),
    errors.StorageFailed: (503, ErrorCode.STORAGE_FAILED),
    errors.SyncFailed: (503, ErrorCode.STORAGE_FAILED),
    errors.ContentDamaged: (503, ErrorCode.STORAGE_FAILED),
}

_BY_STATUS = {404: ErrorCode.NOT_FOUND, 405: ErrorCode.METHOD_NOT_ALLOWED}

_HEADERS: dict[type[errors.ServerError], dict[str, str]] = {
    errors.Unauthorized: {"WWW-Authenticate": "Bearer"},
    errors.ChunkSuperseded: {"Retry-After": "1"},
    errors.Overloaded: {"Retry-After": "2"},
    errors.StorageFailed: {"Retry-After": "5"},
    errors.SyncFailed: {"Retry-After": "1"},
    errors.StorageFull: {"Retry-After": "60"},
}


def answer(
    request: Request, status: int, code: ErrorCode, detail: str, headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    """Return an error answer."""
    body = {"detail": detail, "code": code, "request_id": request.scope.get("request_id", ""), **more}
    return JSONResponse(body, status, headers)


async def on_server_error(request: Request, error: Exception) -> JSONResponse:
    """Answer a domain error by the table."""
    assert isinstance(error, errors.ServerError)
    status, code = TABLE[type(error)]
    if status >= 500:
        log.error("request %s failed: %s", request.scope.get("request_id"), error, exc_info=error)
    headers = dict(_HEADERS.get(type(error), {}))
    if isinstance(error, errors.RangeNotSatisfiable):
        headers["Content-Range"] = f"bytes */{error.size_bytes}"
    if isinstance(error, errors.RateLimited):
        headers["Retry-After"] = str(error.retry_after_s)
    return answer(request, status, code, str(error), headers, **_more(error), **_upload(error))


def _more(error: errors.ServerError) -> dict[str, Any]:
    match error:
        case errors.NotAllChunks():
            return {"missing": [list(chunk_range) for chunk_range in error.missing]}
        case errors.StaleGeneration():
            return {"gen": error.gen}
        case errors.InvalidRequest():
            return {"errors": [{"field": field, "message": message} for field, message in error.problems]}
    return {}


def _upload(error: errors.ServerError) -> dict[str, Any]:
    """Return where the upload stands, with every answer that makes the client think again."""
    return {} if error.upload is None else {"upload": asdict(error.upload)}


async def on_validation_error(request: Request, error: Exception) -> JSONResponse:
    """Answer malformed parameters."""
    assert isinstance(error, RequestValidationError)
    return await on_server_error(request, invalid(error.errors()))


def invalid(problems: Any) -> errors.InvalidRequest:
    """Return pydantic's findings as ours."""
    found = [(".".join(str(part) for part in p["loc"]) or "body", str(p["msg"])) for p in problems]
    return errors.InvalidRequest("The request is not valid: " + "; ".join(f"{f}: {m}" for f, m in found[:3]), found)


def from_pydantic(error: ValidationError) -> errors.InvalidRequest:
    """Return a model's refusal as ours."""
    return invalid(error.errors(include_url=False, include_context=False, include_input=False))


async def on_http_error(request: Request, error: Exception) -> JSONResponse:
    """Answer what the framework refuses: unknown routes, wrong methods."""
    assert isinstance(error, HTTPException)
    code = _BY_STATUS.get(error.status_code, ErrorCode.INVALID_REQUEST)
    return answer(request, error.status_code, code, str(error.detail), error.headers)


def internal(request: Request) -> JSONResponse:
    """Return the answer to an error nobody foresaw: no internals, they are in the log."""
    return answer(request, 500, ErrorCode.INTERNAL, "Something went wrong on the server")


def install(app: FastAPI) -> None:
    """Have *app* answer errors our way."""
    app.add_exception_handler(errors.ServerError, on_server_error)
    app.add_exception_handler(RequestValidationError, on_validation_error)
    app.add_exception_handler(HTTPException, on_http_error)
