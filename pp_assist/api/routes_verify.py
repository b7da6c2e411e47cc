"""Having the server read again what it has."""

from typing import Any

from fastapi import APIRouter

from pp_assist.api.problems import Refusal
from pp_assist.api.schemas import Verify
from pp_assist.api.services import Services
from pp_assist.core.errors import AssistError


def router(services: Services) -> APIRouter:
    """Return the route."""
    routes = APIRouter()

    @routes.post("/verify")
    async def verify(body: Verify) -> dict[str, Any]:
        try:
            verified = await services.verify(body.sha256, body.nonce)
        except AssistError as error:
            raise Refusal(503, error.reason, str(error)) from error
        return {
            "results": [each.model_dump() for each in verified.results],
            "offered_again": verified.offered_again,
            "retry_after_seconds": verified.retry_after_s,
        }

    return routes
