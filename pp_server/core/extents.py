"""Where content lies: a list of extents, nearly always one.

Several extents make one blob where it shares parts with others; empty content has none at all.
"""

from enum import StrEnum
from typing import NamedTuple

from pp_server.wire.digest import Digest


class Container(StrEnum):
    """What an extent lies in."""

    FILE = "file"
    """A blob of its own, named by its digest."""
    PACK = "pack"
    """A file of many small blobs."""


PLAIN = "plain"
"""The stored bytes are the content's bytes."""

ZSTD = "zstd"
"""The stored bytes are one frame of zstd in a pack, or many in a file with an index (`pp_server.content.framed`)."""

FRAMED_SUFFIX = ".zst"
"""Ends the name of such a file."""


class Extent(NamedTuple):
    """*stored_bytes* at *offset* in a container, which stand for *size_bytes* of content with digest *sha256*."""

    container: Container
    name: str
    offset: int
    stored_bytes: int
    size_bytes: int
    sha256: Digest
    encoding: str = PLAIN


Location = tuple[Extent, ...]
"""In the order of the content's bytes."""


class Blob(NamedTuple):
    """Content that is stored, and where."""

    sha256: Digest
    size_bytes: int
    location: Location


def framed_file(digest: Digest, size_bytes: int, stored_bytes: int) -> Location:
    """Return the location of a blob that is a compressed file of its own."""
    return (Extent(Container.FILE, digest, 0, stored_bytes, size_bytes, digest, ZSTD),)


def whole_file(digest: Digest, size_bytes: int) -> Location:
    """Return the location of a blob that is a file of its own."""
    return (Extent(Container.FILE, digest, 0, size_bytes, size_bytes, digest),)
