"""What is to be made again, and where: from the server's words to places below one folder. Pure.

The server is not trusted with a place: whatever it names, nothing leads outside the folder.
"""

from dataclasses import dataclass
from enum import StrEnum

from pp_server.wire.names import MAX_NAME_BYTES, from_json
from pp_server.wire.restore import TreeEntry


class Outside(ValueError):
    """A path that is not below what was asked for, or has parts that are no names."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One path to be made again."""

    relative: bytes
    """Below the folder; empty: the folder itself."""
    kind: str
    size_bytes: int
    sha256: str | None
    link_target: bytes | None
    mtime_ns: int | None
    mode: int | None
    uid: int | None
    gid: int | None
    inconsistent: bool = False
    """A snapshot, read while the file went on changing: never whole, as far as anybody knows."""

    @property
    def digest(self) -> str:
        """The digest of a file's content."""
        assert self.sha256 is not None
        return self.sha256

    @property
    def directory(self) -> bytes:
        """The directory it is in, below the folder."""
        return self.relative.rpartition(b"/")[0]

    @property
    def name(self) -> bytes:
        """Its name in that directory."""
        return self.relative.rpartition(b"/")[2]


class Outcome(StrEnum):
    """What became of a path."""

    RESTORED = "restored"
    RIGHT = "right"  # it was there already, as it should be
    DIFFERS = "differs"  # something else is there, and stays
    FAILED = "failed"


def wanted(entry: TreeEntry, prefix: bytes) -> Wanted:
    """Return where *entry* belongs, with *prefix* being the folder itself, or the one file in it.

    Raises:
        Outside: it belongs nowhere in the folder, or is a file without content.
    """
    if entry.kind == "file" and entry.sha256 is None:
        raise Outside("it is a file without content")
    target = entry.link_target is not None or entry.link_target_b64 is not None
    return Wanted(
        relative=relative_to(from_json(entry.filepath, entry.filepath_b64), prefix, entry.kind),
        kind=entry.kind,
        size_bytes=entry.file_size,
        sha256=entry.sha256,
        link_target=from_json(entry.link_target or "", entry.link_target_b64) if target else None,
        mtime_ns=entry.mtime_ns,
        mode=entry.mode,
        uid=entry.uid,
        gid=entry.gid,
        inconsistent=entry.inconsistent,
    )


def relative_to(path: bytes, prefix: bytes, kind: str) -> bytes:
    """Return *path* relative to *prefix*; a file that is the prefix itself keeps its name.

    Raises:
        Outside: it is not below it, or one of its parts is no name.
    """
    stem = prefix.rstrip(b"/")
    if path.rstrip(b"/") == stem:
        relative = b"" if kind == "dir" else stem.rpartition(b"/")[2]
    elif path.startswith(stem + b"/"):
        relative = path[len(stem) + 1 :]
    else:
        raise Outside("it is not below what was asked for")
    if relative and not all(_is_name(part) for part in relative.split(b"/")):
        raise Outside("a part of it is no name")
    return relative


def _is_name(part: bytes) -> bool:
    return part not in (b"", b".", b"..") and b"\0" not in part and len(part) <= MAX_NAME_BYTES
