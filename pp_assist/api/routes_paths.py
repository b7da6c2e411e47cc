"""Paths (the roots), and scanning them."""

import asyncio
from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Body

from pp_assist.api.bodies import absolute_path
from pp_assist.api.drop_folders import facts_of, options_of
from pp_assist.api.overlap import why_not
from pp_assist.api.paths import root_of
from pp_assist.api.problems import Refusal
from pp_assist.api.schemas import AddPath, AddSftp, RowId, TriggerScan
from pp_assist.api.services import Services
from pp_assist.api.standing import condition
from pp_assist.core.errors import AssistError
from pp_assist.core.model import Root
from pp_assist.core.sftp_url import is_sftp, parse
from pp_assist.core.trust import Trust
from pp_server.wire.names import display, json_fields
from pp_server.wire.times import iso, iso_or_none

ANYBODY = Trust()


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()
    adding = asyncio.Lock()

    async def shown_path(root: Root, file_count: int) -> dict[str, Any]:
        return _path(root, file_count, condition(root, services), await facts_of(services, root))

    async def all_paths() -> list[dict[str, Any]]:
        counts = await services.roots.file_counts()
        return [
            await shown_path(root, counts.get(root.id, 0))
            | {"rule_problems": [problem._asdict() for problem in services.rule_problems(root.id)]}
            for root in await services.roots.all()
        ]

    @routes.get("/paths")
    async def list_paths() -> dict[str, Any]:
        paths = await all_paths()
        return {"paths": paths, "total": len(paths)}

    @routes.get("/paths/{path_id}")
    async def get_path(path_id: RowId) -> dict[str, Any]:
        for path in await all_paths():
            if path["id"] == path_id:
                return path
        raise Refusal(404, "not_found", "no such path")

    async def add_drop_folder(body: AddPath) -> dict[str, Any]:
        try:
            target = parse(body.path)
            options = options_of(body.sftp or AddSftp())
            if options.announce is not None:
                services.check_server(options.announce["url"], ANYBODY)
        except ValueError as error:
            raise Refusal(400, "path_not_usable", str(error)) from error
        async with adding:
            _check_overlap(await services.roots.all(), target.url.encode(), target.url.encode(), services.own_paths)
            try:
                root = await services.drop_folders.add(target, options, body.recursive, tuple(body.exclude))
            except AssistError as error:
                raise Refusal(400, error.reason, str(error)) from error
            except OSError as error:
                raise Refusal(400, "path_not_usable", f"no place for what comes from there: {error}") from error
        await services.scanner.root_added(root)
        return await shown_path(root, 0) | {"rule_problems": []}

    @routes.post("/paths")
    async def add_path(body: AddPath) -> dict[str, Any]:
        if is_sftp(body.path):
            return await add_drop_folder(body)
        if body.sftp is not None:
            raise Refusal(422, "invalid_request", "sftp: only where path is sftp://USER@HOST/DIR")
        shown = absolute_path(body.path, body.path_b64)
        try:
            resolved, identity = await services.resolve(shown)
        except OSError as error:
            raise Refusal(400, "path_not_usable", f"{display(shown)}: {error.strerror}") from error
        async with adding:  # what is checked must still be so when it is written
            _check_overlap(await services.roots.all(), shown, resolved, services.own_paths)
            root = await services.roots.add(
                resolved, shown, body.recursive, identity, services.clock.now_ms(), body.policy, body.exclude
            )
        await services.scanner.root_added(root)
        return await shown_path(root, 0) | {"rule_problems": []}

    @routes.delete("/paths/{path_id}")
    async def delete_path(path_id: RowId) -> dict[str, Any]:
        root = await services.roots.get(path_id)
        await services.scanner.root_removed(path_id)
        if not await services.roots.remove(path_id):
            raise Refusal(404, "not_found", "no such path")
        left = None if root is None else await services.drop_folders.removed(root)
        return {"status": "deleted"} | ({} if left is None else {"left": left})

    @routes.post("/scan/trigger")
    async def trigger_scan(body: Annotated[TriggerScan | None, Body()] = None) -> dict[str, Any]:
        request = body or TriggerScan()
        roots = [root for root in await services.roots.all() if root.enabled]
        if request.path is None and request.path_b64 is None:
            wanted, scan = roots, services.scanner.request_scan(force=request.force)
        else:
            found = root_of(roots, absolute_path(request.path or "", request.path_b64))
            if found is None:
                raise Refusal(404, "not_found", "this path is not registered")
            wanted = [found[0]]
            scan = services.scanner.request_scan([found[0].id], found[1], request.force)
        for root in wanted:
            services.drop_folders.look_soon(root.id)
        if request.wait:
            await scan.finished.wait()
            services.report.count_anew()
        return {
            "status": "scan_finished" if request.wait else "scan_started",
            "scan_id": scan.id,
            "paths": [display(root.shown) for root in wanted],
            "force": request.force,
        }

    return routes


def _check_overlap(roots: Iterable[Root], shown: bytes, resolved: bytes, own_paths: Iterable[bytes]) -> None:
    if (refusal := why_not(roots, shown, resolved, own_paths)) is not None:
        raise refusal


def _path(root: Root, file_count: int, stands: tuple[str, str | None], sftp: dict[str, Any] | None) -> dict[str, Any]:
    status, reason = stands
    return {
        "id": root.id,
        **json_fields(root.shown, "path"),
        "recursive": root.recursive,
        "enabled": root.enabled,
        "created_at": iso(root.created_at_ms),
        "last_scanned_at": iso_or_none(root.last_scanned_at_ms),
        "file_count": file_count,
        "policy": root.policy,
        "exclude": list(root.exclude),
        "status": status,
        "reason": reason,
        **({} if sftp is None else {"sftp": sftp}),
    }
