"""Fixtures around the real server on a temporary directory."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from serving import Client, Clock, Server

from pp_server.app import create_app
from pp_server.durable import Durable
from pp_server.settings import LimitSettings, Settings, StorageSettings, UploadSettings

Running = Callable[..., Any]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def running(tmp_path: Path, clock: Clock) -> Running:
    """A function that starts the server on this test's data directory, any number of times in turn."""

    @asynccontextmanager
    async def run(
        durable: Durable | None = None,
        limits: dict[str, Any] | None = None,
        storage: dict[str, Any] | None = None,
        **uploads: Any,
    ) -> AsyncIterator[Server]:
        settings = Settings(
            data_dir=tmp_path / "data",
            uploads=UploadSettings(**uploads),
            limits=LimitSettings(**(limits or {})),
            storage=StorageSettings(**(storage or {})),
        )
        app = create_app(settings, durable, clock)
        async with app.router.lifespan_context(app):
            server = Server(app, tmp_path / "data", clock)
            try:
                yield server
            finally:
                for client in server.clients:
                    await client.aclose()

    return run


@pytest.fixture
async def server(running: Running) -> AsyncIterator[Server]:
    async with running() as started:
        yield started


@pytest.fixture
async def server_of_files(running: Running) -> AsyncIterator[Server]:
    """One that keeps even the smallest content in a file of its own."""
    async with running(storage={"pack_up_to_kb": 0}) as started:
        yield started


@pytest.fixture
async def client(server: Server) -> Client:
    """A client of the owner bob."""
    return await server.client()
