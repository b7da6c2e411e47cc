"""Whoever is slow is ended, whoever is merely unhurried is not, and what is waited for because of us is not counted."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st

from pp_server.bounds.connections import ConnectionLimits
from pp_server.bounds.http import bounded
from pp_server.bounds.pace import Pace

WINDOW_S = 0.8
QUICK = ConnectionLimits(
    head_seconds=WINDOW_S,
    idle_seconds=WINDOW_S,
    min_rate_bytes=1000,
    body_window_seconds=WINDOW_S,
    answer_window_seconds=WINDOW_S,
)
GOOD = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = 8 << 20
PATIENCE_S = 20


class Application:
    """Answers with what it is asked for; `gate` holds it before it reads."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.at_work = 0
        self.cut = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.at_work += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            self.at_work -= 1

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        await self.gate.wait()
        if scope["path"] != "/unread":
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    self.cut += 1
                    return
                if not message["more_body"]:
                    break
        size = LARGE if scope["path"] == "/large" else 5
        headers = [(b"content-length", str(size).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for start in range(0, size, 1 << 18):
            block = b"hello" if size == 5 else bytes(1 << 18)
            await send({"type": "http.response.body", "body": block, "more_body": start + len(block) < size})


class Peer:
    """A client that decides every byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *pieces: bytes, pause_s: float = 0.0) -> None:
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                self.writer.write(piece)
                await self.writer.drain()
                await asyncio.sleep(pause_s)

    async def answer(self) -> tuple[int, bytes]:
        """The next answer."""
        async with asyncio.timeout(PATIENCE_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            return int(head[9:12]), await self.reader.readexactly(length)

    async def is_ended(self) -> bytes:
        """Wait until the other side has ended the connection; return what came."""
        got = b""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE_S):
                while data := await self.reader.read(1 << 20):
                    got += data
        return got


@pytest.fixture
def application() -> Application:
    return Application()


Connect = Callable[[], Any]


@asynccontextmanager
async def serving(application: Application, limits: ConnectionLimits) -> AsyncIterator[Connect]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        application,
        http=bounded(limits),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[assignment, method-assign]
    running = asyncio.create_task(server.serve(sockets=[listener]))
    address = listener.getsockname()
    writers = []

    async def connect(receive_bytes: int = 0) -> Peer:
        client = socket.socket()
        if receive_bytes:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, address)
        reader, writer = await asyncio.open_connection(sock=client, limit=1 << 14)
        writers.append(writer)
        return Peer(reader, writer)

    try:
        yield connect
    finally:
        application.gate.set()
        for writer in writers:
            writer.close()
        server.should_exit = True
        await running


@pytest.fixture
async def connect(application: Application) -> AsyncIterator[Connect]:
    async with serving(application, QUICK) as connected:
        yield connected


def post(path: bytes, length: int, more: bytes = b"") -> bytes:
    return b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n" % (path, length, more)


# -- bodies


@pytest.mark.parametrize("pieces", [(), (b"x",), (b"x" * 20,) * 400])
async def test_a_body_below_the_rate_is_ended_with_408(connect: Connect, pieces: tuple[bytes, ...]) -> None:
    peer = await connect()
    sending = asyncio.create_task(peer.send(post(b"/", 1_000_000), *pieces, pause_s=0.05))  # 20 bytes: 400 per second
    status, body = await peer.answer()
    assert (status, json.loads(body)["code"]) == (408, "too_slow")
    assert await peer.is_ended() == b""
    sending.cancel()


async def test_a_body_that_keeps_the_rate_is_never_ended(connect: Connect) -> None:
    peer = await connect()
    steady = [b"x" * 400] * 30  # 4 per second of the rate, over several windows
    await peer.send(post(b"/", 12_000), *steady, pause_s=WINDOW_S / 8)
    assert await peer.answer() == (200, b"hello")


async def test_chunked_bodies_are_judged_by_their_bytes(connect: Connect) -> None:
    peer = await connect()
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    sending = asyncio.create_task(peer.send(head, *[b"1;" + b"e" * 200 + b"\r\nx\r\n"] * 200, pause_s=0.05))
    assert (await peer.answer())[0] == 408
    sending.cancel()


async def test_the_time_in_which_we_do_not_read_is_ours(application: Application, connect: Connect) -> None:
    peer = await connect()
    application.gate.clear()
    sending = asyncio.create_task(peer.send(post(b"/", LARGE), bytes(LARGE)))
    await asyncio.sleep(3 * WINDOW_S)
    application.gate.set()
    assert await peer.answer() == (200, b"hello")
    await sending


async def test_whoever_waits_to_be_asked_for_the_body_is_not_late(application: Application, connect: Connect) -> None:
    peer = await connect()
    application.gate.clear()
    await peer.send(post(b"/", 5, b"Expect: 100-continue\r\n"))
    await asyncio.sleep(3 * WINDOW_S)
    application.gate.set()
    assert (await peer.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
    await peer.send(b"12345")
    assert await peer.answer() == (200, b"hello")


async def test_a_body_nobody_wanted_may_end_and_may_not_go_on_for_ever(connect: Connect) -> None:
    peer = await connect()
    await peer.send(post(b"/unread", 200_000))
    assert await peer.answer() == (200, b"hello")
    await peer.send(bytes(200_000), GOOD)
    assert await peer.answer() == (200, b"hello")
    await peer.send(post(b"/unread", 1_000_000_000))
    assert await peer.answer() == (200, b"hello")
    sending = asyncio.create_task(peer.send(*[b"x" * 5000] * 400, pause_s=0.05))  # at a hundred times the rate
    await peer.is_ended()
    sending.cancel()


# -- answers


async def test_an_answer_that_is_not_taken_is_cut(application: Application, connect: Connect) -> None:
    peer = await connect(receive_bytes=4096)
    await peer.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(PATIENCE_S):
        while not application.at_work:
            await asyncio.sleep(0.01)
        while application.at_work:
            await asyncio.sleep(0.01)
    assert len(await peer.is_ended()) < LARGE


@pytest.mark.parametrize("more", [b"", b"Connection: close\r\n"])
async def test_an_answer_that_is_taken_slowly_arrives(connect: Connect, more: bytes) -> None:
    peer = await connect(receive_bytes=4096)
    await peer.send(b"GET /large HTTP/1.1\r\nHost: x\r\n" + more + b"\r\n")
    await peer.reader.readuntil(b"\r\n\r\n")
    got = 0
    for _ in range(30):  # over three windows
        got += len(await peer.reader.readexactly(LARGE // 64))
        await asyncio.sleep(WINDOW_S / 10)
    await asyncio.wait_for(peer.reader.readexactly(LARGE - got), PATIENCE_S)


# -- between requests


@pytest.mark.parametrize("between", [b"", b"\r\n"])
async def test_an_idle_connection_is_closed(connect: Connect, between: bytes) -> None:
    peer = await connect()
    await peer.send(GOOD)
    assert await peer.answer() == (200, b"hello")
    sending = asyncio.create_task(peer.send(*[between] * 400, pause_s=0.05))
    assert await peer.is_ended() == b""
    sending.cancel()


async def test_a_request_that_takes_us_long_is_not_ended(application: Application, connect: Connect) -> None:
    peer = await connect()
    application.gate.clear()
    await peer.send(GOOD + GOOD + GOOD[:10])
    await asyncio.sleep(3 * WINDOW_S)
    application.gate.set()
    assert await peer.answer() == (200, b"hello")
    assert await peer.answer() == (200, b"hello")


# -- places

CAPPED = ConnectionLimits(max_connections=8, max_per_address=8)
CAPPED_PER_ADDRESS = ConnectionLimits(max_connections=100, max_per_address=8)


@pytest.fixture(params=[CAPPED, CAPPED_PER_ADDRESS], ids=["in all", "of one address"])
def capped(application: Application, request: pytest.FixtureRequest) -> AbstractAsyncContextManager[Connect]:
    return serving(application, request.param)


async def test_the_longest_idle_connection_makes_room(capped: AbstractAsyncContextManager[Connect]) -> None:
    async with capped as connect:
        peers = [await connect() for _ in range(8)]
        for peer in peers:
            await peer.send(GOOD)
            assert await peer.answer() == (200, b"hello")
        await peers[0].send(GOOD)  # now the second one has been idle for longest
        assert await peers[0].answer() == (200, b"hello")
        newcomer = await connect()
        await newcomer.send(GOOD)
        assert await newcomer.answer() == (200, b"hello")
        assert await peers[1].is_ended() == b""
        for peer in [peers[0], *peers[2:]]:
            await peer.send(GOOD)
            assert await peer.answer() == (200, b"hello")


async def test_while_all_are_at_work_a_newcomer_is_refused(
    application: Application, capped: AbstractAsyncContextManager[Connect]
) -> None:
    async with capped as connect:
        application.gate.clear()
        peers = [await connect() for _ in range(8)]
        for peer in peers:
            await peer.send(GOOD)
        async with asyncio.timeout(PATIENCE_S):
            while application.at_work < 8:
                await asyncio.sleep(0.01)
        for _ in range(100):
            newcomer = await connect()
            await newcomer.send(GOOD)
            status, body = await newcomer.answer()
            assert (status, json.loads(body)["code"]) == (503, "overloaded")
        assert await newcomer.is_ended() == b""
        application.gate.set()
        for peer in peers:
            assert await peer.answer() == (200, b"hello")
        peers[3].writer.close()
        late = await connect()
        await late.send(GOOD)
        assert await late.answer() == (200, b"hello")


async def test_thousands_of_connections_leave_nothing_behind(application: Application) -> None:
    limits = ConnectionLimits(max_connections=8, max_per_address=8)
    async with serving(application, limits) as connect:
        for _ in range(1000):
            await connect()
        peer = await connect()
        await peer.send(GOOD)
        assert await peer.answer() == (200, b"hello")


# -- the rule itself


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 4000), st.booleans()), max_size=60))
def test_pace_allows_a_window_and_no_more(steps: list[tuple[float, int, bool]]) -> None:
    """n bytes may take a window and n / rate seconds; a pause of ours takes nothing."""
    rate, window_s = 1000.0, 10.0
    pace, now = Pace(rate, window_s), 0.0
    ran_s, count = 0.0, 0
    pace.run(now)
    for seconds, length, ours in steps:
        if ours:
            pace.hold(now)
        now += seconds
        if ours:
            pace.run(now)
        else:
            ran_s += seconds
        if ran_s > window_s + count / rate + 1e-6:
            assert pace.is_too_slow(now)
        pace.add(length, now)
        count += length


@given(st.lists(st.floats(0, 9.99), min_size=1, max_size=50))
def test_pace_never_ends_who_keeps_the_rate_in_every_window(pauses: list[float]) -> None:
    pace, now = Pace(1000.0, 10.0), 0.0
    pace.run(now)
    for pause in pauses:
        now += pause
        assert not pace.is_too_slow(now)
        pace.add(int(pause * 1000) + 1, now)
