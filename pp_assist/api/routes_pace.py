"""How fast it goes: second by second, for who draws it."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from pp_assist.api.services import Services
from pp_assist.core.series import MOST_S
from pp_server.wire.times import iso


def router(services: Services) -> APIRouter:
    """Return the route."""
    routes = APIRouter()

    @routes.get("/pace")
    async def pace(seconds: Annotated[int, Query(ge=1, le=MOST_S)] = 300) -> dict[str, Any]:
        now_ms = services.clock.mono_ms()
        lately = services.lately()
        spread = lately.latencies.spread(now_ms)
        return {
            "step_seconds": 1,
            "ends_at": iso(services.clock.now_ms() - now_ms % 1000),
            "hashed": lately.hashed.last(seconds, now_ms),
            "stored": lately.stored.last(seconds, now_ms),
            "bytes": lately.sent_bytes.last(seconds, now_ms),
            "latency_ms": None
            if spread is None
            else {
                "count": spread.count,
                "p50": spread.p50,
                "p90": spread.p90,
                "p99": spread.p99,
                "max": spread.longest,
            },
        }

    return routes
