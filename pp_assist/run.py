"""Running a daemon in the foreground, from its first look at the state directory to its end."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence

from starlette.types import Scope

from pp_assist import posix
from pp_assist.api.app import create_app
from pp_assist.api.server import Api, listen
from pp_assist.api.services import Warned
from pp_assist.daemon import Daemon, build
from pp_assist.serving import doors_of, services_of
from pp_assist.settings import Settings
from pp_assist.sockets import is_our_socket
from pp_assist.state import StateDirectory, become_another_host, open_state
from pp_assist.store import queue, receipts, reconciling, versions
from pp_assist.supervisor import Supervisor
from pp_assist.uploader.way import Host

log = logging.getLogger(__name__)

SWITCH_S = 0.0005
"""How long a thread that computes keeps the event loop waiting. Python's own 5 ms, times all threads that work, is long
for whoever waits for an answer."""

REST_S = 10.0
"""Without a change of anything: nobody is at work."""

CONTAINERS = 50_000
"""So many new objects make the search for cycles worth it: a batch has tens of thousands, and none in a cycle."""


async def run(
    settings: Settings, config_path: str, ready: Callable[[int], None], reload: Callable[[], Settings]
) -> None:
    """Run a daemon until SIGTERM or SIGINT; *ready* is told its port once the API listens.

    *reload* reads the settings anew, after a change of the configuration file.

    Where damage of the database comes to light while it is used, everything is begun anew with another one.

    Raises:
        AlreadyRunning: another daemon has the state directory.
        DatabaseUnusable: the database is of a newer version of this program.
        OSError: the port is taken, or the state directory cannot be used.
    """
    posix.restrict_umask()
    posix.keep_freed_memory()
    sys.setswitchinterval(SWITCH_S)
    state = open_state(settings.state_dir)
    if posix.is_root_user():
        log.warning("running as root: everything on this machine can be read, whoever it belongs to")
    with contextlib.closing(state):
        damage: str | None = None
        said: list[Warned] = []
        while True:
            try:
                await _run(settings, state, config_path, ready, damage, said, reload)
            except _Damaged as error:
                damage = str(error)
                ready = _said_already
            except _HostShared:
                before, state = state.host_id, become_another_host(state)
                text = (
                    f"another daemon is host {before}, too (a copied state directory): this one is {state.host_id} now"
                )
                log.error("%s", text)
                said.append(Warned("host_renewed", text))
                damage, ready = None, _said_already
            else:
                break
    log.info("stopped")


class _Damaged(Exception):
    """The database turned out to be damaged; the message says how."""


class _HostShared(Exception):
    """Another daemon is the same host."""


def _said_already(port: int) -> None:
    pass


async def _run(
    settings: Settings,
    state: StateDirectory,
    config_path: str,
    ready: Callable[[int], None],
    damage: str | None,
    said: Sequence[Warned],
    reload: Callable[[], Settings],
) -> None:
    host = Host(state.host_id, settings.hostname, state.is_new and damage is None)
    with contextlib.closing(listen(settings.api.host, settings.api.port)) as listener:
        port = listener.getsockname()[1]
        state.announce_port(port)
        async with build(settings, state.database, host, (os.fsencode(state.path),), distrusted=damage) as daemon:
            try:
                await _put_in_order(daemon)
                await _serve(daemon, state, listener, config_path, lambda: ready(port), said, reload)
            except _HostShared:
                async with daemon.db.transaction() as tx:  # first: what is known is of the host that we were
                    await versions.disregard_all_receipts(tx, daemon.clock.now_ms())
                    await reconciling.doubt(tx)
                raise
            except sqlite3.DatabaseError as error:
                if daemon.db.damaged.is_set():
                    raise _Damaged(daemon.db.damage) from error
                raise


async def _put_in_order(daemon: Daemon) -> None:
    now_ms = daemon.clock.now_ms()
    async with daemon.db.transaction() as tx:
        await queue.ask_again(tx, None, now_ms)  # a new version may do what the last could not
        await queue.age(tx, int(daemon.settings.rules.min_age_seconds * 1000), now_ms)
        await receipts.prune(tx)


async def _serve(
    daemon: Daemon,
    state: StateDirectory,
    listener: socket.socket,
    config_path: str,
    ready: Callable[[], None],
    said: Sequence[Warned],
    reload: Callable[[], Settings],
) -> None:
    """Serve until told to stop.

    Raises:
        _Damaged: until the database is seen to be damaged.
        _HostShared: until another daemon is seen to be the same host.
    """
    stages = Supervisor([*daemon.stages, daemon.drop_folders, daemon.surroundings, daemon.fetches, daemon.journal])
    stop = asyncio.Event()
    services = services_of(daemon, state, config_path, stages, said, reload, stop.set)
    port = listener.getsockname()[1]
    doors = doors_of(services, state, daemon.settings.api, lambda: port)
    api = Supervisor([Api(create_app(services, doors, _is_ours), listener)])
    with _signals(stop):
        log.info("daemon on %s, port %d", state.path, port)
        gc.set_threshold(CONTAINERS)
        gc.freeze()  # what is there by now stays until the end: no collection need ever look at it
        gc.enable()
        ready()
        timeout_s = daemon.settings.daemon.shutdown_timeout
        async with asyncio.TaskGroup() as group:
            group.create_task(stages.run_until(stop))
            group.create_task(api.run_until(stop))
            watching = group.create_task(_stop_when_no_good(daemon, stop))
            resting = group.create_task(_give_back_memory(daemon))
            await stop.wait()
            giving_up = asyncio.get_running_loop().call_later(timeout_s, _give_up, timeout_s)
            watching.cancel()
            resting.cancel()
        if daemon.db.damaged.is_set() or daemon.link.host_shared.is_set():
            giving_up.cancel()
            raise _Damaged(daemon.db.damage) if daemon.db.damaged.is_set() else _HostShared


async def _is_ours(scope: Scope) -> bool:
    """Say whether who asks is a program of our own user."""
    client, server = scope.get("client"), scope.get("server")
    if client is None or server is None:
        return False
    return await asyncio.to_thread(is_our_socket, client, server)  # the system's table of sockets may be long


async def _stop_when_no_good(daemon: Daemon, stop: asyncio.Event) -> None:
    reasons = [asyncio.ensure_future(event.wait()) for event in (daemon.db.damaged, daemon.link.host_shared)]
    try:
        await asyncio.wait(reasons, return_when=asyncio.FIRST_COMPLETED)
        log.error("%s: everything stops, and begins anew", daemon.db.damage or "another daemon is the same host")
        stop.set()
    finally:
        for reason in reasons:
            reason.cancel()


async def _give_back_memory(daemon: Daemon) -> None:
    """Return memory to the system once there is nothing more to do."""
    before = given = -1
    while True:
        await asyncio.sleep(REST_S)
        if (commits := daemon.db.commits) == before != given:
            posix.give_back_memory()
            given = commits
        before = commits


def _give_up(timeout_s: float) -> None:
    """End at once: every acknowledged effect is committed, everything else is found again at the next start."""
    log.error("still busy %.0f s after being told to stop: ending now", timeout_s)
    logging.shutdown()
    os._exit(1)


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """Let SIGTERM and SIGINT set *stop* for the block."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)
    if sys.platform == "win32":
        for number in numbers:
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
        yield
        return
    for number in numbers:
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
