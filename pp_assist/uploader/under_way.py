"""How far the uploads have come that are under way by chunks at this moment."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from pp_assist.core.events import Event, Tell, nobody_listens
from pp_assist.core.model import Claim
from pp_assist.core.progress import Progress

TELL_EVERY_S = 0.25
"""More often than that people cannot see it."""


class UnderWay:
    """All of them."""

    def __init__(self, tell: Tell = nobody_listens) -> None:
        self._tell = tell
        self._now: dict[int, Progress] = {}

    def of(self, file_id: int) -> Progress | None:
        """Return how far that file has come; None: it is not being sent by chunks."""
        return self._now.get(file_id)

    @contextmanager
    def begun(self, claim: Claim, chunks: int, missing: int) -> Iterator[Progress]:
        """Count the file of *claim*, *missing* of whose *chunks* are to be sent, as under way for the block."""
        assert claim.hashed is not None
        progress = Progress(claim, claim.hashed.stat.size_bytes, chunks, chunks - missing)
        progress.told_at_s = asyncio.get_running_loop().time()
        self._tell(
            Event.UPLOAD_STARTED, claim.location.filepath,
            file_size=progress.bytes_total, chunks_done=progress.chunks_done, chunks=chunks,
        )  # fmt: skip
        self._now[claim.file_id] = progress
        try:
            yield progress
        finally:
            if self._now.get(claim.file_id) is progress:
                del self._now[claim.file_id]

    def one_more(self, progress: Progress, length: int) -> None:
        """Count a chunk of *length* bytes that has arrived."""
        progress.chunks_done += 1
        progress.bytes_sent += length
        now_s = asyncio.get_running_loop().time()
        if now_s - progress.told_at_s < TELL_EVERY_S:
            return
        progress.told_at_s = now_s
        done, total = progress.chunks_done, progress.chunks_total
        self._tell(
            Event.UPLOAD_PROGRESS, progress.claim.location.filepath, total_bytes=progress.bytes_total,
            bytes_uploaded=progress.bytes_total * done // total, progress_percent=100 * done // total,
            chunks_done=done, chunks=total,
        )  # fmt: skip
