"""Asking a running server over its admin socket. The one module that imports httpx."""

import os
from typing import Any

import httpx

from pp_server import posix
from pp_server.admin import AdminError


class ServerUnreachable(Exception):
    """A server holds the data directory, but does not answer."""


def ask(socket_path: str, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the running server's answer to one command.

    Raises:
        AdminError: the server refused it.
        ServerUnreachable: nobody answers at the socket.
    """
    if not os.path.exists(socket_path):
        raise ServerUnreachable("the server is starting or stopping; try again")
    try:
        with (
            posix.short_socket_path(socket_path) as short,
            httpx.Client(
                transport=httpx.HTTPTransport(uds=short), timeout=httpx.Timeout(30, read=None), trust_env=False
            ) as client,
        ):
            response = client.post(f"http://server/{command}", json=arguments)
    except httpx.HTTPError as error:
        raise ServerUnreachable(f"the server does not answer at {socket_path}") from error
    if response.status_code == 400:
        raise AdminError(response.json()["detail"])
    if response.status_code != 200:
        raise ServerUnreachable(f"the server answered {response.status_code} at {socket_path}")
    answer: dict[str, Any] = response.json()
    return answer
