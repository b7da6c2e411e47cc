"""Connections that are kept, per project. Every method may be called from any thread, and blocks.

A paramiko SFTPClient serves one thread at a time; a Transport serves many clients. So whoever works borrows a client of
its own, and all those of one project share a connection.
"""

import threading
import time
from collections.abc import Callable, Hashable, Iterator
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
    lock: threading.Condition = field(default_factory=threading.Condition)
    most: int = CLIENTS
    """Clients that are lent at a time; fewer, where the server gives no more over one connection."""
    lent: int = 0
    is_over: bool = False
    """Nobody finds it any more; whoever waited for a client of it is the last."""
    main: Any = None
    transport: Any = None
    idle: list[Any] = field(default_factory=list)


class Pool:
    """All of them."""

    def __init__(self) -> None:
        self._projects: dict[Hashable, _Project] = {}
        self._lock = threading.Lock()

    def main(self, name: Hashable, fits: object, connect: Connect) -> tuple[Any, Any]:
        """Return the (SFTPClient, Transport) of a project: the same ones as long as they are any good."""
        while True:
            project = self._project(name, fits)
            with project.lock:
                if project.is_over:  # it was ended while we waited: nobody would end what we connect
                    continue
                _connected(project, connect)
                if project.main is None or _is_closed(project.main):
                    project.main = _unused(project)
                return project.main, project.transport

    @contextmanager
    def borrowed(self, name: Hashable, fits: object, connect: Connect) -> Iterator[Any]:
        """Give the block a client that nobody else uses meanwhile. After any error it is not used again.

        Whoever has one must not wait for another one: there might be none left.
        """
        project = self._project(name, fits)
        client, transport = _lent(project, connect)
        is_good = is_silent = False
        try:
            yield client
            is_good = True
        except SftpUnreachable:
            is_silent = transport.is_active() and not _is_closed(client)
            raise
        finally:
            with project.lock:
                project.lent -= 1
                if is_kept := is_good and project.transport is transport and not _is_closed(client):
                    project.idle.append(client)
                elif is_silent and project.transport is transport:
                    _close(project)  # nobody has closed it, and nobody answers: the others would wait as long
                if project.is_over and not project.lent:
                    _close(project)
                project.lock.notify_all()
            if not is_kept:
                with suppress(Exception):
                    client.close()

    def run(self, name: Hashable, fits: object, connect: Connect, work: Callable[[Any], T]) -> T:
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

    def forget(self, name: Hashable) -> None:
        """Close what is kept for a project."""
        with self._lock:
            project = self._projects.pop(name, None)
        if project is not None:
            _end(project)

    def close(self) -> None:
        """Close everything; what is asked for later is opened anew."""
        for name in list(self._projects):
            self.forget(name)

    def _project(self, name: Hashable, fits: object) -> _Project:
        with self._lock:
            before = self._projects.get(name)
            if before is not None and before.fits == fits:
                return before
            project = self._projects[name] = _Project(fits)
        if before is not None:
            _end(before)
        return project


def _lent(project: _Project, connect: Connect) -> tuple[Any, Any]:
    """Return a client to be used by one, and its connection; wait until there is one."""
    with project.lock:
        while True:
            project.lock.wait_for(lambda: project.lent < project.most)
            _connected(project, connect)
            try:
                client = _unused(project)
            except SftpUnreachable:
                if not project.lent or not project.transport.is_active():
                    if project.main is None:
                        _close(project)  # nobody has anything of it, and it gives nothing
                    raise
                project.most = project.lent
                continue
            project.lent += 1
            return client, project.transport


def _unused(project: _Project) -> Any:
    """Return a client that nobody uses."""
    while project.idle:
        if not _is_closed(client := project.idle.pop()):
            return client
    from pp_assist.sftp.connecting import open_client

    return open_client(project.transport)


def _connected(project: _Project, connect: Connect) -> None:
    """Have a connection that is alive, as far as anybody knows."""
    if project.transport is not None and project.transport.is_active():
        return
    _close(project)
    client, project.transport = connect()
    project.idle, project.most = [client], CLIENTS


def _is_closed(client: Any) -> bool:
    return bool(client.get_channel().closed)


def _end(project: _Project) -> None:
    with project.lock:
        project.is_over = True
        _close(project)


def _close(project: _Project) -> None:
    with suppress(Exception):  # whatever is wrong with it, nobody wants it any more
        if project.transport is not None:
            project.transport.close()
    project.main = project.transport = None
    project.idle = []
