"""The second, tiny application: administration over ``admin.sock``, which only this user can open."""

import json

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pp_server.admin import Admin
from pp_server.core.errors import AdminError


def create_admin_app(admin: Admin) -> Starlette:
    """Return the application that runs one command per request."""

    async def run(request: Request) -> Response:
        try:
            return JSONResponse(await admin.run(request.path_params["command"], json.loads(await request.body())))
        except AdminError as error:
            return JSONResponse({"detail": str(error)}, 400)

    return Starlette(routes=[Route("/{command}", run, methods=["POST"])])
