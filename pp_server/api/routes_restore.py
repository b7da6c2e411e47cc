"""Getting much back at once, over HTTP: streams that say where they end."""

from fastapi import APIRouter, Request
from pydantic import AwareDatetime
from starlette.responses import Response, StreamingResponse

from pp_server.api import deps
from pp_server.core.errors import InvalidRequest
from pp_server.core.model import ListingQuery, Shown
from pp_server.wire.digest import Digest
from pp_server.wire.names import query_bytes
from pp_server.wire.restore import CONTENTS_TYPE, TREE_TYPE, ContentsRequest

router = APIRouter(prefix="/api")


@router.get("/tree")
async def tree(
    request: Request,
    caller: deps.Reader,
    hostname: str | None = None,
    host_id: str | None = None,
    show: Shown = Shown.LIVE,
    at: AwareDatetime | None = None,
) -> Response:
    """Stream every path, whatever its kind, with all that is needed to make it again: as it is, or was."""
    if at is not None and show is not Shown.LIVE:
        raise InvalidRequest("at goes with what is live only", [("at", "goes with what is live only")])
    prefix = query_bytes(request.scope["query_string"], "path_prefix") or None
    at_ms = None if at is None else int(at.timestamp() * 1000)
    query = ListingQuery(caller.owner_id, hostname, host_id, prefix, kind=None, shown=show, at_ms=at_ms)
    return StreamingResponse(deps.services(request).restore.tree(query), media_type=TREE_TYPE)


@router.post("/contents")
async def contents(request: Request, caller: deps.Reader) -> Response:
    """Stream many small contents, in the order in which they lie."""
    wanted = await deps.parse(request, ContentsRequest, deps.HASHES_JSON_BYTES)
    digests = [Digest(each) for each in wanted.sha256]
    return StreamingResponse(deps.services(request).restore.contents(caller, digests), media_type=CONTENTS_TYPE)
