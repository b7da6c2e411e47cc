"""The nouns of receiving: a chunk on its way in, the upload it belongs to, and what is said about it."""

import threading
import time
from dataclasses import dataclass, field

from pp_server.core.errors import BadGeometry
from pp_server.indexedcp.folder import FileId
from pp_server.indexedcp.names import Parts
from pp_server.wire.digest import Digest, digest_of

PARKED = -1
"""The offset of a chunk that lies in a file of its own until its place is known."""

Identity = tuple[str, str, str | None]
"""Whose, the client's name for it, and what tells it from others of that name: None where the client says nothing."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """One chunk as it came, whole. Making one is computing its digest: blocking."""

    owner: str
    name: str
    index: int
    data: bytes
    tag: str | None = None
    total_chunks: int | None = None
    chunk_bytes: int | None = None
    file_sha256: Digest | None = None
    sha256: Digest = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha256", digest_of(self.data))

    @property
    def identity(self) -> Identity:
        """Return which upload it belongs to."""
        return self.owner, self.name, self.tag


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk that is on disk."""

    offset: int
    length: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a chunk: it is durable. *parts* is the file's name."""

    parts: Parts
    is_duplicate: bool = False
    is_complete: bool = False


@dataclass(frozen=True, slots=True)
class Finished:
    """An upload that is over. *size_bytes* is None where chunks in its middle never came."""

    id: str
    identity: Identity
    parts: Parts
    file: FileId
    chunks: int
    size_bytes: int | None
    finished_ms: int
    is_kept: bool = False
    """It was taken out of the folder and lies in the store."""


@dataclass(slots=True, eq=False)
class Upload:
    """One upload that runs. Whoever reads or changes it holds *lock*."""

    id: str
    identity: Identity
    started_ms: int
    parts: Parts = ()
    file: FileId | None = None
    """None: nothing of it is recorded."""
    chunk_bytes: int | None = None
    total_chunks: int | None = None
    file_sha256: Digest | None = None
    chunks: dict[int, Chunk] = field(default_factory=dict)
    busy: set[int] = field(default_factory=set)
    is_over: bool = False
    _prefix: tuple[int, int] = (0, 0)
    touched: float = field(default_factory=time.monotonic)
    lock: threading.Condition = field(default_factory=lambda: threading.Condition(threading.RLock()))

    def learn(self, incoming: Incoming) -> None:
        """Take over what the chunk says about the whole.

        Raises:
            BadGeometry: it does not fit what was said before, or itself.
        """
        self.total_chunks = _agreed("X-Total-Chunks", self.total_chunks, incoming.total_chunks)
        self.file_sha256 = self.file_sha256 or incoming.file_sha256
        if self.file is None:
            self.chunk_bytes = incoming.chunk_bytes
        elif incoming.chunk_bytes is not None:
            _agreed("X-Chunk-Size", self.chunk_bytes, incoming.chunk_bytes)
        if self.total_chunks is not None and incoming.index >= self.total_chunks:
            raise BadGeometry(f"The upload has {self.total_chunks} chunks, numbered from 0")
        if self.chunk_bytes is None:
            return
        is_last = self.total_chunks is None or incoming.index == self.total_chunks - 1
        length = len(incoming.data)
        if length > self.chunk_bytes or (length < self.chunk_bytes and not is_last):
            raise BadGeometry(f"This chunk has {self.chunk_bytes} bytes, the body {length}")

    @property
    def prefix(self) -> tuple[int, int]:
        """Return how many chunks there are without a gap from the front, and their bytes."""
        count, size = self._prefix
        while (chunk := self.chunks.get(count)) is not None and chunk.offset != PARKED:
            count, size = count + 1, size + chunk.length
        self._prefix = count, size
        return count, size

    def offset_of(self, index: int) -> int | None:
        """Return where a chunk belongs in the file; None where nobody can know yet."""
        if self.chunk_bytes is not None:
            return index * self.chunk_bytes
        count, size = self.prefix
        return size if index == count else None

    @property
    def has_gap(self) -> bool:
        """Say whether a chunk is missing before the last that came."""
        return bool(self.chunks) and len(self.chunks) != max(self.chunks) + 1

    @property
    def ends_by_itself(self) -> bool:
        """Say whether it is over once it was left alone, whole as far as anybody knows."""
        return self.total_chunks is None and not self.has_gap

    def finished(self, now_ms: int) -> Finished:
        """Return it as one that is over."""
        assert self.file is not None
        whole = not self.has_gap and (self.total_chunks is None or len(self.chunks) == self.total_chunks)
        size = sum(chunk.length for chunk in self.chunks.values()) if whole else None
        return Finished(self.id, self.identity, self.parts, self.file, len(self.chunks), size, now_ms)


def _agreed(header: str, known: int | None, said: int | None) -> int | None:
    if known is not None and said is not None and known != said:
        raise BadGeometry(f"{header} was {known} before, and is {said} now")
    return known if said is None else said
