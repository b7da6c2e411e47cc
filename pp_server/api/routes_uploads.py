"""Uploads over HTTP."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from pp_server.api import deps, encoded
from pp_server.uploads.receive import ChunkBody
from pp_server.wire.messages import CompleteRequest, InitiateRequest

router = APIRouter(prefix="/api/uploads")


@router.post("/initiate", status_code=201)
async def initiate(request: Request, caller: deps.Uploader) -> Response:
    """Begin an upload, or go on with it."""
    wanted = await deps.parse(request, InitiateRequest)
    return deps.json_answer(await deps.services(request).uploads.initiate(caller, wanted), 201)


@router.put("/{upload_id}/chunk/{number}")
async def put_chunk(request: Request, upload_id: str, number: int, caller: deps.Uploader) -> Response:
    """Take one chunk."""
    services = deps.services(request)
    uploads = services.uploads
    length = None if encoded.encoding_of(request) else deps.content_length(request)
    async with services.budget.reserve(0) as held:
        pieces = encoded.plain(encoded.frames(request, deps.body_pieces(request), uploads.aside, held))
        body = ChunkBody(pieces, length, deps.content_digest(request))
        return deps.json_answer(await uploads.put_chunk(caller, upload_id, number, body))


@router.get("/{upload_id}")
async def status(request: Request, upload_id: str, caller: deps.Uploader, chunks: bool = False) -> Response:
    """Say where an upload stands."""
    return deps.json_answer(await deps.services(request).uploads.status(caller, upload_id, chunks))


@router.post("/{upload_id}/complete")
async def complete(request: Request, upload_id: str, caller: deps.Uploader) -> Response:
    """Store what arrived."""
    wanted = await deps.parse_optional(request, CompleteRequest, deps.LONG_JSON_BYTES)
    return deps.json_answer(await deps.services(request).uploads.complete(caller, upload_id, wanted))


@router.delete("/{upload_id}")
async def abort(request: Request, upload_id: str, caller: deps.Uploader) -> Response:
    """Give an upload up."""
    return deps.json_answer(await deps.services(request).uploads.abort(caller, upload_id))
