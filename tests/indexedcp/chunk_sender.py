"""A server that stands alone, in process, and who speaks to it."""

from collections.abc import Callable
from typing import Any

import httpx

from pp_server.indexedcp import IndexedCPServer

KEY = "secret-key"


class Asking:
    """A server and a client for it."""

    def __init__(self, server: IndexedCPServer, key: str = KEY) -> None:
        self.server = server
        self.folder = server.upload_dir
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(server.create_app(), raise_app_exceptions=False),
            base_url="http://server",
            headers={"Authorization": f"Bearer {key}"},
        )

    async def send(self, name: str | bytes, index: int | None, data: bytes, **more: Any) -> httpx.Response:
        headers: list[tuple[bytes, bytes]] = [(b"X-File-Name", name if isinstance(name, bytes) else name.encode())]
        if index is not None:
            headers.append((b"X-Chunk-Index", b"%d" % index))
        headers += [(k.replace("_", "-").encode(), str(v).encode()) for k, v in more.items()]
        return await self.http.post("/upload", content=data, headers=headers)

    async def sent(self, name: str, index: int, data: bytes, **more: Any) -> str:
        """Send what must be taken; return the file's name."""
        answer = await self.send(name, index, data, **more)
        assert answer.status_code == 200, answer.text
        assert answer.json()["chunkIndex"] == index and answer.json()["message"] == "Chunk received"
        return str(answer.json()["actualFilename"])

    async def received(self, name: str, **headers: str) -> list[int]:
        answer = await self.http.get("/upload/status", params={"filename": name}, headers=headers)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["receivedChunks"])

    def files(self) -> dict[str, bytes]:
        """What lies in the folder, without what is the server's own."""
        found = sorted(path for path in self.folder.rglob("*") if path.is_file() and ".indexcp_" not in path.name)
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in found}


Serving = Callable[..., Asking]
