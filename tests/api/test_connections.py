"""Connections to the local API: whoever has no token takes nobody's place, and whoever is slow is ended."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
import websockets
from asking import Api

from pp_assist.api.routes_activity import MOST_LISTENERS
from pp_assist.api.server import LIMITS, listen
from pp_assist.api.server import Api as ApiComponent
from pp_assist.core.events import Event

MOST = 4
WINDOW_S = 0.4
QUICK = replace(
    LIMITS,
    max_connections=MOST,
    max_per_address=MOST,
    head_seconds=WINDOW_S,
    idle_seconds=WINDOW_S,
    body_window_seconds=WINDOW_S,
    answer_window_seconds=WINDOW_S,
)
PATIENT = replace(LIMITS, max_connections=MOST, max_per_address=MOST)
DEADLINE_S = 30.0


@contextlib.asynccontextmanager
async def served(api: Api, limits: object) -> AsyncIterator[int]:
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    serving = asyncio.create_task(ApiComponent(api.app_on(lambda: port), listener, limits).run())  # type: ignore[arg-type]
    try:
        yield port
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


def head(port: int, *more: str, line: str = "GET /status") -> bytes:
    return "\r\n".join([f"{line} HTTP/1.1", f"Host: 127.0.0.1:{port}", *more, "", ""]).encode()


STRANGERS = {
    "silent": lambda _: b"",
    "half a head": lambda port: head(port)[:-2],
    "a body that never comes": lambda port: head(port, "Content-Length: 1000", line="POST /paths"),
    "nobody's health, and a body": lambda port: head(port, "Content-Length: 1000", line="GET /health"),
    "unread answers": lambda port: head(port) * 1_500,
}


@pytest.mark.parametrize("how", STRANGERS)
async def test_strangers_take_nobodys_place(api: Api, how: str) -> None:
    async with served(api, PATIENT) as port, contextlib.AsyncExitStack() as strangers:
        for _ in range(MOST + 2):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
            _, writer = await asyncio.open_connection(sock=client, limit=1024)
            strangers.callback(writer.close)
            writer.write(STRANGERS[how](port))
            await asyncio.sleep(0.02)
        async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE_S) as http:
            answer = await http.get(f"http://127.0.0.1:{port}/status", headers=dict(api.http.headers))
        assert answer.status_code == 200, answer.text


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(DEADLINE_S):
        with contextlib.suppress(ConnectionError):
            return await reader.read()
    return b""


async def test_whoever_is_slow_is_ended(api: Api) -> None:
    token = f"Authorization: Bearer {api.token}"
    async with served(api, QUICK) as port:
        slow_head, one = await asyncio.open_connection("127.0.0.1", port)
        slow_body, two = await asyncio.open_connection("127.0.0.1", port)
        one.write(head(port)[:-2])
        two.write(head(port, token, "Content-Length: 1000", line="POST /paths") + b"{")
        assert await until_closed(slow_head) == b""
        answer = await until_closed(slow_body)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "too_slow"
        for writer in (one, two):
            writer.close()


async def test_who_listens_with_a_token_stays_however_long_nothing_happens(api: Api) -> None:
    token = {"Authorization": f"Bearer {api.token}"}
    async with (
        asyncio.timeout(DEADLINE_S),
        served(api, QUICK) as port,
        contextlib.AsyncExitStack() as strangers,
        httpx.AsyncClient(timeout=None, trust_env=False, headers=token) as http,
        http.stream("GET", f"http://127.0.0.1:{port}/activity/stream") as stream,
        websockets.connect(f"ws://127.0.0.1:{port}/ws/progress", additional_headers=token) as progress,
    ):
        for _ in range(2 * MOST):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            strangers.callback(writer.close)
        await asyncio.sleep(3 * WINDOW_S)
        api.daemon.bus.tell(Event.UPLOAD_COMPLETE, b"/a", number=1)
        async for line in stream.aiter_lines():
            if line.startswith("data: ") and "event_type" in line:
                break
        while json.loads(await progress.recv())["type"] != "upload_completed":
            pass


async def test_a_websocket_that_is_not_read_is_cut_and_its_place_is_free_again(api: Api) -> None:
    """A close would wait until what was sent before is taken, which is never."""
    token = f"Authorization: Bearer {api.token}"
    upgrade = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
    key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
    async with asyncio.timeout(DEADLINE_S), served(api, QUICK) as port, contextlib.AsyncExitStack() as asleep:
        for _ in range(MOST_LISTENERS):
            plug = socket.socket()
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plug.setblocking(False)
            await asyncio.get_running_loop().sock_connect(plug, ("127.0.0.1", port))
            reader, writer = await asyncio.open_connection(sock=plug, limit=256)
            asleep.push_async_callback(_ended, writer)
            writer.write(head(port, token, *upgrade, key, line="GET /ws/progress"))
            assert b" 101 " in await reader.readline()
            writer.transport.pause_reading()  # type: ignore[attr-defined]
        for number in range(5_000):
            api.daemon.bus.tell(Event.UPLOAD_COMPLETE, b"/" + b"a" * 1_000, number=number)
        while True:
            with contextlib.suppress(websockets.InvalidStatus):  # all places are taken yet
                url = f"ws://127.0.0.1:{port}/ws/progress"
                async with websockets.connect(url, additional_headers=dict([token.split(": ")])) as progress:
                    api.daemon.bus.tell(Event.UPLOAD_COMPLETE, b"/a", number=1)
                    await progress.recv()
                    break
            await asyncio.sleep(WINDOW_S)


async def _ended(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
