"""The folders of this machine, for whoever chooses one to be watched: names of folders, and nothing else of the disk.

Blocking: call it in threads. No link is followed below the folder that was asked for, and nothing is opened but that.
"""

import errno
import os
import sys
from collections.abc import Iterator

from pp_assist.api.folders import FolderProblem, Inside, Start, in_order
from pp_assist.scanner.filesystems import MOUNTS, foreign_mount_points, mount_points

MOST_READ = 100_000
"""So many names are looked at; a folder with more shows some of its folders."""

_NO_PLACE = (b"/proc", b"/sys", b"/dev", b"/run", b"/boot", b"/snap", b"/var/lib/docker", b"/var/snap", b"/etc")
_A_PLACE = (b"/run/media",)
_CODES = {
    errno.ENOENT: (404, "not_found", "there is no such folder"),
    errno.ENOTDIR: (400, "not_a_folder", "this is not a folder"),
    errno.EACCES: (403, "no_permission", "the daemon may not look into this folder"),
    errno.EPERM: (403, "no_permission", "the daemon may not look into this folder"),
    errno.ELOOP: (400, "not_a_folder", "links lead round in a circle here"),
    errno.ENAMETOOLONG: (400, "not_a_folder", "this is too long to be the name of a folder"),
}


def inside(path: bytes) -> Inside:
    """Return the folders in the folder *path*, the hidden ones last.

    Raises:
        FolderProblem: there is no such folder, or it cannot be read.
    """
    try:
        resolved = os.path.realpath(path)
        names, is_whole = [], True
        with os.scandir(resolved) as entries:
            for number, entry in enumerate(entries):
                if number >= MOST_READ:
                    is_whole = False
                    break
                if entry.is_dir(follow_symlinks=False):
                    names.append(entry.name)
    except OSError as error:
        raise FolderProblem(*_CODES.get(error.errno or 0, (503, "not_readable", f"{error.strerror}"))) from error
    return Inside(resolved, sorted(names, key=in_order), is_whole)


def unreadable(paths: list[bytes], mounts: str = MOUNTS) -> set[bytes]:
    """Return those of *paths* that we may not look into; of network folders, that shows once somebody does."""
    foreign = foreign_mount_points(mounts)
    return {path for path in paths if path not in foreign and not os.access(path, os.R_OK | os.X_OK)}


def starts(mounts: str = MOUNTS) -> list[Start]:
    """Return where looking for a folder begins: at home, and where disks are mounted."""
    home = os.path.expanduser(b"~")
    found = [Start(home, "home")] if os.path.isdir(home) else []
    return [*found, *(Start(path, "mount") for path in _disks(mounts) if path != home)]


def _disks(mounts: str) -> Iterator[bytes]:
    if sys.platform == "win32":
        yield from (b"%c:\\" % letter for letter in range(ord("A"), ord("Z") + 1) if os.path.isdir(b"%c:\\" % letter))
        return
    yield b"/"
    if sys.platform == "darwin":
        yield from sorted(each.path for each in os.scandir(b"/Volumes") if each.is_dir(follow_symlinks=False))
        return
    points, foreign = set(mount_points(mounts)) - {b"/"}, foreign_mount_points(mounts)
    yield from sorted(point for point in points if _is_place(point) and (point in foreign or os.path.isdir(point)))


def _is_place(point: bytes) -> bool:
    def below(folders: tuple[bytes, ...]) -> bool:
        return any(point == folder or point.startswith(folder + b"/") for folder in folders)

    return below(_A_PLACE) or not below(_NO_PLACE)
