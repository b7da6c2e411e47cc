"""Health, status, statistics, files and their receipts."""

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from pp_assist.api.callers import As
from pp_assist.api.paths import covering, root_of
from pp_assist.api.problems import Refusal
from pp_assist.api.routes_steering import paused
from pp_assist.api.schemas import TOGETHER, Shown
from pp_assist.api.services import Services
from pp_assist.api.standing import DELETING, how_it_stands, ledger_shown, shown
from pp_assist.core.model import TRACKED, FileState, Stage, WorkState
from pp_assist.core.rest import why_waiting
from pp_assist.store.report import FileRow
from pp_assist.store.search import Wanted
from pp_server.wire.names import json_fields, query_bytes
from pp_server.wire.receipts import NotProven, check
from pp_server.wire.times import iso, iso_or_none

Sort = Literal["found", "path", "size", "changed", "stored"]


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()

    @routes.get("/health")
    async def health(request: Request) -> dict[str, Any]:
        database_ok = await services.report.alive()
        ok = database_ok and all(services.running().values())
        answer: dict[str, Any] = {"status": "ok" if ok else "degraded"}
        if request.state.caller is not As.NOBODY:
            answer |= {"version": services.version, "database_ok": database_ok}
        return answer

    @routes.get("/status")
    async def status() -> dict[str, Any]:
        counts = await services.report.counts()
        running = services.running()
        obstacle = services.upload_obstacle()
        return {
            "running": True,
            "summary": shown(await how_it_stands(services, counts)),
            "uptime_seconds": (services.clock.mono_ms() - services.started_mono_ms) / 1000,
            "version": services.version,
            "hostname": services.hostname,
            "watcher_active": bool(services.scanner.watched),
            "sha256_processor_active": running["checksum_calculator"],
            "uploader_active": running["uploader"] and obstacle is None,
            "upload_obstacle": obstacle,
            "paused": paused(services.holding.pause),
            "token_required": services.config()["api"]["require_token"],
            "paths_watched": sum(root.enabled for root in await services.roots.all()),
            "files_tracked": counts.tracked,
            "files_excluded": counts.files[FileState.EXCLUDED],
            "files_unsupported": counts.files[FileState.UNSUPPORTED],
            "pending_sha256": counts.queued(Stage.CHECKSUM),
            "pending_uploads": counts.queued(Stage.UPLOAD),
            "pending_deletions": counts.queued(*DELETING),
            "held_deletions": counts.held_deletions,
            "paths_to_compare": await services.report.roots_to_compare(),
            "comparison": _comparison(services),
            "warnings": [warning._asdict() for warning in services.warnings()],
        }

    @routes.get("/stats")
    async def stats() -> dict[str, Any]:
        counts = await services.report.counts()
        roots = [root for root in await services.roots.all() if root.enabled]
        running, facts = services.running(), services.scanner.stats
        hashing, uploading = services.hashing(), services.uploading()
        watched = services.scanner.watched

        def queue(oldest: str, *stages: Stage) -> dict[str, Any]:
            return {
                "count": counts.queued(*stages),
                oldest: iso_or_none(counts.oldest(*stages)),
                "backoff": counts.in_state(WorkState.BACKOFF, *stages),
                "parked": counts.in_state(WorkState.PARKED, *stages),
                "held": counts.in_state(WorkState.HELD, *stages),
            }

        def alive(component: str) -> str:
            return "running" if running[component] else "stopped"

        return {
            "ledger": await ledger_shown(services),
            "files": {"total": counts.tracked} | {state.value: counts.files[state] for state in TRACKED},
            "queues": {
                "pending_checksum": queue("oldest_queued_at", Stage.CHECKSUM),
                "pending_upload": queue("oldest_queued_at", Stage.UPLOAD),
                "pending_deletion": queue("oldest_deleted_at", *DELETING),
            },
            "components": {
                "scanner": {
                    "status": alive("scanner"),
                    "last_scan_at": iso_or_none(facts.last_scan_at_ms),
                    "next_scan_at": iso_or_none(facts.next_scan_at_ms),
                    "filesystem_events_active": bool(roots) and all(root.id in watched for root in roots),
                    "registered_paths": len(roots),
                    "files_scanned": facts.files_scanned,
                    "scans_finished": facts.scans_finished,
                    "announced_changes": facts.announced_changes,
                    "missed_changes": facts.missed_changes,
                },
                "checksum_calculator": {
                    "status": alive("checksum_calculator"),
                    "active_workers": hashing.active_workers,
                    "total_processed": hashing.total,
                    "processing_rate": hashing.per_second,
                    "silent_changes": services.silent_changes(),
                },
                "uploader": {
                    "status": alive("uploader"),
                    "active_workers": uploading.active_workers,
                    "total_uploaded": uploading.total,
                    "upload_rate": uploading.per_second,
                    "bytes_sent": services.bytes_sent(),
                },
            },
        }

    @routes.get("/files")
    async def files(
        request: Request,
        status: Shown | None = None,
        kind: Literal["file", "dir", "symlink", "any"] = "file",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        offset: Annotated[int, Query(ge=0, le=2**53)] = 0,
        text: Annotated[str, Query(max_length=1000)] = "",
        reason: Annotated[str | None, Query(max_length=100)] = None,
        sort: Sort = "found",
        order: Literal["asc", "desc"] = "asc",
    ) -> JSONResponse:
        prefix = query_bytes(request.scope["query_string"], "path_prefix")
        where = covering(await services.roots.all(), prefix) if prefix else None
        only = None if kind == "any" else kind
        if text.strip() or reason is not None or (sort, order) != ("found", "asc") or status in TOGETHER:
            below = None if where is None else (tuple(where[0]), where[1])
            states = () if status is None else TOGETHER.get(status) or (FileState(status),)
            words = tuple(_searched(word) for word in text.split())
            wanted = Wanted(states, below, only, words, reason, sort, order == "desc")
            rows, total = await services.report.search(wanted, limit, offset)
        else:
            state = None if status is None else FileState(status)
            rows, total = await services.report.files(state, where, limit, offset, only)

        def page() -> JSONResponse:  # as it is: asking FastAPI what is in it takes ten times as long
            files = [_file(row, services) for row in rows]
            return JSONResponse({"files": files, "total": total, "limit": limit, "offset": offset})

        return await asyncio.to_thread(page)

    @routes.get("/receipt")
    async def receipt(request: Request) -> dict[str, Any]:
        path = query_bytes(request.scope["query_string"], "path")
        if not path:
            raise Refusal(422, "invalid_request", "path: is needed")
        if (place := root_of(await services.roots.all(), path)) is None:
            raise Refusal(404, "not_found", "this path is not registered")
        found = await services.report.signed_receipt(place[0].id, place[1])
        if found is None:
            raise Refusal(404, "no_receipt", "there is no signed receipt for this path")
        signed, key = found
        try:
            if key is None:
                raise NotProven(f"the key {signed.proof and signed.proof.key_id} is not known any more")
            check(signed, key)  # what we hand out must convince others
        except NotProven as error:
            raise Refusal(409, "receipt_not_proven", str(error)) from error
        return signed.model_dump()

    return routes


def _searched(word: str) -> str:
    """Return *word*, if it can be part of a path."""
    if "\0" in word or any("\ud800" <= character <= "\udfff" for character in word):
        raise Refusal(422, "invalid_request", "text: holds what cannot be looked for")
    return word


def _comparison(services: Services) -> dict[str, Any] | None:
    now = services.comparison()
    return None if now is None else {**json_fields(now.root, "path"), "read": now.read, "total": now.of}


def _file(row: FileRow, services: Services) -> dict[str, Any]:
    why = why_waiting(row.work_reason, row.queued_at_ms, services.clock.now_ms(), services.busy_after_ms)
    return {
        "id": row.id,
        **json_fields(row.filepath),
        "hostname": services.hostname,
        "kind": row.kind,
        "sha256": row.sha256,
        "file_size": row.size_bytes if row.kind == "file" else 0,
        **({} if row.kind != "symlink" or row.link_target is None else json_fields(row.link_target, "link_target")),
        "mtime": None if row.mtime_ns is None else iso(row.mtime_ns // 1_000_000),
        "discovered_at": iso(row.discovered_at_ms),
        "last_checked_at": iso(row.checked_at_ms),
        "status": row.state,
        "uploaded_at": iso_or_none(row.stored_at_ms),
        "snapshot": row.snapshot,
        "gen": row.gen,
        "reason": row.rule or why,
        "rule": None if row.written is None else row.written._asdict(),
        "last_error": row.last_error,
        "retry_at": iso_or_none(row.eligible_at_ms) if row.work_state == WorkState.BACKOFF else None,
    }
