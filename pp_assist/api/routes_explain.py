"""Why a path is where it is: any path, known or not."""

from typing import Any

from fastapi import APIRouter, Request

from pp_assist.api.paths import root_of
from pp_assist.api.problems import Refusal
from pp_assist.api.services import Services
from pp_assist.core.explain import IN_LINE, Blame, Explanation, Known, Verdict, explain, not_watched
from pp_assist.core.model import Kind, Root
from pp_assist.core.rest import why_waiting
from pp_assist.store.report import FileRow
from pp_server.wire.names import json_fields, query_bytes
from pp_server.wire.times import iso, iso_or_none


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()

    @routes.get("/explain")
    async def explain_path(request: Request) -> dict[str, Any]:
        path = query_bytes(request.scope["query_string"], "path")
        if not path:
            raise Refusal(422, "invalid_request", "path: is needed")
        place = root_of(await services.roots.all(), path)
        if place is None:
            return _answer(path, None, not_watched(), None)
        root, relative = place
        path = root.shown.rstrip(b"/") + (b"/" + relative if relative else b"")
        row = await services.report.file(root.id, relative)
        if b"/" in relative and not root.recursive:
            return _answer(path, root, not_watched(recursive=False), row)
        sight = await services.examine(root, relative)
        if sight.kind is None and (found_there := await services.drop_folders.why(root.id, relative)):
            verdict, code, text = found_there
            return _answer(path, root, Explanation(Verdict(verdict), code, Blame.FILE, text), row)
        if sight.kind is Kind.DIR and not sight.is_root and not root.recursive:
            return _answer(path, root, not_watched(recursive=False), row)
        known = None if row is None else _known(row, services, await services.report.is_moving(root.id, relative))
        pause = services.holding.pause
        ends_ms = None if pause is None else pause.until_ms
        found = explain(sight, known, services.upload_obstacle(), services.clock.now_ms(), ends_ms)
        answer = _answer(path, root, found, row)
        signed = await services.report.signed_receipt(root.id, relative)
        if signed is not None:
            answer["receipt"] = signed[0].model_dump()
        if row is not None:
            answer |= await _life_of(row, found, services)
        return answer

    return routes


async def _life_of(row: FileRow, found: Explanation, services: Services) -> dict[str, Any]:
    """Return what happened to a file, where it is in its line, and how far it has come on its way."""
    moments = await services.report.life_line(row)
    progress = services.line.progress(row.id)
    return {
        "history": [{"at": iso(each.at_ms), "event": each.event, "text": each.text} for each in moments],
        "ahead": await services.report.ahead(row) if found.code == IN_LINE else None,
        "active": services.line.is_at_work(row.id),
        "progress": None
        if progress is None
        else {
            "bytes_total": progress.bytes_total,
            "chunks_done": progress.chunks_done,
            "chunks_total": progress.chunks_total,
        },
    }


def _known(row: FileRow, services: Services, moving: bool) -> Known:
    why = why_waiting(row.work_reason, row.queued_at_ms, services.clock.now_ms(), services.busy_after_ms)
    return Known(
        row.state,
        row.size_bytes,
        row.mtime_ns,
        row.stage,
        row.work_state,
        why,
        row.last_error,
        row.eligible_at_ms,
        row.snapshot,
        Kind(row.kind),
        row.rule,
        moving,
        services.line.is_at_work(row.id),
    )


def _answer(path: bytes, root: Root | None, found: Explanation, row: FileRow | None) -> dict[str, Any]:
    return {
        **json_fields(path),
        "path_id": None if root is None else root.id,
        "verdict": found.verdict,
        "reason": {"code": found.code, "class": found.blame, "text": found.text},
        "rule": None if found.rule is None else found.rule._asdict(),
        "next_try_at": iso_or_none(found.next_try_at_ms),
        "advice": found.advice,
        "gen": None if row is None else row.gen,
        "sha256": None if row is None else row.sha256,
        "noticed_by": None if row is None else row.noticed_by,
        "receipt": None,
        "history": [],
        "ahead": None,
        "active": False,
        "progress": None,
    }
