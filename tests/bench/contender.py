"""What is compared: something that brings a tree to another place, and back."""

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path

from tests.bench.meter import Spent
from tests.bench.slowlink import SlowLink
from tests.bench.workloads import files_below
from tests.e2e.harness import free_port

START_S = 20.0


class Contender(ABC):
    """One of them, with everything it keeps in one folder. Nothing runs before `open` and after `close`."""

    name = ""
    needs: tuple[str, ...] = ()
    """Programs that must be installed."""
    package = ""
    """What to install if one is missing."""
    watches = False
    """Whether it notices changes by itself."""
    restores = True
    """Whether it can bring everything back."""

    def __init__(self, folder: Path, link: SlowLink | None = None) -> None:
        self.folder = folder
        self.spent = Spent()
        self._link = link
        self._started: list[subprocess.Popen[bytes]] = []
        folder.mkdir()

    @classmethod
    def why_not(cls) -> str:
        """Say why it cannot run here; empty where it can."""
        missing = [program for program in cls.needs if not shutil.which(program)]
        return f"no {', '.join(missing)}: apt-get install {cls.package}" if missing else ""

    @classmethod
    @abstractmethod
    def version(cls) -> str:
        """Say what is measured."""

    @abstractmethod
    def open(self, tree: Path) -> None:
        """Start the servers, with nothing in them. Not measured."""

    @abstractmethod
    def sync(self, tree: Path) -> None:
        """Bring everything that is new in the tree to its place; return once that is done."""

    def restore(self, tree: Path, to: Path) -> None:
        """Bring everything back, into an empty folder (of one that can)."""
        raise NotImplementedError

    def restored_faults(self, tree: Path, to: Path) -> list[str]:
        """Say in what a restored tree differs from *tree*."""
        return folder_faults(tree, to)

    @abstractmethod
    def faults(self, tree: Path) -> list[str]:
        """Say in what its place differs from the tree. Not measured."""

    @abstractmethod
    def stored(self) -> list[Path]:
        """Return where the servers keep things."""

    def has(self, path: Path) -> bool:
        """Say whether this file has arrived, as it is now (of one that watches)."""
        raise NotImplementedError

    def clients(self) -> list[int]:
        """Return the processes on the client's side that go on running."""
        return []

    def servers(self) -> list[int]:
        """Return the processes on the server's side."""
        return [process.pid for process in self._started]

    def facts(self) -> dict[str, int]:
        """Return what else it counts by itself."""
        return {}

    def close(self) -> None:
        """Stop everything."""
        for process in self._started:
            stop(process)
        self._started.clear()

    # -- for those who implement it

    def serve(self, command: list[str], port: int, **environment: str) -> subprocess.Popen[bytes]:
        """Start a server, and return once its port is open."""
        with open(self.folder / "servers.log", "ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ | environment
            )
        self._started.append(process)
        end = time.monotonic() + START_S
        while time.monotonic() < end and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return process
            time.sleep(0.02)
        said = (self.folder / "servers.log").read_text(errors="replace")[-1000:]
        raise AssertionError(f"{' '.join(command)} does not listen on {port}:\n{said}")

    def reach(self, port: int) -> int:
        """Return the port where clients find what listens on *port*: over the slow link, if there is one."""
        return self._link.to(port) if self._link else port


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process, politely at first."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def another_port() -> int:
    """Return a port nobody uses."""
    return free_port()


def digests(root: Path, ignoring: str = "") -> dict[str, str]:
    """Return the SHA-256 of every file below *root*, by its path from there."""
    found = {}
    for entry in files_below(root):
        name = os.path.relpath(entry.path, root)
        if not ignoring or not name.startswith(ignoring):
            with open(entry.path, "rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def folder_faults(tree: Path, copy: Path, ignoring: str = "") -> list[str]:
    """Say in what two folders differ: names, and bytes."""
    expected, found = digests(tree, ignoring), digests(copy, ignoring)
    missing = [f"missing: {name}" for name in expected.keys() - found.keys()]
    too_many = [f"too many: {name}" for name in found.keys() - expected.keys()]
    other = [f"different: {name}" for name in expected.keys() & found.keys() if expected[name] != found[name]]
    return [*missing, *too_many, *other]
