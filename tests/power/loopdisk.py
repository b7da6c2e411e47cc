"""A disk that loses its power: ext4 in a file, mounted over a loop device, shut down by the kernel at any moment.

After EXT4_IOC_SHUTDOWN without flushing the journal, the file system takes no byte more, and what it had only in memory
never reaches the image: a mount after that finds what a power cut would have left. `commit=300` keeps ext4 from writing
its journal by itself meanwhile, so whatever nobody synced is really lost. What this cannot show is a drive that
lies about its own cache: what reached the image stays there.
"""

import os
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

MIB = 1 << 20
_SHUTDOWN = 0x8004587D
_WITHOUT_LOG_FLUSH = 2
_MEMORY = Path("/dev/shm")


class NoLoopDisk(Exception):
    """This machine cannot do it; the message says what failed."""


class LoopDisk:
    """An ext4 of its own in *folder*, mounted at `mount`, there or in *mount_in*. Root only."""

    def __init__(self, folder: Path, mib: int = 192, mount_in: Path | None = None) -> None:
        self.image = folder / "disk.img"
        self.mount = (mount_in or folder) / "disk"
        self.mount.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(mib * MIB)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1", str(self.image))
        self._mount()
        self.cuts = 0

    def cut(self) -> None:
        """Cut the power: from here on every sync fails, and nothing more is kept."""
        cut_power(self.mount)

    def come_back(self) -> None:
        """Mount what is left. Nobody may have a file open any more."""
        self._unmount()
        self._mount()
        self.cuts += 1

    def close(self) -> None:
        """Unmount and remove."""
        self._unmount()
        self.image.unlink()

    def _mount(self) -> None:
        _run("mount", "-o", "loop,commit=300", str(self.image), str(self.mount))

    def _unmount(self) -> None:
        for _ in range(100):
            try:
                _run("umount", str(self.mount))
            except NoLoopDisk:
                time.sleep(0.05)  # the last process that had files open is still being taken apart
            else:
                break
        else:
            _run("umount", str(self.mount))
        for _ in range(400):
            if not self._is_attached():
                return
            time.sleep(0.05)  # a copy of our mounts, in some other process: a mount would find the disk as it was cut
        raise NoLoopDisk(f"{self.image} is still in use elsewhere")

    def _is_attached(self) -> bool:
        """Say whether some loop device still has the image."""
        for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
            with suppress(OSError):
                if backing.read_text().strip() == str(self.image):
                    return True
        return False


def cut_power(mount: Path | str) -> None:
    """Cut the power of the file system mounted there."""
    import fcntl  # here, so that this module loads where there is none

    fd = os.open(mount, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", _WITHOUT_LOG_FLUSH))
    finally:
        os.close(fd)


def fast_folder() -> str | None:
    """Return where images are kept best: in memory, where there is such a place; a sync is quick there."""
    return str(_MEMORY) if os.access(_MEMORY, os.W_OK) else None


def why_not() -> str:
    """Say why this machine cannot cut a disk's power; empty where it can. Tries it out."""
    if sys.platform != "linux":
        return "power cuts need Linux"
    if os.geteuid() != 0:
        return "power cuts need root: a loop device is mounted"
    with tempfile.TemporaryDirectory(dir=fast_folder()) as folder:
        try:
            disk = LoopDisk(Path(folder), mib=16)
        except (NoLoopDisk, OSError) as error:
            return f"no ext4 on a loop device here: {error}"
        try:
            disk.cut()
            disk.come_back()
        except (NoLoopDisk, OSError) as error:
            return f"no EXT4_IOC_SHUTDOWN here: {error}"
        finally:
            disk.close()
    return ""


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise NoLoopDisk(f"{command[0]} is not installed") from error
    if done.returncode:
        raise NoLoopDisk(f"{' '.join(command)}: {done.stderr.strip()}")
