"""What a folder of this machine is, for whoever chooses one."""

from typing import NamedTuple

from pp_assist.api.problems import Refusal


class FolderProblem(Refusal):
    """It cannot be looked into; the message says why."""


class Inside(NamedTuple):
    """The folders in a folder."""

    resolved: bytes
    """Its path, without links."""
    names: list[bytes]
    """Sorted."""
    is_whole: bool
    """Whether all names in it were looked at."""


class Start(NamedTuple):
    """A place where looking for a folder begins."""

    path: bytes
    kind: str
    """home | mount"""


def in_order(name: bytes) -> tuple[bool, bytes, bytes]:
    """Return by what names of folders are sorted: the hidden ones last."""
    return name.startswith(b"."), name.lower(), name
