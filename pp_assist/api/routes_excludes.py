"""What is left out in every watched folder, and what one more pattern would leave out."""

from typing import Any

from fastapi import APIRouter

from pp_assist.api.problems import Refusal
from pp_assist.api.schemas import AddExclude, PreviewExclude, RowId
from pp_assist.api.services import Services
from pp_assist.store.excludes import DuplicatePattern, Exclude
from pp_server.wire.names import display
from pp_server.wire.times import iso


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()

    @routes.get("/excludes")
    async def excludes() -> dict[str, Any]:
        patterns = [_exclude(each) for each in await services.excludes.all()]
        return {"patterns": patterns, "total": len(patterns)}

    @routes.post("/excludes")
    async def add(body: AddExclude) -> dict[str, Any]:
        try:
            added = await services.excludes.add(body.pattern, services.clock.now_ms())
        except DuplicatePattern as error:
            raise Refusal(409, "exclude_exists", "this pattern is there already") from error
        await services.excludes_changed()
        return _exclude(added)

    @routes.delete("/excludes/{exclude_id}")
    async def remove(exclude_id: RowId) -> dict[str, Any]:
        if not await services.excludes.remove(exclude_id):
            raise Refusal(404, "not_found", "no such pattern")
        await services.excludes_changed()
        return {"status": "deleted"}

    @routes.post("/excludes/preview")
    async def preview(body: PreviewExclude) -> dict[str, Any]:
        if body.path_id is not None and await services.roots.get(body.path_id) is None:
            raise Refusal(404, "not_found", "no such path")
        hidden = await services.hidden_by(body.pattern, body.path_id)
        return {
            "pattern": body.pattern,
            "files": hidden.files,
            "size_bytes": hidden.size_bytes,
            "sample": [display(path) for path in hidden.sample],
        }

    return routes


def _exclude(each: Exclude) -> dict[str, Any]:
    return {"id": each.id, "pattern": each.pattern, "created_at": iso(each.created_at_ms)}
