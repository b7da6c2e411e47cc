"""What happens around every request: an id, a limit on the URL, an answer to what nobody foresaw."""

import itertools
import logging
import secrets

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pp_server.api import encoded, problems
from pp_server.core.errors import ContentDamaged, ServerError, UnsupportedEncoding, UrlTooLong

log = logging.getLogger(__name__)

_PROCESS = secrets.token_hex(4)
_numbers = itertools.count(1)

MAX_URL_BYTES = 16 * 1024
"""A `path_prefix` of 4,095 bytes, each percent-encoded, fits."""


class RequestFrame:
    """The outermost layer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["request_id"] = request_id = f"{_PROCESS}-{next(_numbers):x}"
        started = False

        async def framed_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        request = Request(scope)
        refused = _refused(request)
        if refused is not None:
            await (await problems.on_server_error(request, refused))(scope, receive, framed_send)
            return
        try:
            await self._app(scope, receive, framed_send)
        except Exception as error:
            _log(request_id, scope, error)
            if started:
                raise  # the answer is under way: only cutting it tells the client
            await problems.internal(request)(scope, receive, framed_send)


def _refused(request: Request) -> ServerError | None:
    """Return what is wrong with any request of that kind, whatever it asks for."""
    if len(request.scope.get("raw_path") or b"") + len(request.scope["query_string"]) > MAX_URL_BYTES:
        return UrlTooLong("The URL is too long")
    if not encoded.is_taken(request):
        return UnsupportedEncoding("This body is taken as it is only: send it without Content-Encoding")
    return None


def _log(request_id: str, scope: Scope, error: Exception) -> None:
    if isinstance(error, ContentDamaged):
        log.error("request %s cut: %s", request_id, error)
    else:
        log.error("request %s (%s) failed", request_id, scope["method"], exc_info=error)
