"""A client of the local API of a daemon in this process."""

from pathlib import Path

import httpx

from pp_assist.daemon import Daemon

PORT = 8765


class Api:
    """A daemon that runs, and its API."""

    def __init__(self, app: object, daemon: Daemon, token: str, folder: Path) -> None:
        self.daemon = daemon
        self.token = token
        self.folder = folder
        self._app = app
        self.http = self.client({"Authorization": f"Bearer {token}"})

    def client(
        self, headers: dict[str, str] | None = None, base: str = f"http://127.0.0.1:{PORT}"
    ) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)  # type: ignore[arg-type]
        return httpx.AsyncClient(transport=transport, base_url=base, headers=headers)
