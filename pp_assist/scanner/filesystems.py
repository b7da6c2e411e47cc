"""File systems on which others change things without this machine's kernel being told."""

import os

FOREIGN = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "9p", "afs", "ceph", "coda", "lustre", "gfs2", "ocfs2"}
FOREIGN |= {"virtiofs", "vboxsf", "vmhgfs", "prl_fs", "fuse"}

MOUNTS = "/proc/self/mountinfo"

NO_DISKS = {"proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "securityfs", "debugfs", "tracefs", "configfs"}
NO_DISKS |= {
    "mqueue",
    "hugetlbfs",
    "pstore",
    "bpf",
    "fusectl",
    "binfmt_misc",
    "autofs",
    "nsfs",
    "rpc_pipefs",
    "efivarfs",
}
NO_DISKS |= {"squashfs", "fuse.portal", "fuse.gvfsd-fuse", "fuse.snapfuse", "ramfs"}
"""Types of file systems that hold nobody's files."""


def why_events_are_not_enough(path: bytes, mounts: str = MOUNTS) -> str | None:
    """Return why changes of the directory *path* may come without an event, or None. Blocking, briefly."""
    kind = file_system(path, mounts)
    return f"on {kind}, what others change is not told" if _is_foreign(kind) else None


def file_system(path: bytes, mounts: str = MOUNTS) -> str:
    """Return the type of the file system that *path* (absolute, without links) is on; empty where nobody says."""
    best, kind = b"", ""
    for point, mounted in _mounted(mounts):
        if len(point) >= len(best) and (path + b"/").startswith(point.rstrip(b"/") + b"/"):
            best, kind = point, mounted
    return kind


def mount_points(mounts: str = MOUNTS) -> list[bytes]:
    """Return where file systems are mounted that may hold somebody's files; nothing where nobody says."""
    return [point for point, kind in _mounted(mounts) if kind not in NO_DISKS]


def foreign_mount_points(mounts: str = MOUNTS) -> set[bytes]:
    """Return where file systems are mounted that may be dead: whoever so much as asks what is there waits for ever."""
    return {point for point, kind in _mounted(mounts) if _is_foreign(kind)}


def _is_foreign(kind: str) -> bool:
    return kind in FOREIGN or kind.startswith("fuse.")


def _mounted(mounts: str) -> list[tuple[bytes, str]]:
    """Return (mount point, type) of all file systems, in the order in which they were mounted."""
    found = []
    try:
        with open(mounts, "rb") as lines:
            for line in lines:
                left, _, right = line.partition(b" - ")
                found.append((_unescaped(left.split()[4]), os.fsdecode(right.split()[0])))
    except (OSError, IndexError):
        return []
    return found


def _unescaped(text: bytes) -> bytes:
    for escaped, plain in ((rb"\040", b" "), (rb"\011", b"\t"), (rb"\012", b"\n"), (rb"\134", b"\\")):
        text = text.replace(escaped, plain)
    return text
