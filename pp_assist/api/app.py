"""The application: routes behind the guard."""

from fastapi import FastAPI
from starlette.types import ASGIApp

from pp_assist.api import (
    problems,
    routes_activity,
    routes_deletions,
    routes_excludes,
    routes_explain,
    routes_fetch,
    routes_folders,
    routes_metrics,
    routes_pace,
    routes_page,
    routes_paths,
    routes_queue,
    routes_servers,
    routes_session,
    routes_status,
    routes_steering,
    routes_verify,
)
from pp_assist.api.callers import Doors
from pp_assist.api.guard import Guard, IsOurs
from pp_assist.api.services import Services

MODULES = (
    routes_status,
    routes_paths,
    routes_folders,
    routes_fetch,
    routes_servers,
    routes_deletions,
    routes_queue,
    routes_explain,
    routes_pace,
    routes_excludes,
    routes_metrics,
    routes_activity,
    routes_steering,
    routes_verify,
    routes_session,
    routes_page,
)


def create_app(services: Services, doors: Doors, is_ours: IsOurs) -> ASGIApp:
    """Return the local API."""
    app = FastAPI(title="PutPlace Assist", version=services.version, docs_url=None, redoc_url=None, openapi_url=None)
    problems.install(app)
    for module in MODULES:
        app.include_router(module.router(services))
    return Guard(app, doors, is_ours)
