"""Who may call: checked before anything else, on every path there is or is not, HTTP or WebSocket.

Any page a browser shows can send requests to this machine. So the Host must be ours (a rebound DNS name is not), a
foreign Origin is refused, and nothing is answered to whoever does not show the token from the state directory, or a
cookie that was got with it. No CORS header says otherwise, but to pages that the settings name.
"""

import json
import secrets
from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pp_assist.api.callers import (
    ENTERING,
    FOREIGN_ORIGIN,
    NO_TOKEN,
    As,
    Doors,
    Headers,
    Refusal,
    foreign,
    is_guest,
    judge,
)
from pp_server.bounds.http import ADMITTED

MAX_BODY_BYTES = 1 << 20
TOO_LARGE = f"the body is larger than {MAX_BODY_BYTES} bytes"
POLICY_VIOLATION = 1008

IsOurs = Callable[[Scope], Awaitable[bool]]
"""Whether the other end of a connection belongs to the user that we run as."""


class Guard:
    """ASGI middleware: 403 for a foreign Host or Origin, 401 for strangers, 413 for a large body."""

    def __init__(self, app: ASGIApp, doors: Doors, is_ours: IsOurs) -> None:
        self._app = app
        self._doors = doors
        self._is_ours = is_ours

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return
        headers: Headers = scope["headers"]
        state = scope.setdefault("state", {})
        state["request_id"] = request_id = secrets.token_hex(8)
        if scope["type"] == "websocket":
            found = await self._judge("GET", scope)
            if found is As.COOKIE and not any(name == b"origin" for name, _ in headers):
                found = FOREIGN_ORIGIN  # a browser always says where a page is from
            if found is As.NOBODY:
                found = NO_TOKEN
            if isinstance(found, Refusal):
                await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": found.code})
                return
            state["caller"] = found
            await self._app(scope, receive, send)
            return
        guest = is_guest(headers, self._doors) and foreign(headers, self._doors) is None
        if guest:
            send = _readable_for(_origin(headers), send)
            if scope["method"] == "OPTIONS":
                await _allow(send)
                return
        found = await self._judge(scope["method"], scope)
        if isinstance(found, As) and _too_large(headers):
            found = Refusal(413, "too_large", TOO_LARGE)
        if isinstance(found, Refusal):
            await _refuse(send, request_id, found)
            return
        state["caller"] = found
        if found is not As.NOBODY:
            state.get(ADMITTED, _nothing)()
        if found in (As.TOKEN, As.LOCAL):  # no page sent it, or it has passed a preflight: read it as JSON
            scope["headers"] = [h for h in headers if h[0] != b"content-type"] + [
                (b"content-type", b"application/json")
            ]
        await self._app(scope, _bounded(receive), send)

    async def _judge(self, method: str, scope: Scope) -> As | Refusal:
        found = judge(method, scope["path"], scope["headers"], self._doors)
        enters = found is As.NOBODY and (method, scope["path"]) == ENTERING  # others may have seen a ticket in `ps`
        if (found is As.LOCAL or enters) and not await self._is_ours(scope):
            return NO_TOKEN
        return found


def _nothing() -> None:
    """Served otherwise, nobody asks who is known."""


def _origin(headers: Headers) -> bytes:
    return next(value for name, value in headers if name == b"origin")


def _too_large(headers: Headers) -> bool:
    length = next((value for name, value in headers if name == b"content-length"), b"0")
    return not length.isdigit() or int(length) > MAX_BODY_BYTES


def _bounded(receive: Receive) -> Receive:
    """Return *receive* with an end to how much it hands out."""
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MAX_BODY_BYTES:
            raise HTTPException(413, TOO_LARGE)  # the one kind of exception that passes through body parsing as it is
        return message

    return limited


def _readable_for(origin: bytes, send: Send) -> Send:
    """Return *send* that lets a page of *origin* read the answer."""

    async def readable(message: Message) -> None:
        if message["type"] == "http.response.start":
            more = [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return readable


async def _allow(send: Send) -> None:
    """Answer what a browser asks before it sends another page's request."""
    headers = [
        (b"access-control-allow-methods", b"GET, POST, DELETE"),
        (b"access-control-allow-headers", b"Authorization, Content-Type, Last-Event-ID"),
        (b"access-control-allow-private-network", b"true"),
        (b"access-control-max-age", b"600"),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _refuse(send: Send, request_id: str, refusal: Refusal) -> None:
    body = json.dumps({"detail": refusal.detail, "code": refusal.code, "request_id": request_id}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
