"""Connections that are kept, per project. Every method may be called from any thread, and blocks.

A paramiko SFTPClient serves one thread at a time; a Transport serves many clients. So whoever works borrows a client of
its own, and all those of one project share a connection.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pp_assist.sftp.errors import SftpUnreachable

T = TypeVar("T")

CLIENTS = 8
"""Clients over one connection: OpenSSH allows ten."""
ATTEMPTS = 6
FIRST_PAUSE_S = 0.2
"""Before the second attempt; doubling. All together it takes six seconds, as long as a server needs to start again."""

Connect = Callable[[], tuple[Any, Any]]


@dataclass(slots=True)
class _Project:
    """What is open for one project."""

    fits: object
    """Where it leads and as whom: another configuration is another connection."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    free: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(CLIENTS))
    main: Any = None
    transport: Any = None
    idle: list[Any] = field(default_factory=list)


class Pool:
    """All of them."""

    def __init__(self) -> None:
        self._projects: dict[str, _Project] = {}
        self._lock = threading.Lock()

    def main(self, name: str, fits: object, connect: Connect) -> tuple[Any, Any]:
        """Return the (SFTPClient, Transport) of a project: the same ones as long as they are any good."""
        project = self._project(name, fits)
        with project.lock:
            self._connected(project, connect)
            return project.main, project.transport

    @contextmanager
    def borrowed(self, name: str, fits: object, connect: Connect) -> Iterator[Any]:
        """Give the block a client that nobody else uses meanwhile. After any error it is not used again."""
        project = self._project(name, fits)
        with project.free:
            with project.lock:
                self._connected(project, connect)
                transport = project.transport
                client = project.idle.pop() if project.idle else None
            if client is None:
                client = _one_more(transport)
            try:
                yield client
            except BaseException:
                with suppress(Exception):
                    client.close()
                raise
            with project.lock:
                if project.transport is transport and not client.get_channel().closed:
                    project.idle.append(client)
                    return
            client.close()

    def run(self, name: str, fits: object, connect: Connect, work: Callable[[Any], T]) -> T:
        """Return what *work* makes of a borrowed client. Where the connection breaks it is done again, on another one.

        Raises:
            SftpUnreachable: there is none, for some seconds.
            SftpError: whatever else *work* or *connect* raise.
        """
        pause_s = FIRST_PAUSE_S
        for attempt in range(ATTEMPTS):
            try:
                with self.borrowed(name, fits, connect) as client:
                    return work(client)
            except SftpUnreachable:
                if attempt == ATTEMPTS - 1:
                    raise
            time.sleep(pause_s)
            pause_s *= 2
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close everything; what is asked for later is opened anew."""
        with self._lock:
            projects, self._projects = list(self._projects.values()), {}
        for project in projects:
            with project.lock:
                _close(project)

    def _project(self, name: str, fits: object) -> _Project:
        with self._lock:
            project = self._projects.get(name)
            if project is None or project.fits != fits:
                if project is not None:
                    with project.lock:
                        _close(project)
                project = self._projects[name] = _Project(fits)
            return project

    @staticmethod
    def _connected(project: _Project, connect: Connect) -> None:
        """Have a connection that is alive, as far as anybody knows."""
        transport, main = project.transport, project.main
        if transport is not None and transport.is_active() and not main.get_channel().closed:
            return
        _close(project)
        project.main, project.transport = connect()


def _one_more(transport: Any) -> Any:
    from pp_assist.sftp.connecting import open_client

    return open_client(transport)


def _close(project: _Project) -> None:
    with suppress(Exception):  # whatever is wrong with it, nobody wants it any more
        if project.transport is not None:
            project.transport.close()
    project.main = project.transport = None
    project.idle.clear()
