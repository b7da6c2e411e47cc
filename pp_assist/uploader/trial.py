"""A question to a server: can it be reached, is it ours, does it take our key? Nothing is changed by it."""

import time
from contextlib import suppress
from dataclasses import dataclass

from pp_assist.core.errors import AssistError, SessionLost
from pp_assist.uploader.client import UploadClient

NO_CONTENT = "0" * 64
"""No content has this digest: whoever may ask about it may upload."""


@dataclass(frozen=True, slots=True)
class Trial:
    """How it went."""

    code: str
    """ok, or the stable word for what is in the way."""
    text: str
    took_ms: int
    server_id: str | None = None


async def tried(client: UploadClient) -> Trial:
    """Ask the server of *client*, which is closed then, who it is, and whether our key may upload."""
    began_s, server_id = time.monotonic(), None
    try:
        greeting = await client.greet()
        server_id = greeting.server_id
        if greeting.capabilities.can("held"):
            await client.held([NO_CONTENT])
        else:  # an older one: whoever may upload is told that there is no such upload
            with suppress(SessionLost):
                await client.abort("0" * 32)
    except AssistError as error:
        return Trial(error.reason, str(error), _ms(began_s), server_id)
    finally:
        await client.close()
    return Trial("ok", "the server answers, and takes the key", _ms(began_s), server_id)


def _ms(began_s: float) -> int:
    return round((time.monotonic() - began_s) * 1000)
