"""The application: routes behind the guard."""

from collections.abc import Callable

from fastapi import FastAPI
from starlette.types import ASGIApp

from pp_assist.api import (
    problems,
    routes_deletions,
    routes_explain,
    routes_paths,
    routes_servers,
    routes_status,
    routes_steering,
)
from pp_assist.api.guard import Guard
from pp_assist.api.services import Services


def create_app(services: Services, token: str, port: Callable[[], int]) -> ASGIApp:
    """Return the local API. *port* tells where it listens: the Host header must name it."""
    app = FastAPI(title="PutPlace Assist", version=services.version, docs_url=None, redoc_url=None, openapi_url=None)
    problems.install(app)
    for module in (routes_status, routes_paths, routes_servers, routes_deletions, routes_explain, routes_steering):
        app.include_router(module.router(services))
    return Guard(app, token, port)
