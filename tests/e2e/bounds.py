"""What the server is put through to see that its bounds hold. Numbers in, numbers out."""

import asyncio
import contextlib
import hashlib
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.harness import MIB, Server, clean_environment

FILE_BYTES = 8 * MIB
CHUNK_BYTES = 4 * MIB


@contextlib.contextmanager
def crowd(server: Server, idle: int, heads: int, bodies: int) -> Iterator[None]:
    """A crowd of clients that mean no good is there inside the block."""
    command = [sys.executable, "-m", "tests.e2e.crowd", *map(str, (server.port, idle, heads, bodies))]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clean_environment(), cwd=Path(__file__).parents[2]
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(server.key.encode() + b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"ready\n"
        yield
        assert process.poll() is None, "the crowd has gone"
    finally:
        process.kill()
        process.communicate()


def upload(connection: http.client.HTTPConnection, key: str, path: str, data: bytes) -> None:
    """Upload one file, the whole way; every answer must be a success."""

    def ask(method: str, url: str, body: bytes) -> dict[str, str]:
        connection.request(method, url, body, {"X-API-Key": key})
        with connection.getresponse() as response:
            text = response.read()
            assert response.status in (200, 201), f"{method} {url}: {response.status} {text[:300]!r}"
            answer: dict[str, str] = json.loads(text)
            return answer

    digest = hashlib.sha256(data).hexdigest()
    wanted = {"filepath": path, "sha256": digest, "file_size": len(data), "chunk_size": CHUNK_BYTES}
    upload_id = ask("POST", "/api/uploads/initiate", json.dumps(wanted).encode())["upload_id"]
    for number, start in enumerate(range(0, len(data), CHUNK_BYTES)):
        ask("PUT", f"/api/uploads/{upload_id}/chunk/{number}", data[start : start + CHUNK_BYTES])
    ask("POST", f"/api/uploads/{upload_id}/complete", b"")


def throughput(server: Server, name: str, seconds: float) -> float:
    """Return the MiB per second that one honest client gets, each file another one."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    block = hashlib.shake_128(name.encode()).digest(FILE_BYTES)
    began, count = time.monotonic(), 0
    with contextlib.closing(connection):
        while time.monotonic() - began < seconds or not count:
            upload(connection, server.key, f"/{name}/{count}", b"%016d" % count + block[16:])
            count += 1
    return count * FILE_BYTES / MIB / (time.monotonic() - began)


def rss_bytes(server: Server) -> int:
    """Return the server's resident memory now."""
    assert server.process is not None
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) * 1024


def parallel_bodies(server: Server, count: int, body_bytes: int) -> dict[int, int]:
    """Send *count* chunks of *body_bytes* at the same time; return how often each status was answered."""
    return asyncio.run(_parallel_bodies(server.port, server.key, count, body_bytes))


async def _parallel_bodies(port: int, key: str, count: int, body_bytes: int) -> dict[int, int]:
    data = memoryview(bytes(MIB))
    statuses: dict[int, int] = {}

    async def ask(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, url: str, length: int, body: bytes
    ) -> tuple[int, bytes]:
        lines = (f"{method} {url} HTTP/1.1", "Host: x", f"X-API-Key: {key}", f"Content-Length: {length}", "", "")
        writer.write("\r\n".join(lines).encode() + body)
        for start in range(len(body), length, MIB):
            writer.write(data[: min(MIB, length - start)])
            await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        size = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return int(head[9:12]), await reader.readexactly(size)

    async def send(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.closing(writer):
            wanted = {"filepath": f"/parallel/{number}", "file_size": body_bytes, "chunk_size": body_bytes}
            body = json.dumps(wanted).encode()
            _, answer = await ask(reader, writer, "POST", "/api/uploads/initiate", len(body), body)
            upload_id = json.loads(answer)["upload_id"]
            all_there.append(number)
            while len(all_there) < count:
                await asyncio.sleep(0.01)
            status, _ = await ask(reader, writer, "PUT", f"/api/uploads/{upload_id}/chunk/0", body_bytes, b"")
            statuses[status] = statuses.get(status, 0) + 1
            await ask(reader, writer, "DELETE", f"/api/uploads/{upload_id}", 0, b"")

    all_there: list[int] = []
    await asyncio.gather(*(send(number) for number in range(count)))
    return statuses


def measure(server: Server, seconds: float, idle: int, heads: int, bodies: int, parallel: int) -> dict[str, float]:
    """Return what one honest client gets, alone and in a crowd, and the memory that all of it takes."""
    throughput(server, "warm", 1)
    quiet = throughput(server, "quiet", seconds)
    before = rss_bytes(server)
    with crowd(server, idle, heads, bodies):
        loud = throughput(server, "loud", seconds)
        in_crowd = rss_bytes(server)
    quiet_again = throughput(server, "quiet again", seconds)
    statuses = parallel_bodies(server, parallel, 16 * MIB)
    server.note_rss()
    assert set(statuses) <= {200, 503}, statuses
    return {
        "idle": idle,
        "dripping_heads": heads,
        "dripping_bodies": bodies,
        "quiet_mib_per_s": round(quiet, 1),
        "loud_mib_per_s": round(loud, 1),
        "quiet_again_mib_per_s": round(quiet_again, 1),
        "ratio": round(loud / quiet, 2),
        "rss_before_mib": round(before / MIB),
        "rss_in_crowd_mib": round(in_crowd / MIB),
        "parallel_bodies_of_16_mib": parallel,
        "parallel_taken": statuses.get(200, 0),
        "parallel_refused": statuses.get(503, 0),
        "rss_peak_mib": round(server.peak_rss_bytes / MIB),
    }
