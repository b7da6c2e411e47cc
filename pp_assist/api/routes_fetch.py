"""Files back from the server."""

import asyncio
import os
from typing import Any

from fastapi import APIRouter, Request

from pp_assist.api.bodies import absolute, absolute_path
from pp_assist.api.paths import is_within, root_of
from pp_assist.api.problems import Refusal
from pp_assist.api.schemas import FetchBack, RowId
from pp_assist.api.services import Services
from pp_assist.core.errors import AssistError
from pp_assist.core.fetching import Fetch, Order, Promised
from pp_assist.core.identity import Identity, Standing, standing
from pp_assist.core.model import Root
from pp_assist.core.sftp_url import is_sftp
from pp_server.wire.names import display, json_fields, query_bytes
from pp_server.wire.receipts import NotProven, check
from pp_server.wire.restore import TreeEntry
from pp_server.wire.times import iso, iso_or_none

TO_SFTP = "to: is needed, this file came from a folder on an SFTP server, where nothing is written"


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()

    @routes.post("/fetch")
    async def begin(body: FetchBack) -> dict[str, Any]:
        asked = await _asked_for(body, services)
        place = root_of(await services.roots.all(), asked)
        if place is not None and place[1]:
            root, relative = place
            filepath = root.shown.rstrip(b"/") + b"/" + relative
            promised = await _promised(root, relative, services)
        elif place is None:
            filepath, promised = asked, None
        else:
            raise Refusal(400, "not_a_file", "this is a watched folder; pp_client get brings folders back")
        if body.to is not None or body.to_b64 is not None:
            to, name = absolute_path(body.to or "", body.to_b64), os.path.basename(filepath)
            folder, name, identity = await _target(to, name, services)
            order = Order(filepath, folder, name, folder, identity, body.version, body.overwrite, promised)
        elif place is None:
            raise Refusal(422, "invalid_request", "to: is needed, this path is in no watched folder of this machine")
        elif is_sftp(place[0].shown):
            raise Refusal(422, "invalid_request", TO_SFTP)
        else:
            root, relative = place
            if _is_own(root.path.rstrip(b"/") + b"/" + relative, services):
                raise Refusal(400, "path_refused", f"{display(asked)}: nothing is written there")
            identity = await _own_place(root, services)
            order = Order(filepath, root.path, relative, root.shown, identity, body.version, body.overwrite, promised)
        try:
            return _shown(services.fetches.begin(order))
        except OverflowError as error:
            raise Refusal(503, "too_many_fetches", str(error)) from error

    @routes.get("/fetch")
    async def fetches() -> dict[str, Any]:
        known = [_shown(each) for each in services.fetches.all()]
        return {"fetches": known, "total": len(known)}

    @routes.get("/fetch/{fetch_id}")
    async def one(fetch_id: RowId) -> dict[str, Any]:
        return _shown(_known(services.fetches.get(fetch_id)))

    @routes.post("/fetch/{fetch_id}/cancel")
    async def cancel(fetch_id: RowId) -> dict[str, Any]:
        return _shown(_known(services.fetches.cancel(fetch_id)))

    @routes.get("/versions")
    async def versions(request: Request) -> dict[str, Any]:
        path = query_bytes(request.scope["query_string"], "path")
        if not path:
            raise Refusal(422, "invalid_request", "path: is needed")
        path = absolute(path)
        place = root_of(await services.roots.all(), path)
        filepath = path if place is None else place[0].shown.rstrip(b"/") + (b"/" + place[1] if place[1] else b"")
        try:
            found, total = await services.fetches.versions(filepath)
        except AssistError as error:
            raise Refusal(503, error.reason, str(error)) from error
        newest_first = [_version(each) for each in reversed(found)]
        return {**json_fields(filepath), "versions": newest_first, "total": total}

    return routes


def _version(entry: TreeEntry) -> dict[str, Any]:
    return {
        "gen": entry.gen,
        "status": entry.status,
        "kind": entry.kind,
        "sha256": entry.sha256,
        "file_size": entry.file_size,
        "mtime": iso_or_none(None if entry.mtime_ns is None else entry.mtime_ns // 1_000_000),
        "stored_at": entry.stored_at,
        "deleted_at": entry.deleted_at,
        "inconsistent": entry.inconsistent,
    }


async def _asked_for(body: FetchBack, services: Services) -> bytes:
    """Return the path that is meant."""
    if body.id is None:
        return absolute_path(body.path or "", body.path_b64)
    row = await services.report.by_id(body.id)
    if row is None:
        raise Refusal(404, "not_found", "no such file; it may have changed its number, so look again")
    return row.filepath


async def _promised(root: Root, relative: bytes, services: Services) -> Promised | None:
    """Return what the receipt says that the server has, if it proves it."""
    signed = await services.report.signed_receipt(root.id, relative)
    if signed is None:
        return None
    receipt, key = signed
    try:
        if key is None or receipt.sha256 is None:
            return None
        await asyncio.to_thread(check, receipt, key)
    except NotProven:
        return None
    return Promised(receipt.sha256, receipt.size)


async def _target(to: bytes, name: bytes, services: Services) -> tuple[bytes, bytes, Identity]:
    try:
        folder, name = await services.look(services.fetch_target, to, name)
        resolved, identity = await services.resolve(folder)
    except OSError as error:
        raise Refusal(400, "not_a_folder", f"to: {display(to)}: {error.strerror}") from error
    if not name or _is_own(resolved, services):
        raise Refusal(400, "path_refused", f"to: {display(to)}: nothing is written there")
    return folder, name, identity


def _is_own(path: bytes, services: Services) -> bool:
    return any(is_within(path, own) for own in services.own_paths)


async def _own_place(root: Root, services: Services) -> Identity:
    """Return what the watched folder, which is there, is known by: what lies beneath a disk is hidden."""
    try:
        _, found = await services.resolve(root.path)
    except OSError as error:
        raise Refusal(409, "root_unhealthy", f"{display(root.shown)}: {error.strerror}") from error
    if standing(root.identity, found) is Standing.OTHER:
        raise Refusal(409, "root_unhealthy", f"{display(root.shown)} is another folder now; say where to with `to`")
    return found


def _known(job: Fetch | None) -> Fetch:
    if job is None:
        raise Refusal(404, "not_found", "no such fetch, or not any more")
    return job


def _shown(job: Fetch) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state,
        **json_fields(job.order.filepath),
        **json_fields(job.to, "to"),
        "sha256": job.sha256,
        "size_bytes": job.size_bytes,
        "bytes_done": job.bytes_done,
        "outcome": job.outcome,
        "verified": job.verified,
        "inconsistent": job.inconsistent,
        "problem": None if job.problem is None else {"code": job.problem[0], "text": job.problem[1]},
        "created_at": iso(job.created_at_ms),
        "ended_at": iso_or_none(job.ended_at_ms),
    }
