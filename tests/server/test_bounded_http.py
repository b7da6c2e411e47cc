"""Connections that never become requests cost neither memory nor a place for ever."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn

from pp_server.bounds.connections import ConnectionLimits
from pp_server.bounds.http import MAX_HEAD_BYTES, bounded

ENDLESS = b"a" * (4 * MAX_HEAD_BYTES)
GOOD = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def hello(scope: object, receive: object, send: object) -> None:
    while (await receive())["more_body"]:  # type: ignore[operator]
        pass
    headers = [(b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})  # type: ignore[operator]
    await send({"type": "http.response.body", "body": b"hello"})  # type: ignore[operator]


@pytest.fixture
async def address() -> AsyncIterator[tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0))
    impatient = bounded(ConnectionLimits(head_seconds=0.3, idle_seconds=1))
    server = uvicorn.Server(uvicorn.Config(hello, http=impatient, ws="none", lifespan="off", log_config=None))  # type: ignore[arg-type]
    server.capture_signals = contextlib.nullcontext  # type: ignore[assignment, method-assign]
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield listener.getsockname()
    server.should_exit = True
    await serving


async def answer_to(address: tuple[str, int], *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """Send, and return everything that comes until the other side closes."""
    reader, writer = await asyncio.open_connection(*address)
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
    got = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(5):
            got = await reader.read()
    writer.close()
    return got


@pytest.mark.parametrize(
    "pieces",
    [
        (b"GET / HTTP/1.1\r\nX: ", ENDLESS),
        (b"GET / HTTP/1.1\r\n", b"X: 1\r\n" * 100_000),
        (b"GET /", ENDLESS),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;", ENDLESS),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", ENDLESS),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: 1\r\n" * 100_000),
    ],
    ids=["one header", "many headers", "url", "chunk extension", "one trailer", "many trailers"],
)
async def test_a_head_without_an_end_is_cut(address: tuple[str, int], pieces: tuple[bytes, ...]) -> None:
    assert b"hello" not in await answer_to(address, *pieces)


@pytest.mark.parametrize("pieces", [(), (b"GET / HT",), (b"G", *[b"E"] * 20), (GOOD, b"GET / HT")])
async def test_whoever_never_gets_to_the_point_is_cut(address: tuple[str, int], pieces: tuple[bytes, ...]) -> None:
    began = asyncio.get_running_loop().time()
    await answer_to(address, *pieces, pause_s=0.1)
    assert asyncio.get_running_loop().time() - began < 3


async def test_a_connection_that_is_used_stays(address: tuple[str, int]) -> None:
    body = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
    last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    slowly = [b"x" * 250_000] * 4
    got = await answer_to(address, GOOD, GOOD, body, *slowly, GOOD[:10], GOOD[10:], last, pause_s=0.15)
    assert got.count(b"hello") == 5


async def test_an_upgrade_does_not_lead_out_of_the_bounds(address: tuple[str, int]) -> None:
    wish = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    got = await answer_to(address, wish + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", b"G")
    assert b"hello" in got
    assert b"101" not in got


async def test_a_refusal_has_the_shape_of_all_refusals(address: tuple[str, int]) -> None:
    head, _, body = (await answer_to(address, b"nonsense\r\n\r\n")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["code"] == "invalid_request"


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "lengths",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5, 5\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: -5\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Content-Length : 5\r\n",
    ],
)
async def test_a_body_of_two_lengths_is_refused(address: tuple[str, int], lengths: bytes) -> None:
    got = await answer_to(address, b"POST / HTTP/1.1\r\nHost: x\r\n" + lengths + b"\r\n0\r\n\r\n" + SMUGGLED)
    assert got.startswith(b"HTTP/1.1 400 ")
    assert got.count(b"HTTP/1.1 ") == 1
