"""The state directory: who we are, the token, and the lock that makes us the only daemon on it."""

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import uuid4

from pp_assist import posix

DATABASE = "assist.db"
TOKEN = "api-token"  # noqa: S105 - a file name
PORT = "api-port"
HOST_ID = "host-id"
LOCK = "lock"


class AlreadyRunning(Exception):
    """Another daemon has this state directory."""


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """An opened state directory; `lock_fd` holds it until the process ends."""

    path: str
    lock_fd: int
    host_id: str
    token: str
    is_new: bool = False
    """The host id was made just now."""

    @property
    def database(self) -> str:
        """Path of the database."""
        return os.path.join(self.path, DATABASE)

    def announce_port(self, port: int) -> None:
        """Write down where the API listens, for our own commands."""
        write_private(os.path.join(self.path, PORT), f"{port}\n")

    def close(self) -> None:
        """Let another daemon have it."""
        os.close(self.lock_fd)


def open_state(path: str) -> StateDirectory:
    """Take the state directory, creating what is missing.

    Raises:
        AlreadyRunning: another daemon has it.
        OSError: it cannot be used.
    """
    posix.make_private_directory(path)
    lock_fd = posix.lock_file(os.path.join(path, LOCK))
    if lock_fd is None:
        raise AlreadyRunning(f"a daemon is already running on {path}")
    made = uuid4().hex
    host_id = _kept(os.path.join(path, HOST_ID), lambda: made)
    token = _kept(os.path.join(path, TOKEN), lambda: secrets.token_hex(32))
    return StateDirectory(path, lock_fd, host_id, token, is_new=host_id == made)


def become_another_host(state: StateDirectory) -> StateDirectory:
    """Return the state directory with a new host id: another daemon has the old one, too."""
    host_id = uuid4().hex
    write_private(os.path.join(state.path, HOST_ID), f"{host_id}\n")
    return replace(state, host_id=host_id, is_new=False)


def read_token(path: str) -> str:
    """Return the API token of the daemon on the state directory *path*.

    Raises:
        OSError: there is none, or it is not ours to read.
    """
    return _read(os.path.join(path, TOKEN))


def read_port(path: str) -> int | None:
    """Return where the last daemon on *path* listened, or None."""
    try:
        return int(_read(os.path.join(path, PORT)))
    except (OSError, ValueError):
        return None


def _kept(path: str, make: Callable[[], str]) -> str:
    """Return what the file says; make it, durably, where there is none or nothing in it."""
    try:
        if kept := _read(path):
            return kept
    except FileNotFoundError:
        pass
    write_private(path, made := make())
    return made


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read().strip()


def write_private(path: str, text: str) -> None:
    """Replace the file in one durable step; nobody else can ever read it."""
    draft = f"{path}.new"
    if os.path.lexists(draft):
        os.unlink(draft)
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
    posix.sync_directory(os.path.dirname(path))
