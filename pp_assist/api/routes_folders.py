"""Choosing a folder to be watched: what folders there are, and which of them can be."""

import base64
import binascii
import os
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from pp_assist.api.bodies import absolute_path
from pp_assist.api.folders import FolderProblem, in_order
from pp_assist.api.overlap import why_not
from pp_assist.api.problems import Refusal
from pp_assist.api.services import Services
from pp_assist.core.model import Root
from pp_server.wire.names import json_fields, query_bytes

UNREADABLE = FolderProblem(403, "no_permission", "the daemon may not look into this folder")


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()

    @routes.get("/folders")
    async def folders(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
        after: Annotated[str | None, Query(max_length=1000)] = None,
    ) -> dict[str, Any]:
        asked = query_bytes(request.scope["query_string"], "path")
        roots = list(await services.roots.all())
        if not asked:
            return await services.look(_starts, services, roots)
        encoded = base64.b64encode(asked).decode()
        path = absolute_path("", encoded)
        return await services.look(_inside, services, roots, path, limit, _name(after))

    return routes


def _starts(services: Services, roots: list[Root]) -> dict[str, Any]:
    found = services.folders.starts()
    barred = services.folders.unreadable([each.path for each in found])
    shown = []
    for path, kind in found:
        resolved = path if kind == "mount" else os.path.realpath(path)
        name = os.path.basename(path) or path
        shown.append(_folder(services, roots, path, resolved, name, path in barred) | {"kind": kind})
    return {
        "path": None, "parent": None, "can_add": False, "why_not": None, "folders": shown, "next": None,
        "total": len(shown), "truncated": False,
    }  # fmt: skip


def _inside(services: Services, roots: list[Root], path: bytes, limit: int, after: bytes | None) -> dict[str, Any]:
    found = services.folders.inside(path)
    names = found.names
    if after is not None:
        names = [name for name in names if in_order(name) > in_order(after)]
    page, more = names[:limit], len(names) > limit
    paths = [os.path.join(found.resolved, name) for name in page]
    barred = services.folders.unreadable(paths)
    shown = []
    for name, resolved in zip(page, paths, strict=True):
        at = os.path.join(path, name)
        shown.append(_folder(services, roots, at, resolved, name, resolved in barred) | {"kind": "folder"})
    parent = os.path.dirname(path)
    return {
        **json_fields(path, "path"),
        "parent": None if parent == path else json_fields(parent, "path"),
        **_may(why_not(roots, path, found.resolved, services.own_paths)),
        "folders": shown,
        "next": _token(page[-1]) if more else None,
        "total": len(found.names),
        "truncated": not found.is_whole,
    }


def _folder(
    services: Services, roots: list[Root], path: bytes, resolved: bytes, name: bytes, is_barred: bool
) -> dict[str, Any]:
    refusal = why_not(roots, path, resolved, services.own_paths) or (UNREADABLE if is_barred else None)
    return {**json_fields(name, "name"), **json_fields(path, "path"), **_may(refusal)}


def _may(refusal: Refusal | None) -> dict[str, Any]:
    reason = None if refusal is None else {"code": refusal.code, "text": refusal.detail}
    return {"can_add": refusal is None, "why_not": reason}


def _token(name: bytes) -> str:
    return base64.urlsafe_b64encode(name).decode()


def _name(token: str | None) -> bytes | None:
    """Return the last name of the page before.

    Raises:
        Refusal: it is no `next` of ours.
    """
    try:
        return None if token is None else base64.b64decode(token, b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(422, "invalid_request", "after: must be the next of the page before") from error
