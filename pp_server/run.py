"""`pp_server run`: one process, the public port and the admin socket, until it is told to stop."""

import asyncio
import contextlib
import gc
import logging
import math
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from pp_server import posix
from pp_server.admin_app import create_admin_app
from pp_server.app import create_app
from pp_server.bounds import serving
from pp_server.bounds.connections import ConnectionLimits
from pp_server.bounds.http import bounded
from pp_server.core.errors import StartRefused
from pp_server.datadir import DataDir
from pp_server.durable import Durable
from pp_server.settings import LimitSettings, Settings
from pp_server.tls import GOODBYE_SECONDS, server_context

log = logging.getLogger(__name__)

FORCE_SECONDS = 2.0
"""So long after the time for running requests is over, a stop is forced."""

OTHER_FILES = 400
"""Open files besides those of connections: the database, uploads kept in memory, what workers are reading."""

CONTAINERS = 50_000
"""So many new objects make the search for cycles worth it: a batch has tens of thousands, and none in a cycle."""

FILES_PER_CONNECTION = 2
"""Itself, and what is downloaded over it."""


class Server(serving.Server):
    """A server that does not wait long for handshakes."""

    handshake_seconds = 10.0
    """So long a client has for its handshake, over TLS."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on *sockets*; uvicorn would do the same, without a limit for the time a handshake may take."""
        await super().startup(sockets=[])
        limits: dict[str, Any] = {}
        if self.config.ssl is not None:
            limits = {"ssl_handshake_timeout": self.handshake_seconds, "ssl_shutdown_timeout": GOODBYE_SECONDS}
        for listener in sockets or ():
            self.servers.append(
                await asyncio.get_running_loop().create_server(
                    self._protocol, sock=listener, ssl=self.config.ssl, backlog=self.config.backlog, **limits
                )
            )

    def _protocol(self) -> asyncio.Protocol:
        kind: Any = self.config.http_protocol_class
        made: asyncio.Protocol = kind(self.config, self.server_state, self.lifespan.state)
        return made


def run(settings: Settings, durable: Durable | None = None) -> None:
    """Serve until SIGTERM or SIGINT. Raises StartRefused where the server cannot begin."""
    posix.raise_open_files_limit()
    gc.set_threshold(CONTAINERS)
    posix.keep_freed_memory()
    _configure_logs(settings.log_level)
    factory = uvicorn.Config("unused", loop="auto", log_config=None).get_loop_factory()
    patience = _patience(settings.shutdown_seconds + FORCE_SECONDS)
    with patience as stopping, asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(settings, durable or Durable(), stopping))


@contextlib.contextmanager
def _patience(seconds: float) -> Iterator[Callable[[], None]]:
    """Yield a function to call when the stop begins: if the block has not ended *seconds* later, the process ends.

    Only work on the disk can take so long, such as reading a large file back before a receipt. Nothing is lost by
    leaving it: the next start goes on as after a kill.
    """
    timers: list[threading.Timer] = []

    def begin() -> None:
        timer = threading.Timer(seconds, _give_up, (seconds,))
        timer.daemon = True
        timer.start()
        timers.append(timer)

    try:
        yield begin
    finally:
        for timer in timers:
            timer.cancel()


def _give_up(seconds: float) -> None:
    log.error("the stop took longer than %.0f seconds: ending at once; what was promised is safe", seconds)
    os._exit(1)


def _configure_logs(level: str) -> None:
    """Send our records of at least *level*, and others' warnings, to standard error, with times in UTC."""
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        level=logging.WARNING,
        format="%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
        stream=sys.stderr,
    )
    for ours in ("pp_server", "uvicorn.access"):
        logging.getLogger(ours).setLevel(level.upper())


async def serve(settings: Settings, durable: Durable, stopping: Callable[[], None]) -> None:
    """Serve until a signal comes; *stopping* is called then."""
    encryption = server_context(settings.tls)
    app = create_app(settings, durable)
    data = DataDir.at(settings.data_dir)
    async with app.router.lifespan_context(app):
        with contextlib.ExitStack() as sockets:
            public = sockets.enter_context(_listen(settings.host, settings.port))
            servers = [(_server(app, settings, encryption), public)]
            if sys.platform != "win32":
                admin = sockets.enter_context(contextlib.closing(posix.listen_unix(data.socket)))
                sockets.callback(durable.unlink, data.socket)
                servers.append((_server(create_admin_app(app.state.admin), settings), admin))
            await _serve_all(servers, _url(public, encryption is not None), settings, stopping)


async def _serve_all(
    servers: list[tuple[Server, socket.socket]], url: str, settings: Settings, stopping: Callable[[], None]
) -> None:
    def stop() -> None:
        stopping()
        for server, _ in servers:
            server.should_exit = True

    posix.on_stop_signals(asyncio.get_running_loop().add_signal_handler, stop)
    async with asyncio.TaskGroup() as group:
        for server, listener in servers:
            group.create_task(server.serve(sockets=[listener]))
        while not all(server.started for server, _ in servers):  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        gc.freeze()  # what is there by now stays until the end: no collection need ever look at it
        gc.enable()
        print(f"pp_server ready on {url} (data in {settings.data_dir})", flush=True)  # noqa: T201 - scripts wait for it


def _server(app: ASGIApp, settings: Settings, encryption: ssl.SSLContext | None = None) -> Server:
    server = Server(
        uvicorn.Config(
            app,
            http=bounded(_limits(settings.limits)),
            ws="none",  # no route of ours is one, and what is handed over would escape our limits
            ssl_context_factory=None if encryption is None else lambda *_: encryption,
            lifespan="off",
            log_config=None,
            access_log=settings.access_log,
            server_header=False,
            timeout_keep_alive=math.ceil(settings.limits.idle_seconds),
            timeout_graceful_shutdown=settings.shutdown_seconds,
        )
    )
    server.handshake_seconds = settings.limits.head_seconds
    return server


def _limits(chosen: LimitSettings) -> ConnectionLimits:
    """Return what was chosen, and no more connections than there can be open files."""
    most = max(8, (posix.open_files_limit() - OTHER_FILES) // FILES_PER_CONNECTION)
    return ConnectionLimits(
        min(chosen.max_connections, most),
        chosen.max_connections_per_address,
        chosen.head_seconds,
        chosen.idle_seconds,
        chosen.min_rate_bytes,
        chosen.body_window_seconds,
        chosen.answer_window_seconds,
    )


@contextlib.contextmanager
def _listen(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise StartRefused(f"Cannot listen on {host} port {port}: {error.strerror}") from error
    with listener:
        yield listener


def _url(listener: socket.socket, encrypted: bool) -> str:
    host, port = listener.getsockname()[:2]
    scheme = "https" if encrypted else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
