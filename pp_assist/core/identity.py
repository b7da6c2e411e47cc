"""Is the folder in a root's place the one that was registered? Pure.

An inode number says which folder of its file system it is. Which file system, two numbers say: the device, which is
given anew whenever something is mounted and means nothing after that, and the number of the file system itself, which
most of them keep for life (ext4 and btrfs make it of their UUID; some make it of the device, some tell none).
"""

from enum import Enum
from typing import NamedTuple


class Identity(NamedTuple):
    """What tells a folder from all others."""

    device: int
    inode: int
    file_system: int | None = None
    """None: not known, or the file system tells none."""


class Standing(Enum):
    """What stands in a root's place."""

    SAME = "same"
    RENUMBERED = "renumbered"  # the same folder; its file system was mounted under another device number
    OTHER = "other"


def standing(registered: Identity, found: Identity) -> Standing:
    """Return what *found* is to the folder that was *registered*."""
    numbers = (registered.file_system, found.file_system)
    known = None not in numbers
    if registered.inode != found.inode or (known and numbers[0] != numbers[1]):
        return Standing.OTHER
    if registered.device == found.device:
        return Standing.SAME
    return Standing.RENUMBERED if known else Standing.OTHER
