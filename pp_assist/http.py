"""The one place that speaks HTTP with servers: whatever replaces httpx, or its hot path, replaces this module.

`Http` is for servers out there and believes nothing: no redirects, no proxies from the environment, answers of bounded
size.
"""

import asyncio
import contextlib
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # its own command line, which imports all of rich
import httpx  # noqa: E402

from pp_assist import tls  # noqa: E402
from pp_assist.core.errors import ServerNonsense, ServerUnreachable, Untrusted  # noqa: E402
from pp_assist.core.hosts import is_loopback  # noqa: E402
from pp_assist.core.pace import AT_ONCE, Pace  # noqa: E402
from pp_assist.core.trust import Trust  # noqa: E402

HTTPS_PORT = 443
ANYBODY_KNOWN = Trust()
MAX_ANSWER_BYTES = 16 << 20
AS_IT_IS = {"Accept-Encoding": "identity"}
"""A few bytes that are compressed may stand for gigabytes: no answer is wanted like that, and none is unpacked."""

CONNECT_TIMEOUT_S = 10.0
PIECE_BYTES = 1 << 20
RAW = "application/octet-stream"

BROKEN_CONNECTION = (httpx.HTTPError, OSError, AttributeError, RuntimeError)
"""What httpx raises, and what it lets through: a connection that is reset while it is being made is an AttributeError
of anyio (its socket is None by then), one that is reset while it is written to may be a RuntimeError of uvloop."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said."""

    status: int
    body: bytes
    retry_after_s: float | None
    date_s: float | None = None
    """What time it was for the server, in seconds since 1970, where it says so."""

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            ServerNonsense: it is not JSON.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise ServerNonsense(f"the answer (status {self.status}) is not JSON") from error


@dataclass(frozen=True, slots=True)
class Streamed:
    """An answer that is still arriving."""

    answer: Answer
    """Its status and, where it is no success, all of it."""
    pieces: AsyncIterator[bytes]
    """What a success brings."""
    length_bytes: int | None = None
    """How long it says that it is."""


class BadServerUrl(ValueError):
    """The URL cannot be that of a server; the message says why."""


def check_server_url(url: str, allow_http: bool) -> str:
    """Return *url* without a trailing slash, if it can be a server's.

    Raises:
        BadServerUrl: not http(s), no host, with credentials or a query, or the key would be sent unencrypted.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
        _ = httpx.URL(url).host  # what httpx refuses is known only by asking it
    except (ValueError, httpx.InvalidURL) as error:
        raise BadServerUrl(f"not a URL: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise BadServerUrl("must be http://HOST[:PORT] or https://HOST[:PORT]")
    if parts.username or parts.password:
        raise BadServerUrl("must not contain a user name or password")
    if parts.query or parts.fragment:
        raise BadServerUrl("must not contain a query or fragment")
    if parts.scheme == "http" and not allow_http and not is_loopback(host):
        raise BadServerUrl("http would send the API key unencrypted: use https, or allow http explicitly")
    return url.rstrip("/")


def check_trust(url: str, trust: Trust) -> None:
    """Make sure that *trust* can be meant for a server at *url*.

    Raises:
        BadServerUrl: there is nothing to trust over http, both are given, or the authorities cannot be read.
    """
    if trust == Trust():
        return
    if urlsplit(url).scheme != "https":
        raise BadServerUrl("a fingerprint or ca_file needs https")
    if trust.fingerprint and trust.ca_file:
        raise BadServerUrl("fingerprint or ca_file, not both")
    if trust.ca_file:
        if not os.path.isabs(trust.ca_file):
            raise BadServerUrl("ca_file must be an absolute path")
        try:
            tls.context_for(trust.ca_file)
        except Untrusted as error:
            raise BadServerUrl(str(error)) from error


class Http:
    """Connections to one server, kept for the life of the object."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        timeout_s: float,
        connections: int,
        transport: httpx.AsyncBaseTransport | None = None,
        trust: Trust = ANYBODY_KNOWN,
        pace: Pace = AT_ONCE,
    ) -> None:
        self._url = httpx.URL(base_url)
        self._api_key = api_key
        self._timeout_s = timeout_s
        self._connections = connections
        self._transport = transport
        self._trust = trust
        self._pace = pace
        self._one_at_a_time = asyncio.Lock()
        self._client: httpx.AsyncClient | None = None

    async def _opened(self) -> httpx.AsyncClient:
        """Return what connects to the server, made at the first request: the API key waits for the certificate."""
        async with self._one_at_a_time:
            if self._client is None:
                self._client = httpx.AsyncClient(
                    verify=await self._verification(),
                    base_url=self._url,
                    headers={"Authorization": f"Bearer {self._api_key}", "User-Agent": "pp_assist", **AS_IT_IS},
                    limits=httpx.Limits(max_connections=self._connections, max_keepalive_connections=self._connections),
                    follow_redirects=False,
                    trust_env=False,
                    transport=self._transport,
                )
            return self._client

    async def _verification(self) -> ssl.SSLContext | bool:
        """Return how httpx is to verify certificates. To read those of all authorities takes longer than to greet."""
        if self._url.scheme != "https":
            return False
        if self._trust.ca_file is not None:
            return tls.context_for(self._trust.ca_file)
        if self._trust.fingerprint is None:
            return True
        port = self._url.port or HTTPS_PORT
        return await tls.pinned_context(
            self._url.raw_host.decode(), port, self._trust.fingerprint, self._connect_timeout_s
        )

    @property
    def _connect_timeout_s(self) -> float:
        return min(self._timeout_s, CONNECT_TIMEOUT_S)

    async def _broken(self, error: Exception) -> ServerUnreachable:
        """Return what a broken connection means, with both fingerprints where the server shows another certificate."""
        refusal = tls.refusal_of(error, self._trust)
        if refusal is None:
            return ServerUnreachable(_describe(error))
        if self._trust.fingerprint is not None:
            try:
                await self._verification()
            except ServerUnreachable as reason:
                return reason
        return refusal

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content: list[bytes] | None = None,
        content_type: str = RAW,
        content_encoding: str | None = None,
        extra_timeout_s: float = 0.0,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request (with *body* as JSON, or raw *content*) and return the answer, whatever its status.

        The list *content* is emptied while it is sent, so that nothing is kept in memory longer than needed.

        Raises:
            ServerUnreachable: there was no whole answer, or (Untrusted) the certificate is not to be believed.
            ServerNonsense: the answer is absurdly large.
        """
        headers = dict(headers or {})
        if content is not None:
            headers |= {"Content-Type": content_type, "Content-Length": str(sum(map(len, content)))}
            headers |= {"Content-Encoding": content_encoding} if content_encoding else {}
        timeout = httpx.Timeout(self._timeout_s + extra_timeout_s, connect=self._connect_timeout_s)
        client = await self._opened()
        turn = self._pace.turn() if content else contextlib.nullcontext()
        try:
            pieces = content and _pieces(content, self._pace)
            async with (
                turn,
                client.stream(method, path, json=body, content=pieces, headers=headers, timeout=timeout) as response,
            ):
                return Answer(response.status_code, await _bounded(response), _retry_after(response), _date(response))
        except BROKEN_CONNECTION as error:
            raise await self._broken(error) from error
        except httpx.InvalidURL as error:
            raise ServerNonsense("it names what cannot be part of a URL") from error

    @contextlib.asynccontextmanager
    async def stream(
        self, method: str, path: str, *, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[Streamed]:
        """Send a request and yield its answer, to be read piece by piece within the block.

        Raises:
            ServerUnreachable, ServerNonsense: as `request`, also in the middle of the answer.
        """
        timeout = httpx.Timeout(self._timeout_s, connect=self._connect_timeout_s)
        client = await self._opened()
        async with contextlib.AsyncExitStack() as stack:
            try:
                sent = client.stream(method, path, json=body, headers=headers, timeout=timeout)
                response = await stack.enter_async_context(sent)
                _check_as_it_is(response)
                whole = b"" if response.is_success else await _bounded(response)
            except BROKEN_CONNECTION as error:
                raise await self._broken(error) from error
            except httpx.InvalidURL as error:
                raise ServerNonsense("it names what cannot be part of a URL") from error
            answer = Answer(response.status_code, whole, _retry_after(response))
            length = response.headers.get("Content-Length", "")
            yield Streamed(answer, self._arriving(response), int(length) if length.isdecimal() else None)

    async def _arriving(self, response: httpx.Response) -> AsyncIterator[bytes]:
        try:
            async for piece in response.aiter_raw():
                yield piece
        except BROKEN_CONNECTION as error:
            raise await self._broken(error) from error

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.aclose()


async def _pieces(content: list[bytes], pace: Pace) -> AsyncIterator[bytes]:
    """Yield *content* in pieces, each as soon as it may leave, and let go of each part with the last piece of it.

    A request of httpx is part of a reference cycle: given the bytes themselves, it keeps megabytes alive until the
    garbage collector comes by (measured: 120 MiB for chunks of 4 MiB, two at a time).
    """
    content.reverse()
    while content:
        part = content.pop()
        start = 0
        while start < len(part):
            piece = part[start : start + pace.piece_bytes(PIECE_BYTES)]
            await pace.take(len(piece))
            yield piece
            start += len(piece)


async def _bounded(response: httpx.Response) -> bytes:
    _check_as_it_is(response)
    body = bytearray()
    async for piece in response.aiter_bytes():
        _add(body, piece)
    return bytes(body)


def _add(body: bytearray, piece: bytes) -> None:
    if len(body) + len(piece) > MAX_ANSWER_BYTES:
        raise ServerNonsense("the answer is larger than anything our server says")
    body += piece


def _check_as_it_is(response: httpx.Response) -> None:
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding.strip().lower() not in ("", "identity"):
        raise ServerNonsense(f"the answer comes as {encoding[:20]}, which nobody asked for")


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds a Retry-After header asks for; a date is not believed, clocks differ."""
    try:
        return max(0.0, float(response.headers["Retry-After"]))
    except (KeyError, ValueError):
        return None


def _date(response: httpx.Response) -> float | None:
    try:
        return parsedate_to_datetime(response.headers["Date"]).timestamp()
    except (KeyError, ValueError):
        return None


def _describe(error: Exception) -> str:
    text = str(error)
    kind = type(error).__name__
    return f"{kind}: {text}" if text else kind


class BlockingHttp:
    """Connections for programs without an event loop; may be used from many threads."""

    def __init__(self, timeout_s: float) -> None:
        self._client = httpx.Client(
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, CONNECT_TIMEOUT_S)),
            follow_redirects=False,
            trust_env=False,
            headers=AS_IT_IS,
        )

    def request(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None) -> Answer:
        """Send a request and return the answer, whatever its status.

        Raises:
            ServerUnreachable: there was no whole answer.
            ServerNonsense: the answer is absurdly large, or compressed.
        """
        try:
            with self._client.stream(method, url, headers=dict(headers), content=content) as response:
                _check_as_it_is(response)
                body = bytearray()
                for piece in response.iter_bytes():
                    _add(body, piece)
                return Answer(response.status_code, bytes(body), _retry_after(response))
        except BROKEN_CONNECTION as error:
            raise ServerUnreachable(_describe(error)) from error
        except httpx.InvalidURL as error:
            raise ServerNonsense("it names what cannot be part of a URL") from error

    def close(self) -> None:
        """Close all connections."""
        self._client.close()
