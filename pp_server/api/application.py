"""The HTTP application, before anybody gives it services."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from fastapi import FastAPI

from pp_server.api import (
    problems,
    routes_batch,
    routes_files,
    routes_health,
    routes_indexedcp,
    routes_receipts,
    routes_restore,
    routes_uploads,
)
from pp_server.api.middleware import RequestFrame


def build(lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]], docs: bool) -> FastAPI:
    """Return the application; *lifespan* puts `Services` into ``app.state.services``."""
    app = FastAPI(
        title="PutPlace server",
        lifespan=lifespan,
        docs_url="/docs" if docs else None,
        redoc_url=None,
        openapi_url="/openapi.json" if docs else None,
        redirect_slashes=False,
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )
    problems.install(app)
    for module in (
        routes_uploads,
        routes_batch,
        routes_files,
        routes_restore,
        routes_receipts,
        routes_indexedcp,
        routes_health,
    ):
        app.include_router(module.router)
    app.add_middleware(RequestFrame)
    return app
