"""Many clients that mean no good, as a process of their own: `python -m tests.e2e.crowd PORT IDLE HEADS BODIES`.

An API key comes on standard input. `ready` is printed once all of them are there; whoever is thrown out comes back.
"""

import asyncio
import contextlib
import json
import resource
import sys
from collections.abc import Awaitable, Callable

BODY_BYTES = 4 << 20
PAUSE_S = 1.0


class Crowd:
    """All of them."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._key = key
        self._there = 0
        self._complete = asyncio.Event()
        self._wanted = 0

    async def gather(self, idle: int, heads: int, bodies: int) -> None:
        """Be a nuisance for ever."""
        self._wanted = idle + heads + bodies
        kinds = [(self._idle, idle), (self._drip_head, heads), (self._drip_body, bodies)]
        async with asyncio.TaskGroup() as group:
            for kind, count in kinds:
                for number in range(count):
                    group.create_task(self._again_and_again(kind, number))
            await self._complete.wait()
            print("ready", flush=True)

    async def _again_and_again(self, kind: "Kind", number: int) -> None:
        counted = False
        while True:
            with contextlib.suppress(OSError, EOFError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                with contextlib.closing(writer):
                    drops = await kind(reader, writer, number)
                    if not counted:
                        counted = True
                        self._there += 1
                        if self._there == self._wanted:
                            self._complete.set()
                    await drops()
            await asyncio.sleep(PAUSE_S)

    async def _idle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> "Drops":
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")

        async def drops() -> None:
            while await reader.read(1 << 16):
                pass

        return drops

    async def _drip_head(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> "Drops":
        writer.write(b"GET /health HTTP/1.1\r\nX: ")
        return lambda: self._drip(reader, writer, b"x")

    async def _drip_body(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> "Drops":
        body = json.dumps({"filepath": f"/drip/{number}", "file_size": BODY_BYTES, "chunk_size": BODY_BYTES}).encode()
        writer.write(self._head("POST", "/api/uploads/initiate", len(body)) + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        upload_id = json.loads(await reader.readexactly(length))["upload_id"]
        writer.write(self._head("PUT", f"/api/uploads/{upload_id}/chunk/0", BODY_BYTES))
        return lambda: self._drip(reader, writer, b"x" * 2048)  # twice the rate that must be kept

    def _head(self, method: str, path: str, length: int) -> bytes:
        lines = (f"{method} {path} HTTP/1.1", "Host: x", f"X-API-Key: {self._key}", f"Content-Length: {length}", "", "")
        return "\r\n".join(lines).encode()

    async def _drip(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, drop: bytes) -> None:
        while not reader.at_eof():
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(PAUSE_S)


Drops = Callable[[], Awaitable[None]]
Kind = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[Drops]]


def main() -> None:
    """Run until killed."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    port, idle, heads, bodies = map(int, sys.argv[1:5])
    asyncio.run(Crowd(port, sys.stdin.readline().strip()).gather(idle, heads, bodies))


if __name__ == "__main__":
    main()
