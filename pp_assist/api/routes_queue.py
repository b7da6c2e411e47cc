"""What is in line, and what a person does with single files of it."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from pp_assist.api.bodies import absolute_path
from pp_assist.api.paths import covering
from pp_assist.api.problems import Refusal
from pp_assist.api.schemas import LineState, SteerQueue
from pp_assist.api.services import Services
from pp_assist.core.aside import Steer
from pp_assist.core.events import Event
from pp_assist.core.model import Stage
from pp_assist.core.rest import why_waiting
from pp_assist.store.queue_page import Item
from pp_assist.store.queue_steering import Which
from pp_server.wire.names import display, json_fields
from pp_server.wire.times import iso, iso_or_none

IN_ORDER = (Stage.UPLOAD, Stage.CHECKSUM, Stage.DELETION, Stage.VANISHED)
"""Nearest to its end first."""


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()

    @routes.get("/queue")
    async def queue(
        stage: Stage | None = None,
        state: LineState | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        offset: Annotated[int, Query(ge=0, le=2**53)] = 0,
        active: bool = False,
    ) -> JSONResponse:
        if active and (stage is not None or state is not None):
            raise Refusal(422, "invalid_request", "active: alone, without stage and state")
        if active:
            items, total = await services.line.active(limit, offset)
        else:
            stages = IN_ORDER if stage is None else (stage,)
            items, total = await services.line.page(stages, state, limit, offset)

        def answer() -> JSONResponse:
            shown = [_item(item, services) for item in items]
            return JSONResponse({"items": shown, "total": total, "limit": limit, "offset": offset})

        return await asyncio.to_thread(answer)

    @routes.post("/queue/{action}")
    async def steer(action: Steer, body: SteerQueue) -> dict[str, Any]:
        which, named = await _which(body, services)
        matched = await services.line.steer(action, which)
        services.bus.tell(Event.STEERED, message=f"queue {action}: {named}", count=matched)
        return {"matched": matched}

    return routes


async def _which(body: SteerQueue, services: Services) -> tuple[Which, str]:
    if body.ids is not None:
        return Which(ids=tuple(body.ids)), f"{len(body.ids)} files"
    if body.glob is not None:
        return Which(glob=body.glob), body.glob
    path = absolute_path(body.path or "", body.path_b64)
    roots, relative = covering(await services.roots.all(), path)
    if not roots:
        raise Refusal(404, "not_found", "this path is in no watched folder")
    return Which(below=(tuple(roots), relative)), display(path)


def _item(item: Item, services: Services) -> dict[str, Any]:
    progress = services.line.progress(item.id)
    return {
        "id": item.id,
        "stage": item.stage,
        **json_fields(item.filepath),
        "kind": item.kind,
        "lane": item.lane,
        "state": item.state,
        "active": services.line.is_at_work(item.id),
        "reason": why_waiting(item.reason, item.queued_at_ms, services.clock.now_ms(), services.busy_after_ms),
        "last_error": item.last_error,
        "attempts": item.attempts,
        "queued_at": iso(item.queued_at_ms),
        "eligible_at": iso_or_none(item.eligible_at_ms or None),  # 0: bumped
        "bytes_total": item.size_bytes,
        "bytes_sent": 0 if progress is None else progress.bytes_sent,
        "chunks_done": None if progress is None else progress.chunks_done,
        "chunks_total": None if progress is None else progress.chunks_total,
    }
