"""Where a benchmark happens: a disk, and a network, of its own where we are root, so that nothing else is counted.

Every tree and every store lies on ext4 *with a journal*, in an image behind a loop device. On ext4 without one, many
deletions followed by many creations cost tens of seconds of CPU in the kernel: whoever makes one file per file then
looks ten times slower than it is.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ALONE = "PP_BENCH_ALONE"
"""Set where we are in namespaces of our own."""

OURS = ["unshare", "--net", "--mount"]
FLUSHES = 15
"""The field of /sys/block/DEVICE/stat that counts flushes: every fsync that has something to say is one."""


@dataclass(frozen=True)
class Ground:
    """Where trees and stores lie."""

    folder: Path
    disk: str
    """What kind of disk that is, for the results."""
    device: str = ""

    @property
    def network(self) -> str:
        """What kind of network the loopback is, for the results."""
        return "own" if os.environ.get(ALONE) else "shared"

    def flushes(self) -> int | None:
        """Return how often the disk was flushed; None where that cannot be told from others' flushes."""
        if not self.device:
            return None
        return int(Path(f"/sys/block/{self.device}/stat").read_text().split()[FLUSHES])


def be_alone() -> None:
    """Go on in a network and with mounts of our own, where that is possible: as root, on Linux."""
    if os.environ.get(ALONE) or os.geteuid() != 0 or not shutil.which("unshare"):
        return
    if subprocess.run([*OURS, "ip", "link", "set", "lo", "up"], capture_output=True, check=False).returncode == 0:
        up = 'ip link set lo up && exec "$@"'
        command = [*OURS, "sh", "-c", up, "sh", sys.executable, "-m", "tests.bench.run", *sys.argv[1:]]
        os.execvpe(command[0], command, os.environ | {ALONE: "1"})


@contextlib.contextmanager
def ground(parent: Path | None, disk_gib: int) -> Iterator[Ground]:
    """Yield a place in *parent* (default: the temporary folder), and leave nothing of it."""
    folder = Path(tempfile.mkdtemp(prefix="pp-bench-", dir=parent))
    try:
        try:
            device = _mount(folder, disk_gib)
        except (OSError, subprocess.CalledProcessError) as error:
            yield Ground(folder, f"plain directory on {_kind_of(folder)}, because: {_reason(error)}")
            return
        try:
            yield Ground(folder / "disk", "ext4 with journal on a loop device", device)
        finally:
            subprocess.run(["umount", str(folder / "disk")], check=True)
    finally:
        shutil.rmtree(folder)


def _mount(folder: Path, gib: int) -> str:
    """Mount a new ext4 at FOLDER/disk; return the name of its loop device."""
    if os.geteuid() != 0:
        raise OSError("a loop device needs root")
    image, mount = folder / "image", folder / "disk"
    with open(image, "wb") as file:
        file.truncate(gib << 30)
    mount.mkdir()
    everything_now = "lazy_itable_init=0,lazy_journal_init=0"  # or the kernel goes on with it while we measure
    _run("mkfs.ext4", "-q", "-F", "-m", "0", "-O", "has_journal", "-E", everything_now, str(image))
    device = _run("losetup", "--find", "--show", "--direct-io=on", str(image))
    try:
        _run("mount", device, str(mount))
    finally:
        _run("losetup", "--detach", device)  # the kernel does so once it is unmounted
    return os.path.basename(device)


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _reason(error: Exception) -> str:
    return str(getattr(error, "stderr", "") or error).strip()


def _kind_of(folder: Path) -> str:
    best = ("", "?")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if os.path.commonpath([where, folder]) == where and len(where) >= len(best[0]):
            best = (where, kind)
    return best[1]
