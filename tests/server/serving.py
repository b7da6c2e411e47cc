"""The real server application in process, and clients that speak to it."""

import asyncio
import contextlib
import hashlib
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from pp_server.bounds.connections import ConnectionLimits
from pp_server.bounds.http import bounded
from pp_server.core.model import DEFAULT_SCOPES, Scope

CHUNK = 1024


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def content(size: int, seed: int = 0) -> bytes:
    """Bytes that differ from chunk to chunk."""
    return hashlib.shake_128(b"%d" % seed).digest(size)


@dataclass
class Clock:
    """Milliseconds that pass when a test says so."""

    now: int = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += int(seconds * 1000)


@dataclass
class Client:
    """One owner's client."""

    http: httpx.AsyncClient
    api_key: str
    host: str = "laptop"

    async def initiate(self, path: str = "/docs/a.txt", data: bytes = b"", **more: Any) -> httpx.Response:
        body = {
            "filepath": path,
            "hostname": self.host,
            "sha256": sha(data),
            "file_size": len(data),
            "chunk_size": CHUNK,
        } | more
        return await self.http.post("/api/uploads/initiate", json={k: v for k, v in body.items() if v is not ...})

    async def put(self, upload_id: str, number: int, data: bytes, **headers: str) -> httpx.Response:
        return await self.http.put(f"/api/uploads/{upload_id}/chunk/{number}", content=data, headers=headers)

    async def complete(self, upload_id: str, **body: Any) -> httpx.Response:
        return await self.http.post(f"/api/uploads/{upload_id}/complete", json=body)

    async def begin(self, path: str, data: bytes, **more: Any) -> str:
        answer = await self.initiate(path, data, **more)
        assert answer.status_code == 201, answer.text
        return answer.json()["upload_id"]

    async def send(self, upload_id: str, data: bytes) -> None:
        for n in range(-(-len(data) // CHUNK)):
            answer = await self.put(upload_id, n, data[n * CHUNK : (n + 1) * CHUNK])
            assert answer.status_code == 200, answer.text

    async def upload(self, path: str, data: bytes, **more: Any) -> dict[str, Any]:
        """The whole way; returns the receipt."""
        upload_id = await self.begin(path, data, **more)
        await self.send(upload_id, data)
        answer = await self.complete(upload_id)
        assert answer.status_code == 200, answer.text
        return answer.json()["receipt"]

    async def batch(self, *operations: dict[str, Any], **head: Any) -> httpx.Response:
        """Send operations; `data` of each is its content."""
        asked = [{name: value for name, value in each.items() if name != "data"} for each in operations]
        line = json.dumps({"hostname": self.host, "operations": asked} | head).encode()
        contents = b"".join(each.get("data", b"") for each in operations if each.get("content") == "inline")
        return await self.http.post("/api/batch", content=line + b"\n" + contents)

    async def listed(self, **params: Any) -> list[str]:
        answer = await self.http.get("/api/files", params=params)
        assert answer.status_code == 200, answer.text
        return [file["filepath"] for file in answer.json()["files"]]

    async def download(self, digest: str, **headers: str) -> httpx.Response:
        return await self.http.get(f"/api/files/{digest}/content", headers=headers)


def client_put(path: str, data: bytes, gen: int | None = None, **more: Any) -> dict[str, Any]:
    """A `put` operation with its content, which `Client.batch` takes out again."""
    put = {"op": "put", "filepath": path, "gen": gen, "sha256": sha(data), "file_size": len(data), "content": "inline"}
    return put | {"data": data} | more


@dataclass
class Server:
    """A running application and its parts."""

    app: FastAPI
    data_dir: Path
    clock: Clock
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    def http(self, headers: dict[str, str] | None = None) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=transport, base_url="http://server", headers=headers)
        self.clients.append(client)
        return client

    async def client(
        self, owner: str = "bob", scopes: tuple[Scope, ...] = DEFAULT_SCOPES, host: str | None = None
    ) -> Client:
        _, api_key = await self.app.state.services.keys.create(owner, None, scopes, host)
        return Client(self.http({"Authorization": f"Bearer {api_key}"}), api_key)

    async def stats(self) -> dict[str, int]:
        return await self.app.state.admin.run("stats", {})

    def blob(self, digest: str) -> Path:
        """Where content lies that has a file of its own."""
        return self.data_dir / "blobs" / digest[:2] / digest[2:4] / digest

    async def place(self, digest: str) -> tuple[Path, int]:
        """The file in which content lies, and where its bytes begin there."""
        [extent] = (await self.app.state.services.files._metadata.find_blobs([digest]))[digest].location
        if extent.container == "file":
            return self.blob(digest), 0
        return self.data_dir / "packs" / f"{extent.name}.pack", extent.offset

    async def holds(self, digest: str) -> bool:
        """Is it recorded as good?"""
        return digest in await self.app.state.services.files._metadata.find_blobs([digest])

    async def damage(self, digest: str, at: int = 0) -> None:
        """Flip a bit of stored content."""
        path, start = await self.place(digest)
        path.chmod(0o600)
        with path.open("r+b") as file:
            file.seek(start + at)
            byte = file.read(1)
            file.seek(start + at)
            file.write(bytes([byte[0] ^ 1]))

    def staged(self) -> list[Path]:
        return sorted((self.data_dir / "staging").iterdir())


@contextlib.asynccontextmanager
async def listening(server: Server, limits: ConnectionLimits | None = None) -> AsyncIterator[tuple[str, int]]:
    """Serve on a real port, as `pp_server run` does."""
    listener = socket.create_server(("127.0.0.1", 0))
    protocol = bounded(limits or ConnectionLimits())
    http = uvicorn.Server(uvicorn.Config(server.app, http=protocol, ws="none", lifespan="off", log_config=None))  # type: ignore[arg-type]
    http.capture_signals = contextlib.nullcontext  # type: ignore[assignment, method-assign]
    running = asyncio.create_task(http.serve(sockets=[listener]))
    try:
        yield listener.getsockname()
    finally:
        http.should_exit = True
        await running
