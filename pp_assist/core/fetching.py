"""One file back from the server: what is asked for, and how far it has come. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from pp_assist.core.identity import Identity
from pp_server.wire.names import MAX_NAME_BYTES

PARTIAL_PREFIX, PARTIAL_DIGITS = b".pp-get-", 24
"""What a file is named while it comes, beside its place: this, and so many hexadecimal digits."""


def partial_name(digest: str) -> bytes:
    """Return the name under which a file is made of which *digest* says what and where it is."""
    return PARTIAL_PREFIX + digest[:PARTIAL_DIGITS].encode()


def is_partial_name(name: bytes) -> bool:
    """Say whether a file of this name is one that is coming."""
    digits = name[len(PARTIAL_PREFIX) :]
    return name.startswith(PARTIAL_PREFIX) and len(digits) == PARTIAL_DIGITS and set(digits) <= _DIGITS


_DIGITS = frozenset(b"0123456789abcdef")


class FetchState(StrEnum):
    """Where it stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class FetchOutcome(StrEnum):
    """What became of it."""

    RESTORED = "restored"
    RIGHT = "right"  # it was there already, as it should be
    BESIDE = "beside"  # something else is there, and stays: it lies beside that, under another name


class Promised(NamedTuple):
    """What a receipt says that the server has; its proof was checked."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for."""

    filepath: bytes
    """As the server knows it."""
    folder: bytes
    """It is written below this folder, which is there."""
    relative: bytes
    """Where in it."""
    shown_folder: bytes
    """The folder as people know it."""
    identity: Identity
    """What the folder is known by: where another one stands in its place by then, nothing is written."""
    version: str | None = None
    """The digest of the content that is wanted; None: the newest."""
    overwrite: bool = False
    """Replaces what is there, if it is something else."""
    promised: Promised | None = None


@dataclass(slots=True)
class Fetch:
    """How far an order has come."""

    id: int
    order: Order
    created_at_ms: int
    relative: bytes
    """Where in the folder it lies, or will: another name than was asked for where it lies beside something else."""
    state: FetchState = FetchState.WAITING
    sha256: str | None = None
    size_bytes: int | None = None
    bytes_done: int = 0
    outcome: FetchOutcome | None = None
    verified: str | None = None
    """receipt | digest: what its content was compared with."""
    inconsistent: bool = False
    """The server's version was read while the file changed."""
    problem: tuple[str, str] | None = None
    """Why it failed: a stable word, and a text."""
    ended_at_ms: int | None = None

    @property
    def to(self) -> bytes:
        """Where it lies, or will, for people."""
        return self.order.shown_folder.rstrip(b"/") + b"/" + self.relative


def beside(name: bytes, number: int) -> bytes:
    """Return the *number*-th name for what lies beside *name*: `letter (from server).txt`."""
    stem, dot, ending = name.rpartition(b".")
    if not stem or len(ending) > 16:
        stem, dot, ending = name, b"", b""
    mark = b" (from server)" if number == 1 else b" (from server %d)" % number
    room = MAX_NAME_BYTES - len(mark) - len(dot) - len(ending)
    if len(stem) > room:
        stem = stem[:room].decode("utf-8", "ignore").encode() or stem[:room]
    return stem + mark + dot + ending
