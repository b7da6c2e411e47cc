"""The application on its data directory, in one process or in a test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from pp_server.api import application
from pp_server.durable import Durable
from pp_server.opened import Clock, opened, wall_clock_ms
from pp_server.settings import Settings


def create_app(settings: Settings, durable: Durable | None = None, clock: Clock = wall_clock_ms) -> FastAPI:
    """Return the application; its lifespan opens the data directory and closes it again.

    Inside the lifespan ``app.state.services`` are the use cases and ``app.state.admin`` the administration.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opened(settings, durable or Durable(), clock) as (services, admin):
            app.state.services, app.state.admin = services, admin
            yield

    return application.build(lifespan, settings.docs)
