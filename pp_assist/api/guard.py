"""Who may call: checked before anything else, on every path there is or is not.

Any page a browser shows can send requests to this machine. So the Host must be ours (a rebound DNS name is not), a
foreign Origin is refused, nothing is answered without the token from the state directory, and no CORS header ever says
otherwise.
"""

import hmac
import json
import secrets
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 1 << 20
TOO_LARGE = f"the body is larger than {MAX_BODY_BYTES} bytes"
OPEN_PATHS = frozenset({"/health"})
"""Answered without a token, with nothing in it."""


class Guard:
    """ASGI middleware: 403 for a foreign Host or Origin, 401 without the token, 413 for a large body."""

    def __init__(self, app: ASGIApp, token: str, port: Callable[[], int]) -> None:
        self._app = app
        self._token = token.encode()
        self._port = port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        scope.setdefault("state", {})["request_id"] = request_id = secrets.token_hex(8)
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        refusal = self._refusal(headers, scope["path"])
        if refusal is not None:
            await _refuse(send, request_id, *refusal)
            return
        if self._authorized(headers):  # such a request has passed a preflight if a page sent it: read it as JSON
            scope["headers"] = [h for h in headers if h[0] != b"content-type"] + [
                (b"content-type", b"application/json")
            ]
            scope["state"]["authorized"] = True
        await self._app(scope, _bounded(receive), send)

    def _refusal(self, headers: list[tuple[bytes, bytes]], path: str) -> tuple[int, str, str] | None:
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or hosts[0].lower() not in self._allowed("{}:{}"):
            return 403, "forbidden_host", "the Host header does not name this daemon"
        origins = [value for name, value in headers if name == b"origin"]
        if any(origin.lower() not in self._allowed("http://{}:{}") for origin in origins):
            return 403, "forbidden_origin", "requests from other web pages are refused"
        sites = [value for name, value in headers if name == b"sec-fetch-site"]
        if any(site not in (b"same-origin", b"none") for site in sites):
            return 403, "forbidden_origin", "requests from other web pages are refused"
        length = next((value for name, value in headers if name == b"content-length"), b"0")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            return 413, "too_large", TOO_LARGE
        if path not in OPEN_PATHS and not self._authorized(headers):
            return 401, "unauthorized", "send the token from the file api-token in the state directory"
        return None

    def _allowed(self, form: str) -> set[bytes]:
        return {form.format(host, self._port()).encode() for host in ("127.0.0.1", "localhost", "[::1]")}

    def _authorized(self, headers: list[tuple[bytes, bytes]]) -> bool:
        values = [value for name, value in headers if name == b"authorization"]
        if len(values) != 1:
            return False
        scheme, _, token = values[0].partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token)


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


async def _refuse(send: Send, request_id: str, status: int, code: str, detail: str) -> None:
    body = json.dumps({"detail": detail, "code": code, "request_id": request_id}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
