"""Whether the server is well, and what it can do."""

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from pp_server.api import deps
from pp_server.wire.batch import (
    MAX_BATCH_BYTES,
    MAX_HASHES,
    MAX_HEAD_BYTES,
    MAX_INLINE_BYTES,
    MAX_OPERATIONS,
    MAX_VERIFIED,
)
from pp_server.wire.chunks import MAX_CHUNK_BYTES, MAX_CHUNKS, MIN_CHUNK_BYTES
from pp_server.wire.messages import MAX_DELETIONS, MAX_LISTED, VersionAnswer
from pp_server.wire.trees import MAX_MOVE_TREE
from pp_server.wire.version import FEATURES, PROTOCOL, distribution_version

router = APIRouter()

LIMITS = {
    "min_chunk_size": MIN_CHUNK_BYTES,
    "max_chunk_size": MAX_CHUNK_BYTES,
    "max_chunks": MAX_CHUNKS,
    "max_deletions": MAX_DELETIONS,
    "max_operations": MAX_OPERATIONS,
    "max_inline_size": MAX_INLINE_BYTES,
    "max_batch_size": MAX_BATCH_BYTES,
    "max_batch_head": MAX_HEAD_BYTES,
    "max_hashes": MAX_HASHES,
    "max_verified": MAX_VERIFIED,
    "max_listed": MAX_LISTED,
    "max_move_tree": MAX_MOVE_TREE,
}


@router.get("/health")
async def health(request: Request) -> Response:
    """Say how the server is; needs no key."""
    services = deps.services(request)
    connected = await services.is_connected()
    return JSONResponse(
        {
            "status": "ok" if connected and services.is_healthy() else "degraded",
            "database": {"status": "connected" if connected else "disconnected"},
        }
    )


@router.get("/api/version")
async def version(request: Request) -> Response:
    """Say who this server is and what it understands; needs no key."""
    return deps.json_answer(
        VersionAnswer(
            version=distribution_version(),
            protocol=PROTOCOL,
            server_id=deps.services(request).server_id,
            features=list(FEATURES),
            limits=LIMITS,
        )
    )
