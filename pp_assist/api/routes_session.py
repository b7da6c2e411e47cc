"""How a page gets in: `pp_assist ui` asks for a ticket, the page shows it and gets a cookie."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from pp_assist.api.callers import As, cookies_named
from pp_assist.api.problems import Refusal
from pp_assist.api.schemas import ShowTicket
from pp_assist.api.services import Services
from pp_assist.api.sessions import SESSION_S, TICKET_S


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()

    @routes.post("/session/ticket")
    async def ticket(request: Request) -> dict[str, Any]:
        if request.state.caller is not As.TOKEN:
            raise Refusal(401, "unauthorized", "a ticket is given only for the token")
        return {"ticket": services.sessions.ticket(), "expires_in_seconds": TICKET_S}

    @routes.post("/session")
    async def enter(body: ShowTicket) -> JSONResponse:
        value = services.sessions.enter(body.ticket.get_secret_value())
        if value is None:
            raise Refusal(401, "unauthorized", "this ticket was used or is too old: pp_assist ui gives a new one")
        answer = JSONResponse({"status": "entered"})
        answer.set_cookie(
            services.sessions.cookie, value, max_age=int(SESSION_S), path="/", httponly=True, samesite="strict"
        )
        return answer

    @routes.post("/session/leave")
    async def leave(request: Request) -> JSONResponse:
        for value in cookies_named(services.sessions.cookie, request.scope["headers"]):
            services.sessions.leave(value)
        answer = JSONResponse({"status": "left"})
        answer.delete_cookie(services.sessions.cookie, path="/", httponly=True, samesite="strict")
        return answer

    return routes
