"""Stored files and hosts over HTTP."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from pp_server.api import deps
from pp_server.core.cursor import from_cursor, to_cursor
from pp_server.core.errors import FileNotFound, MalformedDigest, StaleGeneration
from pp_server.core.model import (
    DeletionOrder,
    DeletionOutcome,
    DeletionStatus,
    FileVersion,
    ListingQuery,
)
from pp_server.core.ranges import parse_range
from pp_server.wire.batch import HeldAnswer, HeldRequest, VerifyAnswer, VerifyRequest
from pp_server.wire.digest import Digest, parse_digest
from pp_server.wire.messages import (
    MAX_INT,
    MAX_LISTED,
    DeleteRequest,
    Deletion,
    DeletionResult,
    DeletionsAnswer,
    DeletionsRequest,
    FileListing,
    HostAnswer,
    ListedFile,
)
from pp_server.wire.names import from_json, json_fields, query_bytes, to_json
from pp_server.wire.times import iso, iso_or_none

router = APIRouter(prefix="/api")


@router.get("/files")
async def list_files(
    request: Request,
    caller: deps.Reader,
    hostname: str | None = None,
    host_id: str | None = None,
    kind: Literal["file", "dir", "symlink", "any"] = "file",
    limit: Annotated[int, Query(ge=1, le=MAX_LISTED)] = 100,
    offset: Annotated[int, Query(ge=0, le=MAX_INT)] = 0,
    after: str | None = None,
) -> Response:
    """List live paths: files, unless another kind is asked for."""
    query = ListingQuery(
        caller.owner_id,
        hostname,
        host_id,
        query_bytes(request.scope["query_string"], "path_prefix") or None,
        None if kind == "any" else kind,
        limit,
        offset,
        from_cursor(after) if after else None,
    )
    page = await deps.services(request).files.list(query)
    return deps.json_answer(
        FileListing(
            files=[_listed(version) for version in page.versions],
            total=page.total,
            limit=limit,
            offset=offset,
            next=None if page.following is None else to_cursor(page.following),
        )
    )


def _listed(version: FileVersion) -> ListedFile:
    plain, encoded = to_json(version.path)
    return ListedFile.model_validate(
        {
            "filepath": plain,
            "filepath_b64": encoded,
            "hostname": version.hostname,
            "host_id": version.host_id,
            "kind": version.kind,
            "sha256": version.sha256,
            "file_size": version.size_bytes,
            "gen": version.gen,
            "mtime": iso_or_none(None if version.mtime_ns is None else version.mtime_ns // 1_000_000),
            "mtime_ns": version.mtime_ns,
            "mode": version.mode,
            **({} if version.link_target is None else json_fields(version.link_target, "link_target")),
            "inconsistent": version.inconsistent,
            "stored_at": iso(version.stored_ms),
        }
    )


@router.get("/files/{sha256}/content")
async def content(request: Request, sha256: str, caller: deps.Reader) -> Response:
    """Stream the content, or one range of it."""
    try:
        digest = parse_digest(sha256)
    except ValueError:
        raise FileNotFound("File not found on server") from None
    files = deps.services(request).files
    stored = await files.open(caller, digest)
    try:
        if_range = request.headers.get("if-range")
        wanted = request.headers.get("range") if if_range in (None, f'"{digest}"') else None
        span = parse_range(wanted, stored.blob.size_bytes)
    except BaseException:
        await stored.reader.close()
        raise
    headers = {
        "ETag": f'"{digest}"',
        "Accept-Ranges": "bytes",
        "Content-Disposition": "attachment",
        "Content-Length": str(stored.blob.size_bytes if span is None else span.last - span.first + 1),
    }
    if span is not None:
        headers["Content-Range"] = f"bytes {span.first}-{span.last}/{stored.blob.size_bytes}"
    return StreamingResponse(
        files.read(stored, span), 200 if span is None else 206, headers, media_type="application/octet-stream"
    )


@router.delete("/files/{sha256}")
async def delete(request: Request, sha256: str, caller: deps.Deleter) -> Response:
    """Record that a file is gone from its host; its content stays."""
    try:
        digest = parse_digest(sha256)
    except ValueError:
        raise MalformedDigest("The sha256 must be 64 lower-case hexadecimal digits") from None
    wanted = await deps.parse_optional(request, DeleteRequest)
    [outcome] = await deps.services(request).files.delete(caller, [_single_order(digest, wanted)])
    if outcome.status is DeletionStatus.STALE:
        raise StaleGeneration(outcome.gen or 0)
    if outcome.status is DeletionStatus.NOT_FOUND or outcome.path is None:
        raise FileNotFound("File not found on server")
    return JSONResponse(
        {
            "sha256": digest,
            **json_fields(outcome.path),
            "hostname": outcome.hostname,
            "host_id": outcome.host_id,
            "status": "deleted",
            "deleted_at": iso_or_none(outcome.deleted_ms),
            "gen": outcome.gen,
        }
    )


def _single_order(digest: Digest, wanted: DeleteRequest) -> DeletionOrder:
    if wanted.filepath is None and wanted.filepath_b64 is None:
        return DeletionOrder(digest, None, None, wanted.gen)
    try:
        path = from_json(wanted.filepath or "", wanted.filepath_b64)
    except ValueError as error:
        raise FileNotFound("File not found on server") from error
    return DeletionOrder(digest, path, wanted.host_id if wanted.host_id is not None else wanted.hostname, wanted.gen)


@router.post("/files/deletions")
async def deletions(request: Request, caller: deps.Deleter) -> Response:
    """Record that files are gone from their hosts."""
    wanted = await deps.parse(request, DeletionsRequest, deps.LONG_JSON_BYTES)
    orders = [DeletionOrder(Digest(each.sha256), each.path, each.host, each.gen) for each in wanted.files]
    outcomes = await deps.services(request).files.delete(caller, orders)
    results = [_result(each, outcome) for each, outcome in zip(wanted.files, outcomes, strict=True)]
    return deps.json_answer(
        DeletionsAnswer(
            results=results,
            deleted=sum(result.status == "deleted" for result in results),
            not_found=sum(result.status == "not_found" for result in results),
        )
    )


def _result(asked: Deletion, outcome: DeletionOutcome) -> DeletionResult:
    plain, encoded = to_json(asked.path)
    return DeletionResult(
        filepath=plain,
        filepath_b64=encoded,
        hostname=asked.hostname,
        host_id=asked.host,
        sha256=asked.sha256,
        status=outcome.status.value,
        deleted_at=iso_or_none(outcome.deleted_ms),
        gen=outcome.gen,
    )


@router.post("/files/held")
async def held(request: Request, caller: deps.Uploader) -> Response:
    """Say which contents need not be sent."""
    wanted = await deps.parse(request, HeldRequest, deps.HASHES_JSON_BYTES)
    found = await deps.services(request).files.held(caller, [Digest(each) for each in wanted.sha256])
    return deps.json_answer(HeldAnswer(held=list(found)))


@router.post("/files/verify")
async def verify(request: Request, caller: deps.Reader) -> Response:
    """Read and hash content again, now."""
    wanted = await deps.parse(request, VerifyRequest)
    nonce = bytes.fromhex(wanted.nonce) if wanted.nonce is not None else None
    checked = await deps.services(request).verifier.verify(caller, [Digest(each) for each in wanted.sha256], nonce)
    return deps.json_answer(VerifyAnswer(results=checked))


@router.get("/hosts/{host_id}")
async def host(
    request: Request, host_id: str, caller: deps.AnyCaller, run: Annotated[str | None, Query(max_length=64)] = None
) -> Response:
    """Say where a host's generations stand, and whether two daemons think that it is theirs."""
    files = deps.services(request).files
    shared = run is not None and files.is_shared(caller, host_id, run)
    found = await files.host(caller, host_id)
    facts = {"host_id": found.host_id, "hostname": found.hostname, "highest_gen": found.highest_gen}
    return deps.json_answer(HostAnswer(**facts, shared=shared))
