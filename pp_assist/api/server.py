"""The API as a component: uvicorn inside the daemon's own loop. Signals belong to the daemon."""

import asyncio
import socket

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from pp_server.bounds.connections import ConnectionLimits
from pp_server.bounds.http import bounded
from pp_server.bounds.serving import Server

STOP_S = 3
"""For running requests to end, when the daemon is stopped; the last of it is ours, to end them in good order."""

MOST_CONNECTIONS = 128
LIMITS = ConnectionLimits(MOST_CONNECTIONS, max_per_address=MOST_CONNECTIONS, places_for_strangers=False)


class _Socket(WebSocketsSansIOProtocol):
    """A WebSocket that is cut where nobody reads: a mere close waits until all that was sent before is taken."""

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.transport.abort()


def listen(host: str, port: int) -> socket.socket:
    """Return a socket listening on *host*, *port*.

    Raises:
        OSError: the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=128)


class Api:
    """The component."""

    name = "api"

    def __init__(self, app: ASGIApp, listener: socket.socket, limits: ConnectionLimits = LIMITS) -> None:
        self._app = app
        self._listener = listener
        self._limits = limits

    async def run(self) -> None:
        """Serve until cancelled, then let running requests end for a moment."""
        config = uvicorn.Config(
            self._app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws=_Socket,
            ws_max_size=1 << 16,
            ws_ping_interval=self._limits.answer_window_seconds,
            ws_ping_timeout=self._limits.answer_window_seconds,
            server_header=False,
            http=bounded(self._limits),
            timeout_graceful_shutdown=STOP_S,
        )
        server = Server(config)
        serving = asyncio.create_task(server.serve(sockets=[self._listener]), name="uvicorn")
        try:
            await asyncio.shield(serving)
        finally:
            server.should_exit = True
            await asyncio.wait([serving], timeout=STOP_S + 1)
