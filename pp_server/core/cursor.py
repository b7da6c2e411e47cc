"""A place in a listing as an opaque word that clients hand back."""

import base64
import json

from pp_server.core.errors import InvalidRequest
from pp_server.core.model import Position

_MAX_INT = 2**63 - 1


def to_cursor(position: Position) -> str:
    """Return *position* as URL-safe text."""
    path = base64.b64encode(position.path).decode("ascii")
    return base64.urlsafe_b64encode(json.dumps([position.host_key, path, position.total]).encode()).decode("ascii")


def from_cursor(text: str) -> Position:
    """Return the position *text* stands for.

    Raises:
        InvalidRequest: it is not one of ours.
    """
    try:
        host_key, path, total = json.loads(base64.urlsafe_b64decode(text.encode("ascii")))
        position = Position(host_key, base64.b64decode(path, validate=True), total)
        if type(host_key) is not int or type(total) is not int or not 0 <= host_key <= _MAX_INT:
            raise ValueError
    except (ValueError, TypeError, RecursionError):
        raise InvalidRequest("after is not a cursor of this server", [("after", "is not a cursor")]) from None
    return position
