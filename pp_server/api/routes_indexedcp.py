"""IndexedCP over HTTP: its own words, also for what is refused."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from pp_server.api import deps
from pp_server.core.errors import ServerError
from pp_server.indexedcp import http
from pp_server.indexedcp.names import NameRefused

router = APIRouter(prefix="/upload")


@router.post("")
async def upload(request: Request) -> Response:
    """Take one chunk of a file."""
    services = deps.services(request)
    try:
        caller = await deps.uploader(request)
        await services.uploads.check_room(deps.content_length(request) or 0)
        owner, receiver = await services.indexedcp.receiver(caller)
        return await http.upload(request, owner, receiver, services.indexedcp.executor, services.budget)
    except (NameRefused, ServerError) as error:
        return http.refusal(error)


@router.get("/status")
async def status(request: Request) -> Response:
    """Say which chunks of a file are here."""
    services = deps.services(request)
    try:
        owner, receiver = await services.indexedcp.receiver(await deps.uploader(request))
        return await http.status(request, owner, receiver, services.indexedcp.executor)
    except (NameRefused, ServerError) as error:
        return http.refusal(error)
