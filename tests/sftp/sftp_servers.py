"""Real SFTP servers for tests: OpenSSH's, and asyncssh's; each in a process that can be killed and started again."""

import contextlib
import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
OTHER = Path(__file__).parent / "other_server.py"
USER, PASSWORD = "partner", "correct horse"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def make_key(path: Path, kind: str = "ed25519") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", path], check=True)
    return path


def fingerprint_of(key: Path) -> str:
    told = subprocess.run(["ssh-keygen", "-l", "-f", f"{key}.pub"], capture_output=True, text=True, check=True)
    return told.stdout.split()[1]


@dataclass
class SftpServer(ABC):
    """One of them. `root` is the folder that it serves; `path` is how a client names it."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.root = self.folder / "root"
        self.root.mkdir(exist_ok=True)
        self.host_key = make_key(self.folder / "host")
        self.log = self.folder / "server.log"
        self.prepare()

    @abstractmethod
    def prepare(self) -> None:
        """Write down whom it lets in."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return what starts it."""

    @property
    @abstractmethod
    def config(self) -> dict[str, Any]:
        """What `SftpService` needs."""

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(self.host_key)

    @property
    def path(self) -> str:
        return str(self.root)

    @property
    def known_hosts(self) -> Path:
        key = Path(f"{self.host_key}.pub").read_text().split()
        file = self.folder / "known_hosts"
        file.write_text(f"[127.0.0.1]:{self.port} {key[0]} {key[1]}\n")
        return file

    def start(self) -> "SftpServer":
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + 15
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)
        raise AssertionError("the SFTP server does not answer")

    def kill(self) -> None:
        """kill -9 it, and whatever serves a connection: sessions of sshd are processes of their own."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGSTOP)  # nobody is let in any more
                while below := _below(self.process.pid):
                    for pid in below:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                    time.sleep(0.02)
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self) -> None:
        self.kill()
        self.start()


class OpenSsh(SftpServer):
    """OpenSSH: login by key only, as whoever runs the tests."""

    def prepare(self) -> None:
        self.user_key = make_key(self.folder / "user")
        shutil.copy(f"{self.user_key}.pub", self.folder / "authorized_keys")
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        lines = {
            "ListenAddress": "127.0.0.1",
            "Port": self.port,
            "HostKey": self.host_key,
            "PidFile": "none",
            "AuthorizedKeysFile": self.folder / "authorized_keys",
            "StrictModes": "no",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "PermitRootLogin": "prohibit-password",
            "MaxStartups": 100,
            "LogLevel": "VERBOSE",
            "RekeyLimit": "256M",
            "Subsystem": f"sftp internal-sftp -d {self.root}",
        }
        text = "".join(f"{name} {value}\n" for name, value in lines.items())
        (self.folder / "sshd_config").write_text(text)

    def command(self) -> list[str]:
        return [SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")]

    @property
    def config(self) -> dict[str, Any]:
        return {
            "project_id": "openssh",
            "sftp_host": "127.0.0.1",
            "sftp_port": str(self.port),
            "sftp_user": getpass.getuser(),
            "sftp_key": str(self.user_key),
        }


class Other(SftpServer):
    """asyncssh: login by password, and what it does not do on demand."""

    options: tuple[str, ...] = ()

    def prepare(self) -> None:
        pass

    def command(self) -> list[str]:
        arguments = [str(self.root), str(self.port), str(self.host_key), USER, PASSWORD]
        return [sys.executable, str(OTHER), *arguments, *self.options]

    @property
    def path(self) -> str:
        return ""

    @property
    def config(self) -> dict[str, Any]:
        return {
            "project_id": "other",
            "sftp_host": "127.0.0.1",
            "sftp_port": self.port,
            "sftp_user": USER,
            "sftp_pass": PASSWORD,
        }

    def passwords_seen(self) -> list[str]:
        """What somebody tried to log in with, whether that was right or not."""
        lines = self.log.read_text().splitlines()
        return [json.loads(line)["password"] for line in lines if line.startswith('{"password"')]


def _below(pid: int) -> list[int]:
    """The processes that were started by *pid*, and by those."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            state, parent, *_ = Path(f"/proc/{int(name)}/stat").read_text().rpartition(")")[2].split()
            if state != "Z":
                children.setdefault(int(parent), []).append(int(name))
    found = list(children.get(pid, []))
    for each in found:
        found += children.get(each, [])
    return found


@contextlib.contextmanager
def running(server: SftpServer) -> Iterator[SftpServer]:
    server.start()
    try:
        yield server
    finally:
        server.kill()
