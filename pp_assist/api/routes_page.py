"""The page itself, for everybody on this machine, and the description of everything else, for whoever was let in."""

import asyncio

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from pp_assist.api import page
from pp_assist.api.callers import As
from pp_assist.api.description import describe
from pp_assist.api.problems import Refusal
from pp_assist.api.services import Services


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()

    @routes.get("/")
    async def who(request: Request) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/ui", 303, page.NOT_KEPT)
        named = {} if request.state.caller is As.NOBODY else {"version": services.version}
        return JSONResponse({"name": "pp_assist", **named})

    @routes.get("/ui")
    async def start() -> Response:
        return await _file(page.START)

    @routes.get("/ui/{name:path}")
    async def part(name: str) -> Response:
        return await _file(name or page.START)

    @routes.get("/openapi.json")
    async def description(request: Request) -> JSONResponse:
        return JSONResponse(await asyncio.to_thread(describe, request.app))

    return routes


async def _file(name: str) -> Response:
    content = await asyncio.to_thread(page.read, name)
    if content is None:
        what = "this installation has no page" if name == page.START else "the page has no such file"
        raise Refusal(404, "not_found", what)
    return Response(content, headers=page.headers_of(name))
