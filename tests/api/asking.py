"""A client of the local API of a daemon in this process."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp, Scope

from pp_assist.api.app import create_app
from pp_assist.api.guard import IsOurs
from pp_assist.daemon import Daemon, build
from pp_assist.serving import doors_of, services_of
from pp_assist.settings import Settings
from pp_assist.state import open_state
from pp_assist.supervisor import Supervisor
from pp_assist.uploader.way import Host

PORT = 8765


class Api:
    """A daemon that runs, and its API."""

    def __init__(self, app_on: Callable[..., ASGIApp], daemon: Daemon, token: str, folder: Path) -> None:
        self.app_on = app_on
        self.daemon = daemon
        self.token = token
        self.folder = folder
        self._app = app_on(lambda: PORT)
        self.http = self.client({"Authorization": f"Bearer {token}"})

    def client(
        self, headers: dict[str, str] | None = None, base: str = f"http://127.0.0.1:{PORT}"
    ) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)  # type: ignore[arg-type]
        return httpx.AsyncClient(transport=transport, base_url=base, headers=headers)


async def _everybody_is(_: Scope) -> bool:
    return True


@contextlib.asynccontextmanager
async def running_api(where: Path, api: dict[str, Any] | None = None, **scanner: Any) -> AsyncIterator[Api]:
    """A daemon with its own state directory and an empty folder for files."""
    folder = where / "files"
    folder.mkdir()
    settings = Settings(state_dir=str(where / "state"), scanner=scanner, api=api or {})
    with contextlib.closing(open_state(settings.state_dir)) as state:
        host = Host(state.host_id, "laptop")
        async with build(settings, state.database, host, (os.fsencode(state.path),)) as daemon:
            stages = Supervisor([*daemon.stages, daemon.surroundings, daemon.fetches, daemon.journal])
            services = services_of(daemon, state, os.path.join(state.path, "pp_assist.toml"), stages)

            def app_on(port: Callable[[], int], is_ours: IsOurs = _everybody_is) -> ASGIApp:
                return create_app(services, doors_of(services, state, settings.api, port), is_ours)

            stop = asyncio.Event()
            running = asyncio.create_task(stages.run_until(stop))
            try:
                yield Api(app_on, daemon, state.token, folder)
            finally:
                stop.set()
                await running
