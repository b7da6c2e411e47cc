"""Comparing what a server has of this host with what we know. Pure.

Our memory may be older than the server's: it was lost, an older copy of it was put back, or its last commits never
reached the disk. Then the server is the one that remembers, and it is read before any deletion is told.
"""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

from pp_assist.core.explain import Sight
from pp_assist.core.model import Kind
from pp_server.wire.names import MAX_NAME_BYTES

UNCLEAN, NEW, REPLACED, BEHIND = (
    "the daemon did not end by itself the last time",
    "there is no memory of earlier starts",
    "another daemon's, or an older, database was put in place of the one that was used last",
    "the server knows of later changes than we do",
)


class Listed(NamedTuple):
    """A live path below one root, as the server lists it."""

    directory: bytes
    """Relative to the root; empty for the root itself."""
    name: bytes
    gen: int
    sha256: str | None
    size_bytes: int
    kind: Kind = Kind.FILE

    @property
    def relative(self) -> bytes:
        """The path, relative to the root."""
        return self.directory + b"/" + self.name if self.directory else self.name


class Believed(NamedTuple):
    """What we think a server has of a path that we know."""

    file_id: int
    offered_gen: int | None
    """The newest version that it may have got from us."""
    stored_gen: int | None
    """The version it gave us the last receipt for; None: there is no receipt that counts."""
    stored_sha256: str | None


class Finding(Enum):
    """What a listed path is to us."""

    AS_BELIEVED = "as_believed"
    NEWS = "news"  # known here; that the server has this version of it was not
    UNKNOWN = "unknown"


class Compared(NamedTuple):
    """One page of the inventory, sorted."""

    as_believed: list[int]
    """Ids of files of which the server has exactly what we think."""
    news: list[tuple[Listed, int]]
    """(what it has, id of the file): it must be told when such a file is gone."""
    unknown: list[Listed]


def why_doubt(clean_stop: bool, epoch: int, epoch_beside: int | None) -> str | None:
    """Return why the memory may be older than what the server was told, or None.

    Every start writes a number that was never used before into the database and beside it: a copy has an older one.
    """
    if epoch == 0:
        return NEW
    if epoch != epoch_beside:
        return REPLACED
    return None if clean_stop else UNCLEAN


def finding(listed: Listed, believed: Believed | None) -> Finding:
    """Return what *listed* means, if *believed* is what we think of the same path."""
    if believed is None:
        return Finding.UNKNOWN
    if (believed.stored_gen, believed.stored_sha256) == (listed.gen, listed.sha256):
        return Finding.AS_BELIEVED
    return Finding.NEWS


def compare(page: Iterable[tuple[Listed, Believed | None]]) -> Compared:
    """Return what one page of the server's inventory means."""
    compared = Compared([], [], [])
    for listed, believed in page:
        match finding(listed, believed):
            case Finding.AS_BELIEVED:
                assert believed is not None
                compared.as_believed.append(believed.file_id)
            case Finding.NEWS:
                assert believed is not None
                compared.news.append((listed, believed.file_id))
            case Finding.UNKNOWN:
                compared.unknown.append(listed)
    return compared


def place_in(shown_root: bytes, recursive: bool, filepath: bytes) -> tuple[bytes, bytes] | None:
    """Return (directory, name) of *filepath* relative to a root, or None where it is no name that could be found there.

    The server keeps whatever bytes it was given: only what a look could have seen is compared.
    """
    stem = shown_root.rstrip(b"/") + b"/"
    if not filepath.startswith(stem):
        return None
    parts = filepath[len(stem) :].split(b"/")
    if any(part in (b"", b".", b"..") or len(part) > MAX_NAME_BYTES for part in parts):
        return None
    if len(parts) > 1 and not recursive:
        return None
    return b"/".join(parts[:-1]), parts[-1]


def is_kept(filepath: bytes, gen: int, forgotten_roots: Sequence[tuple[bytes, int]]) -> bool:
    """Say whether a person stopped watching the folder *filepath* lies in, after this version: the server keeps it."""
    return any(
        gen <= last and (filepath == shown or filepath.startswith(shown.rstrip(b"/") + b"/"))
        for shown, last in forgotten_roots
    )


def is_adopted(sight: Sight) -> bool:
    """Say whether a path that the server lists, and that we do not know, is watched from now on.

    What a rule leaves out, or would if it were still there, is not: leaving out never deletes. Nor is what lies behind
    a link, where it may well be.
    """
    return sight.out is None and sight.unsupported is None
