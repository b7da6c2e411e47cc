"""Holding work back, letting it go on, and stopping altogether."""

from typing import Any

from fastapi import APIRouter

from pp_assist.api.problems import Refusal
from pp_assist.api.schemas import HoldBack
from pp_assist.api.services import Services
from pp_assist.core.events import Event
from pp_assist.core.pause import Pause
from pp_server.wire.times import iso, iso_or_none


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()

    @routes.post("/pause")
    async def pause(body: HoldBack | None = None) -> dict[str, Any]:
        now_ms = services.clock.now_ms()
        until_ms = _ends_ms(body, now_ms) if body else None
        if until_ms is not None and until_ms <= now_ms:
            raise Refusal(422, "invalid_request", "until: is over already")
        held = _shown(await services.holding.hold(until_ms))
        services.bus.tell(Event.STEERED, message="paused", **held)
        return {"status": "paused", **held}

    @routes.post("/resume")
    async def resume() -> dict[str, Any]:
        await services.holding.resume()
        services.bus.tell(Event.STEERED, message="resumed")
        return {"status": "running"}

    @routes.post("/stop")
    async def stop() -> dict[str, Any]:
        services.stop()
        return {"status": "stopping"}

    return routes


def _ends_ms(body: HoldBack, now_ms: int) -> int | None:
    if body.seconds is not None:
        return now_ms + max(1, int(body.seconds * 1000))
    return None if body.until is None else int(body.until.timestamp() * 1000)


def paused(pause: Pause | None) -> dict[str, Any] | None:
    """Return what is shown of a pause."""
    return None if pause is None else _shown(pause)


def _shown(pause: Pause) -> dict[str, Any]:
    return {"since": iso(pause.since_ms), "until": iso_or_none(pause.until_ms)}
