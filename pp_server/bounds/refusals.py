"""Answers for those who cannot wait for the application: in our shape, and they end the connection."""

import json
from dataclasses import dataclass
from http import HTTPStatus

from pp_server.wire.errors import ErrorCode


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is wrong with a connection, and what is told of it."""

    status: int
    code: ErrorCode
    detail: str
    retry_after_s: int | None = None

    def raw(self, request_id: str = "") -> bytes:
        """Return the answer as bytes."""
        body = json.dumps({"detail": self.detail, "code": self.code, "request_id": request_id}).encode()
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Connection": "close",
            "X-Request-Id": request_id,
            "X-Content-Type-Options": "nosniff",
            "Retry-After": "" if self.retry_after_s is None else str(self.retry_after_s),
        }
        head = f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"
        return "\r\n".join([head, *(f"{k}: {v}" for k, v in headers.items() if v), "", ""]).encode("ascii") + body


def overloaded(detail: str) -> Refusal:
    """Return that there is no room now."""
    return Refusal(503, ErrorCode.OVERLOADED, detail, retry_after_s=2)


def malformed(detail: str) -> Refusal:
    """Return that what came is not HTTP, or has too large a head."""
    return Refusal(400, ErrorCode.INVALID_REQUEST, detail)


def stalled(rate: float) -> Refusal:
    """Return that the body arrives too slowly, or not any more."""
    return Refusal(408, ErrorCode.TOO_SLOW, f"The body must keep {rate:.0f} bytes per second")
