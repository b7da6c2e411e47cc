"""Asking the daemon on this machine, for our own commands: with what is imported quickly."""

import http.client
import json
from typing import Any


class DaemonUnreachable(Exception):
    """No daemon answers there."""


def ask_daemon(method: str, url: str, token: str | None, body: Any = None, timeout_s: float = 60.0) -> tuple[int, Any]:
    """Ask the daemon on this machine and return (status, JSON). Blocking.

    Raises:
        DaemonUnreachable: nobody answers, or not in JSON.
    """
    address, _, target = url.removeprefix("http://").partition("/")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if body is not None:
        headers["Content-Type"] = "application/json"
    daemon = http.client.HTTPConnection(address, timeout=timeout_s)
    try:
        daemon.request(method, f"/{target}", None if body is None else json.dumps(body), headers)
        response = daemon.getresponse()
        return response.status, json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DaemonUnreachable(str(error) or type(error).__name__) from error
    finally:
        daemon.close()
