"""Reading blobs: one after its extents, or many small ones together, in the order in which they lie."""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor

from pp_server import posix
from pp_server.content.framed import Damaged, opened_part, plain_bytes
from pp_server.core.extents import Blob, Extent
from pp_server.durable import raise_if_ours
from pp_server.wire.digest import digest_of

GAP_BYTES = 32 * 1024
"""Reading so much that nobody asked for costs less than another read."""

READ_BYTES = 1 << 20
"""One read is hardly longer than that."""

READ_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)

Content = tuple[Blob, bytes | None]


class ExtentsReader:
    """An open blob: its extents one after the other; reads happen in *executor*."""

    def __init__(self, parts: Sequence[tuple[int, Extent]], executor: Executor) -> None:
        """Raises OSError where what is stored stands for nothing; then the files stay open."""
        self._parts = [opened_part(fd, extent) for fd, extent in parts]
        self._files = {fd for fd, _ in parts}
        self._executor = executor
        self.size_bytes = sum(part.size_bytes for part in self._parts)

    async def read(self, offset: int, length: int) -> bytes:
        """Return the bytes at *offset*."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self.read_now, offset, length)

    def read_now(self, offset: int, length: int) -> bytes:
        """As `read`, blocking."""
        pieces = []
        for part in self._parts:
            if length <= 0:
                break
            if offset < part.size_bytes:
                wanted = min(length, part.size_bytes - offset)
                piece = part.read(offset, wanted)
                pieces.append(piece)
                if len(piece) < wanted:
                    break
                length -= wanted
            offset = max(0, offset - part.size_bytes)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def close(self) -> None:
        """Close the files."""
        self.close_now()

    def close_now(self) -> None:
        """As `close`, at once."""
        for fd in self._files:
            os.close(fd)
        self._parts, self._files = [], set()


def read_together(blobs: Sequence[Blob], path_of: Callable[[Extent], str]) -> Iterator[list[Content]]:
    """Yield each of *blobs* with its bytes, or None where they are not what they should be; some at a time. Blocking.

    What lies in several places is not looked for: None.

    Raises:
        StorageFailed: nothing can be read just now; what was not yielded yet may well be good.
    """
    alone = [(blob, blob.location[0]) for blob in blobs if len(blob.location) == 1]
    alone.sort(key=lambda each: (each[1].container, each[1].name, each[1].offset))
    start = 0
    while start < len(alone):
        end = _end_of_span(alone, start)
        yield _read_span(alone[start:end], path_of)
        start = end
    others = [(blob, None if blob.location else b"") for blob in blobs if len(blob.location) != 1]
    if others:
        yield others


def _end_of_span(sorted_blobs: Sequence[tuple[Blob, Extent]], start: int) -> int:
    """Return how far one read reaches."""
    first = sorted_blobs[start][1]
    reached = first.offset + first.stored_bytes
    end = start + 1
    while end < len(sorted_blobs):
        following = sorted_blobs[end][1]
        same = (following.container, following.name) == (first.container, first.name)
        new_reach = max(reached, following.offset + following.stored_bytes)
        if not same or following.offset > reached + GAP_BYTES or new_reach - first.offset > READ_BYTES:
            break
        reached, end = new_reach, end + 1
    return end


def _read_span(span: Sequence[tuple[Blob, Extent]], path_of: Callable[[Extent], str]) -> list[Content]:
    begin = span[0][1].offset
    end = max(extent.offset + extent.stored_bytes for _, extent in span)
    try:
        fd = os.open(path_of(span[0][1]), READ_FLAGS)
        try:
            data = posix.read_at(fd, end - begin, begin)
        finally:
            os.close(fd)
    except OSError as error:
        raise_if_ours(error)
        return [(blob, None) for blob, _ in span]
    found: list[Content] = []
    for blob, extent in span:
        stored = data[extent.offset - begin : extent.offset - begin + extent.stored_bytes]
        found.append((blob, _checked(stored, blob, extent)))
    return found


def _checked(stored: bytes, blob: Blob, extent: Extent) -> bytes | None:
    """Return the content that *stored* stands for; None where it is another one, or none."""
    try:
        content = plain_bytes(stored, extent)
    except Damaged:
        return None
    return content if digest_of(content) == blob.sha256 else None
