"""Errors as callers see them: {detail, code, request_id}, and for bad fields `errors`. No internals in a 500."""

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

log = logging.getLogger(__name__)

_CODES = {404: "not_found", 405: "method_not_allowed", 400: "invalid_request", 413: "too_large"}


class Refusal(Exception):
    """A request that is refused, with its status, stable code and explanation."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail


def install(app: FastAPI) -> None:
    """Let *app* answer all errors in the common shape."""

    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal) -> JSONResponse:
        return _problem(request, error.status, error.code, error.detail)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        errors = [
            {"field": ".".join(str(part) for part in problem["loc"][1:]) or "body", "message": _message(problem)}
            for problem in error.errors()
        ]
        detail = "; ".join(f"{e['field']}: {e['message']}" for e in errors)
        return _problem(request, 422, "invalid_request", detail, {"errors": errors})

    @app.exception_handler(HTTPException)
    async def plain(request: Request, error: HTTPException) -> JSONResponse:
        return _problem(request, error.status_code, _CODES.get(error.status_code, "refused"), str(error.detail))

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        log.error("request %s failed", request.state.request_id, exc_info=error)
        return _problem(request, 500, "internal", "something went wrong; the daemon's log says more")


def _message(problem: Mapping[str, Any]) -> str:
    """Return what a validator of ours says, without the name of what it raised."""
    raised = problem.get("ctx", {}).get("error")
    return str(raised) if problem["type"] == "value_error" and raised is not None else problem["msg"]


def _problem(
    request: Request, status: int, code: str, detail: str, more: Mapping[str, object] | None = None
) -> JSONResponse:
    body = {"detail": detail, "code": code, "request_id": request.state.request_id, **(more or {})}
    return JSONResponse(body, status)
