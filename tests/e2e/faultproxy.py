"""A proxy between the daemon and the server that misbehaves on demand. In process, in a thread of its own.

Faults at the level of TCP (refuse, black hole, cut, lost reply) and of HTTP (an answer of its own instead of the
server's). A new fault applies to open connections too, because they are closed when it begins.
"""

import asyncio
import contextlib
import re
import socket
import struct
import threading
from dataclasses import dataclass
from types import TracebackType

REQUEST = re.compile(rb"^(GET|PUT|POST|DELETE|HEAD) (\S+) HTTP/1\.1\r\n")
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
HEAD_LIMIT = 1 << 20


@dataclass(frozen=True)
class Fault:
    """What goes wrong; all at once if several are given."""

    refuse: bool = False
    """Close new connections at once."""
    blackhole: bool = False
    """Accept connections and requests, forward nothing, answer nothing."""
    cut_up_after: int | None = None
    """Reset a connection once so many bytes have gone to the server."""
    cut_down_after: int | None = None
    """Reset a connection once so many bytes have come from the server."""
    lose_reply: bool = False
    """The request reaches the server; its answer is dropped and the connection reset."""
    answer: bytes | None = None
    """Answer every request with this, and forward nothing."""
    only: bytes = b""
    """Lose replies only to requests whose path contains this."""
    times: int | None = None
    """How often it happens, then never again."""


NONE = Fault()


def http_answer(status: int, body: bytes, content_type: str = "application/json", *headers: str) -> bytes:
    """Return a whole HTTP answer."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body


INTERNAL_ERROR = Fault(answer=http_answer(500, b'{"detail": "Internal Server Error"}'))
CAPTIVE_PORTAL = Fault(answer=http_answer(200, b"<html><h1>Please sign in</h1></html>", "text/html"))
UNAUTHORIZED = Fault(answer=http_answer(401, b'{"detail": "who are you?", "code": "unauthorized"}'))
TRUNCATED_JSON = Fault(answer=http_answer(200, b'{"upload_id": "0123456789", "missing": [[0, '))
OTHER_JSON = Fault(answer=http_answer(200, b'{"status": "success", "data": []}'))
TOO_SHORT = Fault(answer=http_answer(200, b"x" * 100)[:-50])
NOT_HTTP = Fault(answer=b"\x16\x03\x01 what is this?\r\n\r\n")
MOVED = Fault(answer=http_answer(302, b"", "text/html", "Location: http://127.0.0.1:9/"))


def unavailable(retry_after_s: int) -> Fault:
    """503, with the wish to be left alone for a while."""
    return Fault(answer=http_answer(503, b'{"detail": "busy"}', "application/json", f"Retry-After: {retry_after_s}"))


class FaultProxy:
    """Listens on `port` while the block runs; `target` is the server's port, `fault` what goes wrong now."""

    def __init__(self, target: int = 0) -> None:
        self.target = target
        self.port = 0
        self.connections = 0
        self.faults = 0
        """How often something went wrong."""
        self.bytes_up = 0
        """Bytes that came from clients."""
        self._fault = NONE
        self._left: int | None = None
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="faultproxy", daemon=True)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def set(self, fault: Fault) -> None:
        """Let *fault* happen from now on, on all connections."""
        asyncio.run_coroutine_threadsafe(self._set(fault), self._loop).result(10)

    async def _set(self, fault: Fault) -> None:
        self._fault, self._left = fault, fault.times
        await self._drop()

    async def _drop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def __enter__(self) -> "FaultProxy":
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=HEAD_LIMIT)

    async def _close(self) -> None:
        self._server.close()
        await self._drop()

    def _strikes(self) -> bool:
        """Say whether the fault happens (once more), and count it."""
        if self._left is not None:
            if self._left <= 0:
                return False
            self._left -= 1
        self.faults += 1
        return True

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await self._converse(client, to_client)
            to_client.close()
        except (OSError, EOFError, asyncio.CancelledError, asyncio.LimitOverrunError):
            _reset(to_client)
        finally:
            self._tasks.discard(task)

    async def _converse(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        fault = self._fault
        if fault.refuse and self._strikes():
            raise ConnectionResetError
        if fault.blackhole and self._strikes():
            while await client.read(65536):
                pass
        elif fault.answer is not None and self._strikes():
            await _read_request(client)
            to_client.write(fault.answer)
            await to_client.drain()
        else:
            await self._forward(client, to_client)

    async def _forward(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection("127.0.0.1", self.target, limit=HEAD_LIMIT)
        way = _Way(self, self._fault)
        pumps = [
            asyncio.ensure_future(way.up(client, to_server)),
            asyncio.ensure_future(way.down(server, to_client)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            if any(pump.done() and pump.exception() for pump in pumps):
                raise ConnectionResetError
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            to_server.close()


class _Way:
    """One connection through the proxy."""

    def __init__(self, proxy: FaultProxy, fault: Fault) -> None:
        self._proxy = proxy
        self._fault = fault
        self._path = b""

    async def up(self, client: asyncio.StreamReader, to_server: asyncio.StreamWriter) -> None:
        passed = 0
        while data := await client.read(1 << 18):
            if request := REQUEST.match(data):
                self._path = request[2]
            self._proxy.bytes_up += len(data)
            passed += len(data)
            if _beyond(passed, self._fault.cut_up_after) and self._proxy._strikes():
                raise ConnectionResetError
            to_server.write(data)
            await to_server.drain()

    async def down(self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        passed = 0
        while data := await server.read(1 << 18):
            passed += len(data)
            if self._fault.lose_reply and self._fault.only in self._path and self._proxy._strikes():
                raise ConnectionResetError
            if _beyond(passed, self._fault.cut_down_after) and self._proxy._strikes():
                to_client.write(data[: max(0, len(data) - passed + (self._fault.cut_down_after or 0))])
                await to_client.drain()
                raise ConnectionResetError
            to_client.write(data)
            await to_client.drain()


def _beyond(passed: int, limit: int | None) -> bool:
    return limit is not None and passed >= limit


async def _read_request(client: asyncio.StreamReader) -> None:
    """Take one whole request from the client, so that it gets to read our answer."""
    head = await client.readuntil(b"\r\n\r\n")
    length = LENGTH.search(head)
    left = int(length[1]) if length else 0
    while left and (data := await client.read(min(left, 65536))):
        left -= len(data)


def _reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        connection: socket.socket | None = writer.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
