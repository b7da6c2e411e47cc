"""Receipts over HTTP: whose signature they bear, and one of them again."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from pp_server.api import deps
from pp_server.core.errors import FileNotFound
from pp_server.wire.batch import ReceiptKeysAnswer
from pp_server.wire.messages import MAX_INT

router = APIRouter(prefix="/api/receipts")


@router.get("/key")
async def key(request: Request) -> Response:
    """Say which key signs; needs no API key, because nothing about it is secret."""
    return deps.json_answer(ReceiptKeysAnswer(keys=[deps.services(request).receipts.key]))


@router.get("/{sequence}")
async def receipt(
    request: Request, sequence: Annotated[int, Path(ge=1, le=MAX_INT)], caller: deps.AnyCaller
) -> Response:
    """Give the receipt of one recorded version again, signed by itself."""
    services = deps.services(request)
    found = await services.files.recorded(caller, sequence)
    if found is None:
        raise FileNotFound("No such receipt")
    return deps.json_answer(await services.receipts.issue(found.receipt, ()))
