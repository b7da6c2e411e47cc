"""Path modes: from the name a client sends to where its file goes, or a refusal. Pure.

``ignore`` makes a name of its own for each upload, ``sanitize`` takes names without any folder, ``allow-paths`` takes
folders, too. What is refused would be something else than it says on one system or another.
"""

import os
import re
from collections.abc import Callable
from enum import StrEnum

from pp_server.wire.names import MAX_NAME_BYTES

MAX_TOTAL_BYTES = 1024
OURS = ".indexcp_"
"""What begins so belongs to the server: its records, and what is arriving."""

_LONG_EXTENSION = 64

_SEPARATORS = re.compile(r"[/\\]")
_ODD = re.compile(r"[^\w.\-]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DRIVE = re.compile(r"[A-Za-z]:")
_DEVICE = re.compile(r"(con|prn|aux|nul|clock\$|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\..*)?", re.IGNORECASE)


class PathMode(StrEnum):
    """What a client's name may say about the place of its file."""

    IGNORE = "ignore"
    SANITIZE = "sanitize"
    ALLOW_PATHS = "allow-paths"


class NameRefused(Exception):
    """No file may have this name; the message says why."""


class OutsideRefused(NameRefused):
    """The name cannot lead into the folder at all."""


Parts = tuple[str, ...]
"""A path below the upload folder, folder by folder."""


def place(name: str, mode: PathMode, stamp: str, strip_paths: bool = False) -> Parts:
    """Return where an upload called *name* goes if nothing is there. *stamp* (``T_R``) is new for each upload.

    Raises:
        NameRefused: nowhere.
    """
    if mode is PathMode.IGNORE:
        return (_fitting(f"{stamp}_{_cleaned(name)}"),)
    parts = _checked(name, strip_paths and mode is PathMode.SANITIZE)
    if mode is PathMode.SANITIZE and len(parts) > 1:
        raise NameRefused("path separators are not allowed here")
    return parts


def other(parts: Parts, stamp: str) -> Parts:
    """Return a place beside one that is taken: ``STEM_STAMP.EXT``."""
    stem, extension = os.path.splitext(parts[-1])
    if len(os.fsencode(extension)) > _LONG_EXTENSION:
        stem, extension = parts[-1], ""
    return (*parts[:-1], _fitting(stem, f"_{stamp}{extension}"))


def _cleaned(name: str) -> str:
    """Return *name* as one harmless component, from which people still see what it was."""
    name = _SEPARATORS.sub("_", name.removeprefix("./"))
    stem, dot, extension = name.rpartition(".")
    if not dot:
        stem, extension = extension, ""
    return _ODD.sub("-", stem) + dot + _CONTROL.sub("-", extension)


def _fitting(front: str, end: str = "") -> str:
    """Return both as one name that a file system takes: what is too long loses the last of *front*."""
    stem, extension = os.path.splitext(front) if not end else (front, "")
    if len(os.fsencode(extension)) > _LONG_EXTENSION:
        stem, extension = front, ""
    end = extension + end
    room = MAX_NAME_BYTES - len(os.fsencode(end))
    while len(os.fsencode(stem)) > room:
        stem = stem[: -max(1, (len(os.fsencode(stem)) - room) // 4)]
    return stem + end


def _checked(name: str, strip_paths: bool) -> Parts:
    if "\0" in name:
        raise OutsideRefused("a name cannot hold a NUL byte")
    for refused, why in _REFUSALS:
        if refused(name):
            raise NameRefused(why)
    parts = tuple(part for part in _SEPARATORS.split(name) if part not in ("", "."))
    if strip_paths:
        parts = parts[-1:]
    if not parts or name[-1] in "/\\":
        raise NameRefused("it names no file")
    if sum(len(os.fsencode(part)) + 1 for part in parts) > MAX_TOTAL_BYTES:
        raise NameRefused(f"it is longer than {MAX_TOTAL_BYTES} bytes")
    for part in parts:
        _check_part(part)
    return parts


def _check_part(part: str) -> None:
    if len(os.fsencode(part)) > MAX_NAME_BYTES:
        raise NameRefused(f"a part of it is longer than {MAX_NAME_BYTES} bytes")
    if part[-1] in ". ":
        raise NameRefused("no part may end with a dot or a space")
    if _DEVICE.fullmatch(part):
        raise NameRefused("some systems take it for a device")
    if part.lower().startswith(OURS):
        raise NameRefused(f"names that begin with {OURS} are the server's own")


_REFUSALS: tuple[tuple[Callable[[str], object], str], ...] = (
    (lambda name: not name, "it is empty"),
    (_CONTROL.search, "it holds control characters"),
    (lambda name: name[0] in "/\\", "absolute paths are not allowed"),
    (_DRIVE.match, "absolute paths are not allowed"),
    (lambda name: ":" in name, "colons are not allowed"),
    (lambda name: ".." in name, "path traversal is not allowed"),
)
