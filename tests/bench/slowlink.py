"""A line between two programs: so long, so wide. For whatever speaks TCP.

Bytes leave one after the other, at the line's rate, over all connections together, and arrive half a round trip later;
each direction for itself. A new connection waits a round trip for its handshake. Lost packets there are none.
"""

import asyncio
import contextlib
import threading
import time
from types import TracebackType

READ = 1 << 16
IN_FLIGHT = 1 << 19
"""Bytes of one connection that are on the line: about what 100 Mbit/s hold in 40 ms."""


class Direction:
    """One way of the line."""

    def __init__(self, delay_s: float, bytes_per_s: float) -> None:
        self._delay_s = delay_s
        self._bytes_per_s = bytes_per_s
        self._free_at = 0.0
        self.bytes = 0

    def arrival(self, size: int) -> float:
        """Let *size* bytes leave as soon as the line is free; return when the last of them is there."""
        self._free_at = max(self._free_at, time.monotonic()) + size / self._bytes_per_s
        self.bytes += size
        return self._free_at + self._delay_s


class SlowLink:
    """The line, while the block runs."""

    def __init__(self, round_trip_s: float = 0.040, mbit_per_s: float = 100.0) -> None:
        self._round_trip_s = round_trip_s
        self.up, self.down = (Direction(round_trip_s / 2, mbit_per_s * 1e6 / 8) for _ in range(2))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="slowlink", daemon=True)
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> "SlowLink":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def to(self, port: int) -> int:
        """Return a port whose connections lead to *port*, over the line."""
        return asyncio.run_coroutine_threadsafe(self._listen(port), self._loop).result(10)

    async def _listen(self, target: int) -> int:
        async def serve(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            try:
                with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):  # only `_close` cancels
                    await self._carry(target, client, to_client)
            finally:
                to_client.close()
                self._tasks.discard(task)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def _carry(self, target: int, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        await asyncio.sleep(self._round_trip_s)
        server, to_server = await asyncio.open_connection("127.0.0.1", target)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(self.up, client, to_server))
                both.create_task(self._pump(self.down, server, to_client))
        except* OSError:
            pass  # one side has gone
        finally:
            to_server.close()

    async def _pump(self, way: Direction, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(IN_FLIGHT // READ)

        async def fill() -> None:
            data = b"-"
            while data:
                data = await source.read(READ)
                await line.put((way.arrival(len(data)), data))

        async def empty() -> None:
            while True:
                arrival, data = await line.get()
                await asyncio.sleep(max(0.0, arrival - time.monotonic()))
                if not data:
                    break
                target.write(data)
                await target.drain()
            if target.can_write_eof():
                target.write_eof()

        await asyncio.gather(fill(), empty())

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
