"""Asking a running server over its admin socket."""

import http.client
import json
import os
from typing import Any

from pp_server import posix
from pp_server.core.errors import AdminError

CONNECT_SECONDS = 30


class NobodyThere(Exception):
    """No server listens."""


class NoAnswer(Exception):
    """A server listens, and does not answer."""


def ask(socket_path: str, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the running server's answer to one command, however long it takes.

    Raises:
        AdminError: the server refused it.
        NobodyThere: there is none.
        NoAnswer: it does not answer as ours does.
    """
    if not os.path.exists(socket_path):
        raise NobodyThere
    server = _Connection(socket_path)
    try:
        server.connect()
        server.request("POST", f"/{command}", json.dumps(arguments), {"Content-Type": "application/json"})
        response = server.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
    except ConnectionRefusedError as error:
        raise NobodyThere from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswer(f"the server does not answer at {socket_path}") from error
    finally:
        server.close()
    if response.status == 400:
        raise AdminError(answer["detail"])
    if response.status != 200:
        raise NoAnswer(f"the server answered {response.status} at {socket_path}")
    return answer


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("server")
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = posix.connect_unix(self._path, CONNECT_SECONDS)
