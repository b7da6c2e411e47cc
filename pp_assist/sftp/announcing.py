"""Telling an API of files, in batches: what is said, how it is signed, how it is sent."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from pp_assist.core.errors import AssistError
from pp_assist.http import BlockingHttp
from pp_assist.sftp.outbox import Message, NotTaken
from pp_assist.sftp.signing import sign

TIMEOUT_S = 10.0
BATCH_SIZE = 5

Signer = Callable[[str, int, bytes, str], Mapping[str, str]]
"""Returns headers, from the id, the time in seconds since 1970, the body and the secret."""


@dataclass(frozen=True, slots=True)
class Announce:
    """Who is told of what arrived, and how."""

    url: str
    secret: str = field(default="", repr=False)
    batch_size: int = BATCH_SIZE
    project_id: str = ""
    profile_code: str | None = None
    uploaded_by: str = "pp_assist"
    source: str = "SFTP"


@dataclass(frozen=True, slots=True)
class Batch:
    """What an announcement is about."""

    id: str
    """The same at each repetition: a receiver that keeps ids sees it once."""
    project_id: str
    profile_code: str | None
    uploaded_by: str
    source: str
    files: Sequence[Mapping[str, Any]]
    """Each with `filename` and `backup_path`, and what else is known of it."""


Payload = Callable[[Batch], Any]
"""Returns what is sent as JSON."""


def payload(batch: Batch) -> dict[str, Any]:
    """Return what is sent if nobody says otherwise."""
    return {
        "id": batch.id,
        "project_id": batch.project_id,
        "profile_code": batch.profile_code,
        "uploaded_by": batch.uploaded_by,
        "source": batch.source,
        "files": [dict(file) for file in batch.files],
    }


def message_of(batch: Batch, url: str, secret: str, build: Payload = payload) -> Message:
    """Return the announcement of a batch."""
    return Message(batch.id, url, secret, json.dumps(build(batch), separators=(",", ":")).encode(), 0)


def new_id() -> str:
    """Return an id that nothing else has."""
    return f"msg_{uuid4().hex}"


class Poster:
    """Sends announcements. No redirects, and an answer within ten seconds. May be used from many threads."""

    def __init__(self, signer: Signer = sign, timeout_s: float = TIMEOUT_S) -> None:
        self._signer = signer
        self._http = BlockingHttp(timeout_s)

    def post(self, message: Message) -> None:
        """Send one, signed with the time of this attempt.

        Raises:
            NotTaken: no answer, or none that says that it was taken.
        """
        headers = {"Content-Type": "application/json", "User-Agent": "pp_assist"}
        if message.secret:
            headers |= self._signer(message.id, int(time.time()), message.body, message.secret)
        try:
            answer = self._http.request("POST", message.url, headers, message.body)
        except AssistError as error:
            raise NotTaken(str(error)) from error
        if not 200 <= answer.status < 300:
            raise NotTaken(f"the API answered {answer.status}")

    def close(self) -> None:
        """Close all connections."""
        self._http.close()
