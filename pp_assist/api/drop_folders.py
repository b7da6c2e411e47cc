"""Folders on SFTP servers, as callers ask for them and as they are shown."""

import os
from typing import Any

from pp_assist.api.schemas import AddSftp
from pp_assist.api.services import Services
from pp_assist.core.drop_folders import DropOptions
from pp_assist.core.model import Root
from pp_server.wire.times import iso_or_none


async def facts_of(services: Services, root: Root) -> dict[str, Any] | None:
    """Return how a drop folder stands; None where the root is none."""
    facts = await services.drop_folders.facts(root.id)
    if facts is None:
        return None
    last_look_at_ms = facts.pop("last_look_at_ms")
    return facts | {"last_look_at": iso_or_none(last_look_at_ms)}


def options_of(body: AddSftp) -> DropOptions:
    """Return what was asked for.

    Raises:
        ValueError: it cannot be meant.
    """
    for name in (body.key_file, body.known_hosts):
        if name is not None and not os.path.isabs(os.path.expanduser(name)):
            raise ValueError(f"{name}: must be an absolute path")
    if body.in_progress is not None and body.after != "move":
        raise ValueError("in_progress: only where after is move")
    announce = None
    if body.announce is not None:
        announce = body.announce.model_dump() | {"secret": body.announce.secret.get_secret_value()}
    return DropOptions(
        None if body.password is None else body.password.get_secret_value(),
        None if body.key_file is None else os.path.expanduser(body.key_file),
        None if body.passphrase is None else body.passphrase.get_secret_value(),
        body.host_key,
        None if body.known_hosts is None else os.path.expanduser(body.known_hosts),
        body.after,
        body.in_progress,
        tuple(body.patterns),
        body.interval_seconds,
        body.rest_seconds,
        announce,
    )
