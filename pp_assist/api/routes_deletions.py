"""Deletions that wait for a person: so many files are missing at once that it may be a mistake."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from pp_assist.api.problems import Refusal
from pp_assist.api.schemas import Approve, RowId
from pp_assist.api.services import Services
from pp_assist.store.held import CountChanged, HeldSet
from pp_assist.store.held_tree import HeldFile
from pp_server.wire.names import display, json_fields, query_bytes
from pp_server.wire.times import iso


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()

    @routes.get("/deletions")
    async def deletions() -> dict[str, Any]:
        held = [_held(each) for each in await services.held.all()]
        return {"held": held, "total": len(held)}

    @routes.get("/deletions/{held_id}/tree")
    async def tree(
        request: Request, held_id: RowId, limit: Annotated[int, Query(ge=1, le=1000)] = 200
    ) -> dict[str, Any]:
        path = (query_bytes(request.scope["query_string"], "path") or b"").strip(b"/")
        found = await services.held.tree(held_id, path, limit)
        if found is None:
            raise Refusal(404, "not_found", "nothing is held under this id")
        above = path + b"/" if path else b""
        return {
            **json_fields(path, "path"),
            "count": found.count,
            "folders": [
                {**json_fields(each.name, "name"), **json_fields(above + each.name, "path"), "count": each.count}
                for each in found.folders
            ],
            "files": [_held_file(each, above) for each in found.files],
            "truncated": not found.is_whole,
        }

    @routes.post("/deletions/{held_id}/approve")
    async def approve(held_id: RowId, body: Approve) -> dict[str, Any]:
        try:
            count = await services.held.approve(held_id, body.count, services.clock.now_ms())
        except CountChanged as error:
            raise Refusal(409, "count_changed", f"{error.count} files are missing now, not {body.count}") from error
        if count is None:
            raise Refusal(404, "not_found", "nothing is held under this id")
        return {"status": "approved", "count": count}

    @routes.post("/deletions/{held_id}/reject")
    async def reject(held_id: RowId) -> dict[str, Any]:
        count = await services.held.reject(held_id)
        if count is None:
            raise Refusal(404, "not_found", "nothing is held under this id")
        return {"status": "rejected", "count": count}

    return routes


def _held_file(each: HeldFile, above: bytes) -> dict[str, Any]:
    return {
        **json_fields(each.name, "name"),
        **json_fields(above + each.name, "path"),
        "size_bytes": each.size_bytes,
        "mtime": None if each.mtime_ns is None else iso(each.mtime_ns // 1_000_000),
    }


def _held(each: HeldSet) -> dict[str, Any]:
    return {
        "id": each.id,
        "path_id": each.root_id,
        **json_fields(each.shown, "path"),
        "reason": each.reason,
        "count": each.count,
        "known": each.known,
        "sample": [display(path) for path in each.sample],
        "created_at": iso(each.created_at_ms),
    }
