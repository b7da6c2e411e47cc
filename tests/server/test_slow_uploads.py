"""What slow clients of the real application are told, and what they leave behind."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from serving import CHUNK, Client, Server, content, listening, sha

from pp_server.bounds.connections import ConnectionLimits
from pp_server.wire.batch import MAX_BATCH_BYTES, MAX_INLINE_BYTES

QUICK = ConnectionLimits(min_rate_bytes=1000, body_window_seconds=0.4)


@dataclass
class Far:
    """The client's way to a real port, byte by byte."""

    address: tuple[str, int]
    api_key: str

    async def ask(self, method: str, path: str, length: int, body: bytes) -> httpx.Response:
        """Announce *length* bytes, send *body*, and return what is answered."""
        reader, writer = await asyncio.open_connection(*self.address)
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nX-API-Key: {self.api_key}\r\n\r\n"
        writer.write(head.encode() + body)
        async with asyncio.timeout(20):
            answer = await reader.readuntil(b"\r\n\r\n")
            lines = answer.decode().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines[1:] if line)
            content = await reader.readexactly(int(httpx.Headers(headers)["content-length"]))
            await writer.drain()
        writer.close()
        return httpx.Response(int(lines[0].split()[1]), headers=headers, content=content)


@pytest.fixture
async def far(server: Server, client: Client) -> AsyncIterator[Far]:
    async with listening(server, QUICK) as address:
        yield Far(address, client.api_key)


async def test_a_chunk_that_stops_arriving_changes_nothing(server: Server, client: Client, far: Far) -> None:
    data = content(CHUNK)
    upload_id = await client.begin("/a", data)
    answer = await far.ask("PUT", f"/api/uploads/{upload_id}/chunk/0", CHUNK, data[:1])
    assert (answer.status_code, answer.json()["code"]) == (408, "too_slow")
    assert answer.json()["request_id"] == answer.headers["x-request-id"] != ""
    assert server.staged() == []
    assert (await client.put(upload_id, 0, data)).status_code == 200
    assert (await client.complete(upload_id)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/uploads/initiate"), ("POST", "/api/files/deletions"), ("DELETE", "/api/files/" + "0" * 64)],
)
async def test_every_body_is_held_to_the_rate(far: Far, method: str, path: str) -> None:
    answer = await far.ask(method, path, 1000, b'{"filepath":')
    assert (answer.status_code, answer.json()["code"]) == (408, "too_slow")


async def test_whoever_is_refused_reads_why_although_much_was_to_come(far: Far) -> None:
    answer = await Far(far.address, "none").ask("PUT", "/api/uploads/none/chunk/0", 8 << 20, bytes(8 << 20))
    assert answer.status_code == 401


HUGE = 10 << 30


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/api/uploads/initiate", 413),
        ("PUT", "/api/uploads/{upload_id}/chunk/0", 400),
        ("POST", "/api/uploads/{upload_id}/complete", 413),
        ("POST", "/api/files/deletions", 413),
        ("DELETE", "/api/files/" + "0" * 64, 413),
        ("POST", "/api/no/such/route", 404),
    ],
)
async def test_a_body_that_is_announced_too_large_is_not_read(
    client: Client, far: Far, method: str, path: str, status: int
) -> None:
    """Nothing of it is sent, and the answer comes all the same."""
    upload_id = await client.begin("/a", content(CHUNK))
    answer = await far.ask(method, path.format(upload_id=upload_id), HUGE, b"")
    assert answer.status_code == status


async def test_batches_that_are_only_announced_keep_nobody_out(running) -> None:
    """Together they announce far more than there is memory for, and bring next to nothing."""
    data, count = content(MAX_INLINE_BYTES), MAX_BATCH_BYTES // MAX_INLINE_BYTES
    async with running(limits={"max_inflight_mb": 64}) as server, listening(server) as address:
        client = await server.client()
        operations = [{"op": "put", "filepath": f"/{n}", "gen": n + 1, "content": "inline"} for n in range(count)]
        for each in operations:
            each |= {"kind": "file", "file_size": len(data), "sha256": sha(data)}
        line = json.dumps({"hostname": "laptop", "operations": operations}).encode() + b"\n"
        length = len(line) + count * len(data)
        head = f"POST /api/batch HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nX-API-Key: {client.api_key}\r\n\r\n"
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(30):
                _, writer = await asyncio.open_connection(*address)
                stack.callback(writer.close)
                writer.write(head.encode() + line + data[:100])
                await writer.drain()
            budget = server.app.state.services.budget
            async with asyncio.timeout(20):
                while budget.used_bytes < 30 * 100:
                    await asyncio.sleep(0.01)
            assert budget.used_bytes < 4 << 20
            await client.upload("/honest", content(10 * CHUNK))
