"""What a person wants done with a drop folder, as it is done."""

import os
import posixpath
from dataclasses import dataclass

from pp_assist.core.drop_folders import After, DropOptions
from pp_assist.core.sftp_url import Target
from pp_assist.sftp.announcing import Announce


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done with a drop folder."""

    source: str
    """What it is called in the ledger."""
    folder: bytes
    recursive: bool = True
    patterns: tuple[str, ...] = ()
    rest_ms: int = 5000
    after: After = "leave"
    in_progress: bytes | None = None
    """Where it is moved to, into a folder for each day."""
    announce: Announce | None = None

    def place_of(self, name: bytes) -> bytes:
        """Return where a file of it is on the SFTP server."""
        return posixpath.join(self.folder, name)


def name_below(folder: bytes, path: bytes) -> bytes | None:
    """Return what *path* is called within *folder*, empty for the folder itself; None where it is elsewhere. Pure."""
    above, parts = _parts(folder), _parts(path)
    if posixpath.isabs(folder) != posixpath.isabs(path) or parts[: len(above)] != above:
        return None
    name = parts[len(above) :]
    return None if name[:1] == [b".."] else b"/".join(name)


def _parts(path: bytes) -> list[bytes]:
    return [part for part in posixpath.normpath(path).split(b"/") if part not in (b"", b".")]


def plan_of(target: Target, options: DropOptions, recursive: bool) -> Plan:
    """Return what is to be done with the folder at *target*."""
    aside = None
    if options.after == "move":
        aside = os.fsencode(posixpath.normpath(posixpath.join(target.path, options.in_progress or "in_progress")))
    told = None if options.announce is None else Announce(**options.announce)
    return Plan(
        target.url,
        os.fsencode(target.path),
        recursive,
        options.patterns,
        int(options.rest_s * 1000),
        options.after,
        aside,
        told,
    )
