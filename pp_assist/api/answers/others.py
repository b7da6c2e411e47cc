"""What happens, servers, settings and sessions."""

from typing import Any, NotRequired

from typing_extensions import TypedDict

from pp_assist.api.answers.common import Time, exact
from pp_assist.core.events import Event


@exact
class Happened(TypedDict):
    """Something that happened."""

    id: int
    event_type: Event
    filepath: str | None
    filepath_b64: NotRequired[str]
    path_id: int | None
    count: int
    message: str | None
    details: dict[str, Any]
    created_at: Time


@exact
class Activity(TypedDict):
    """GET /activity"""

    events: list[Happened]
    total: int
    has_more: bool


@exact
class Paused(TypedDict):
    """POST /pause"""

    status: str
    since: Time
    until: Time | None


@exact
class Server(TypedDict):
    """A server."""

    id: int
    name: str
    url: str
    username: str | None
    is_default: bool
    created_at: Time
    state: str
    reason: str | None
    last_contact_at: Time | None
    fingerprint: str | None
    ca_file: str | None


@exact
class Servers(TypedDict):
    """GET /servers"""

    servers: list[Server]
    total: int


@exact
class Trial(TypedDict):
    """Whether uploads to a server would work."""

    ok: bool
    code: str
    text: str
    took_ms: int
    server_id: str | None


@exact
class Field(TypedDict):
    """A setting."""

    name: str
    type: str
    description: str
    unit: str | None
    default: Any
    value: Any
    saved: Any
    minimum: float | None
    maximum: float | None
    choices: list[str] | None
    at_once: bool
    from_environment: bool


@exact
class Fields(TypedDict):
    """GET /config/fields"""

    fields: list[Field]
    total: int


class Config(TypedDict):
    """GET /config; the settings stand beside these, too."""

    config_file: str
    config: dict[str, Any]


@exact
class Saved(TypedDict):
    """POST /config"""

    status: str
    config_file: str
    message: str
    config: dict[str, Any]
    applied: list[str]
    at_next_start: list[str]


@exact
class Ticket(TypedDict):
    """POST /session/ticket"""

    ticket: str
    expires_in_seconds: float


@exact
class Verified(TypedDict):
    """POST /verify"""

    results: list[dict[str, Any]]
    offered_again: int
    retry_after_seconds: float | None
