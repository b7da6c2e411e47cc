"""What happened: a list, a stream of server-sent events that can be resumed, and the progress socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, WebSocket, WebSocketDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from pp_assist.api.problems import Refusal
from pp_assist.api.services import Services
from pp_assist.core.events import Event, Happened
from pp_assist.store import activity
from pp_server.wire.names import json_fields
from pp_server.wire.times import iso

MOST_LISTENERS = 16
PING_S = 30.0
PAGE = 500

PROGRESS = {
    Event.FILE_DISCOVERED: "file_discovered",
    Event.SHA256_COMPLETE: "checksum_calculated",
    Event.UPLOAD_STARTED: "upload_started",
    Event.UPLOAD_PROGRESS: "upload_progress",
    Event.UPLOAD_COMPLETE: "upload_completed",
    Event.FILE_DELETED: "file_deleted",
}
"""What the progress socket tells, and by which names."""

NOT_KEPT_ON_THE_WAY = (("Cache-Control", "no-store"), ("X-Accel-Buffering", "no"))

Id = Annotated[int, Query(ge=0, lt=2**63)]
Events = Annotated[list[Event] | None, Query()]
"""One kind, or several."""


class _Listeners:
    """Counts them: each has its place inside the block.

    Raises:
        Refusal: there is none left.
    """

    def __init__(self) -> None:
        self._now = 0

    @property
    def is_full(self) -> bool:
        return self._now >= MOST_LISTENERS

    def __enter__(self) -> None:
        if self.is_full:
            raise Refusal(503, "too_many_listeners", f"{MOST_LISTENERS} listen already")
        self._now += 1

    def __exit__(self, *_: object) -> None:
        self._now -= 1


class _Stream(StreamingResponse):
    """An answer without end; it has a place among the listeners before anything of it is sent."""

    def __init__(self, listeners: _Listeners, told: AsyncIterator[str]) -> None:
        super().__init__(told, media_type="text/event-stream", headers=dict(NOT_KEPT_ON_THE_WAY))
        self._listeners = listeners

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._listeners:
            await super().__call__(scope, receive, send)


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()
    listeners = _Listeners()

    @routes.get("/activity")
    async def recent(
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        since_id: Id | None = None,
        before_id: Id | None = None,
        event_type: Events = None,
        path_id: Id | None = None,
        text: Annotated[str | None, Query(min_length=1, max_length=1000, pattern="^[^\\x00]*$")] = None,
    ) -> dict[str, Any]:
        if since_id is not None and before_id is not None:
            raise Refusal(422, "invalid_request", "since_id or before_id, not both")
        await services.journal.write()  # what was told a moment ago is in the answer
        db = services.journal.db
        about = activity.About(_meant(event_type), path_id, text)
        if since_id is not None:
            found = await activity.after(db, since_id, about, limit + 1)
        else:
            found = await activity.newest(db, about, limit + 1, 2**63 - 1 if before_id is None else before_id)
        shown = found[:limit] if since_id is None else found[:limit][::-1]
        total = await activity.total(db, about)
        return {"events": [_shown(each) for each in shown], "total": total, "has_more": len(found) > limit}

    @routes.get("/activity/stream")
    async def stream(request: Request, event_type: Events = None) -> StreamingResponse:
        last_id = _last_id(request.headers.get("last-event-id"), services.bus.last_id)
        return _Stream(listeners, frames(last_id, _meant(event_type)))

    async def frames(last_id: int, wanted: frozenset[Event] | None) -> AsyncIterator[str]:
        begins = {"timestamp": iso(services.clock.now_ms()), "last_event_id": last_id}
        yield f"event: connected\ndata: {json.dumps(begins)}\n\n"  # no `id:`: it is no event, and some take it for one
        async for page in _told(services, last_id, wanted):
            yield "".join(map(_frame, page)) or ": still here\n\n"

    @routes.websocket("/ws/progress")
    async def progress(socket: WebSocket) -> None:
        if listeners.is_full:
            await socket.close(1013, "too_many_listeners")
            return
        with listeners:
            await socket.accept()
            leaving = asyncio.ensure_future(_until_left(socket))
            sending = asyncio.ensure_future(_send_progress(services, socket))
            try:
                await asyncio.wait((leaving, sending), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (leaving, sending):
                    task.cancel()
                await asyncio.gather(leaving, sending, return_exceptions=True)

    return routes


async def _told(services: Services, last_id: int, wanted: frozenset[Event] | None) -> AsyncIterator[list[Happened]]:
    """Yield what happens after *last_id*, for ever; nothing from time to time while nothing does."""
    while True:
        newest = services.bus.last_id  # before we ask: what comes meanwhile is for the next time
        found = await services.journal.after(last_id, wanted, PAGE)
        if found:
            yield found
        if len(found) == PAGE:
            last_id = found[-1].id
            continue
        last_id = max(newest, found[-1].id if found else 0)
        try:
            async with asyncio.timeout(PING_S):
                await services.bus.more(last_id)
        except TimeoutError:
            yield []


async def _until_left(socket: WebSocket) -> None:
    """Return when the other side goes; what it says means nothing."""
    with suppress(WebSocketDisconnect):
        while True:
            await socket.receive()


async def _send_progress(services: Services, socket: WebSocket) -> None:
    with suppress(WebSocketDisconnect):
        async for page in _told(services, services.bus.last_id, None):
            if not page:
                await socket.send_json({"type": "ping", "timestamp": iso(services.clock.now_ms())})
            for happened in page:
                if (name := PROGRESS.get(happened.event)) is not None:
                    await socket.send_json(_progress(name, happened))


def _frame(happened: Happened) -> str:
    return f"id: {happened.id}\nevent: {happened.event}\ndata: {json.dumps(_shown(happened))}\n\n"


def _progress(name: str, happened: Happened) -> dict[str, Any]:
    details = happened.details
    return {
        "type": name,
        **_named(happened),
        **({"sha256": details["sha256"]} if "sha256" in details else {}),
        **({"progress": details["progress_percent"]} if "progress_percent" in details else {}),
        "count": happened.count,
        "timestamp": iso(happened.at_ms),
    }


def _shown(happened: Happened) -> dict[str, Any]:
    return {
        "id": happened.id,
        "event_type": happened.event,
        **_named(happened),
        "path_id": happened.root_id,
        "count": happened.count,
        "message": happened.message,
        "details": happened.details,
        "created_at": iso(happened.at_ms),
    }


def _named(happened: Happened) -> dict[str, Any]:
    return {"filepath": None} if happened.filepath is None else dict(json_fields(happened.filepath))


def _meant(events: list[Event] | None) -> frozenset[Event] | None:
    return frozenset(events) if events else None


def _last_id(said: str | None, newest: int) -> int:
    """Return from where a stream goes on; what is no number of ours begins now."""
    if said is None or not said.isascii() or not said.isdigit() or len(said) > 18:
        return newest
    return min(int(said), newest)
