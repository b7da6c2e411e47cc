"""Uploads in use: what must be known between the requests of one upload, and who works on which chunk.

One process owns the data directory, so what is here needs no lock in the database. Three rules keep a late write out of
published content: bytes are written only for chunks not recorded yet; content is published only when all are recorded;
and a recorded chunk becomes missing again only while nobody can publish (at loading, or under the upload's lock).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor
from contextlib import asynccontextmanager

from pp_server.core.errors import (
    AlreadyCompleted,
    ChunkSuperseded,
    ServerError,
    UploadAborted,
    UploadExpired,
    UploadNotFound,
    UploadState,
)
from pp_server.core.model import SessionStatus, UploadSession
from pp_server.staging import StagedFile
from pp_server.uploads.follower import Follower
from pp_server.wire.chunks import Range, missing_ranges
from pp_server.wire.digest import Digest

MAX_IDLE = 256
"""Uploads that nobody is using right now and that are kept in memory all the same."""


MAX_RANGES = 1000
"""Of what is missing, in an error; a client that needs more asks for the status."""


class Slot:
    """Whoever works on one chunk. Only while the body is being received may somebody else take over."""

    def __init__(self) -> None:
        self._task = asyncio.current_task()
        self.receiving = False
        self.superseded = False
        self.released = asyncio.Event()

    def supersede(self) -> None:
        """Make the holder give up, if it is still receiving."""
        if self.receiving and not self.superseded and self._task is not None:
            self.superseded = True
            self._task.cancel()

    def accept_cancel(self) -> None:
        """The holder has understood."""
        if self._task is not None:
            self._task.uncancel()


class LiveUpload:
    """One upload in use."""

    def __init__(self, session: UploadSession, file: StagedFile, path: str, executor: Executor) -> None:
        self.session = session
        self.file = file
        self.received = bytearray(session.total_chunks)
        """One byte per chunk: 1 where it is recorded."""
        self.count = 0
        self.base: Digest | None = None
        """Content of the same owner from which chunks are copied instead of being sent."""
        self.copying: asyncio.Task[None] | None = None
        self.coming: set[int] = set()
        """Chunks that are about to be copied."""
        self.borrowed: set[int] = set()
        """Chunks that were: `received`, though not recorded."""
        self.follower = Follower(path, session.size_bytes, session.chunk_bytes, self.received, executor)
        self.lock = asyncio.Lock()
        """Held by complete, abort and expire; never while chunks arrive."""
        self.users = 0
        self._slots: dict[int, Slot] = {}

    def check_open(self, now_ms: int) -> None:
        """Raise unless chunks and complete are welcome."""
        closed = self._closed()
        if closed is not None:
            raise closed
        if self.session.expires_ms <= now_ms:
            raise UploadExpired("The upload has expired")

    def _closed(self) -> ServerError | None:
        match self.session.status:
            case SessionStatus.COMPLETED:
                return AlreadyCompleted("The upload is completed")
            case SessionStatus.ABORTED:
                return UploadAborted("The upload was aborted")
            case SessionStatus.EXPIRED:
                return UploadExpired("The upload has expired")
        return None

    @property
    def missing(self) -> list[Range]:
        """The chunks still to be sent."""
        if self.session.content_known or self.session.status is SessionStatus.COMPLETED:
            return []
        if self.count == len(self.received):
            return []
        got = (number for number, got in enumerate(self.received) if got or number in self.coming)
        return missing_ranges(len(self.received), got)

    @property
    def state(self) -> UploadState:
        """Where it stands, in short; at most `MAX_RANGES` of what is missing."""
        return UploadState(self.status, tuple(self.missing[:MAX_RANGES]), self.uploaded_count, len(self.received))

    @property
    def status(self) -> str:
        """Its status as it shows on the wire."""
        if self.session.status is SessionStatus.OPEN:
            return "uploading" if self.count else "initiated"
        return self.session.status.value

    @property
    def uploaded_count(self) -> int:
        """How many chunks are there."""
        return len(self.received) if self.session.status is SessionStatus.COMPLETED else self.count

    def mark(self, number: int) -> None:
        """The chunk is there."""
        self.coming.discard(number)
        self.count += 1 - self.received[number]
        self.received[number] = 1

    def borrow(self, number: int) -> None:
        """The chunk was copied."""
        self.mark(number)
        self.borrowed.add(number)
        self.follower.follow()

    async def copied(self) -> None:
        """Return once nothing is being copied any more."""
        while self.copying is not None:
            await asyncio.wait([self.copying])

    @property
    def in_use(self) -> bool:
        """Say whether somebody works with it right now."""
        return self.users > 0 or self.copying is not None

    def unmark(self, numbers: list[int] | None) -> None:
        """These chunks (None: all) are missing again."""
        for number in range(len(self.received)) if numbers is None else numbers:
            self.count -= self.received[number]
            self.received[number] = 0
            self.borrowed.discard(number)
        self.follower.begin_anew()

    def close(self) -> None:
        """Let go of the file."""
        self.coming.clear()
        self.follower.begin_anew()
        self.file.close()

    @asynccontextmanager
    async def slot(self, number: int) -> AsyncIterator[Slot]:
        """Be the only one at work on this chunk; a newcomer has a holder that is still receiving give up.

        Raises:
            ChunkSuperseded: somebody newer took over (or the upload was closed: then that error).
        """
        while (holder := self._slots.get(number)) is not None:
            holder.supersede()
            await holder.released.wait()
        slot = self._slots[number] = Slot()
        try:
            yield slot
        except asyncio.CancelledError:
            if not slot.superseded:
                raise
            slot.accept_cancel()
            raise self._closed() or ChunkSuperseded("A newer request for this chunk took over") from None
        finally:
            del self._slots[number]
            slot.released.set()

    async def clear_slots(self) -> None:
        """Have everyone at work on a chunk stop, and wait until they have."""
        self.coming.clear()
        while self._slots:
            slot = next(iter(self._slots.values()))
            slot.supersede()
            await slot.released.wait()


Load = Callable[[int, str], Awaitable[LiveUpload | None]]


class LiveUploads:
    """The uploads in use, by id. *load* reads one from the records."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._uploads: dict[str, LiveUpload] = {}
        self._loading: dict[str, asyncio.Lock] = {}

    def add(self, upload: LiveUpload) -> None:
        """Remember a new upload."""
        self._evict()
        self._uploads[upload.session.upload_id] = upload

    def find(self, upload_id: str) -> LiveUpload | None:
        """Return an upload if it is in memory."""
        return self._uploads.get(upload_id)

    def busy(self) -> set[str]:
        """Return the ids of uploads that somebody is using right now."""
        return {upload_id for upload_id, upload in self._uploads.items() if upload.in_use}

    def __contains__(self, upload_id: str) -> bool:
        return upload_id in self._uploads

    @asynccontextmanager
    async def use(self, owner_id: int, upload_id: str) -> AsyncIterator[LiveUpload]:
        """Yield the owner's upload; it stays in memory inside the block.

        Raises:
            UploadNotFound: there is none, or it belongs to somebody else.
        """
        upload = self._uploads.get(upload_id) or await self._loaded(owner_id, upload_id)
        if upload is None or upload.session.owner_id != owner_id:
            raise UploadNotFound("Upload not found")
        upload.users += 1
        try:
            yield upload
        except ServerError as error:
            error.upload = upload.state
            raise
        finally:
            upload.users -= 1
            if not upload.in_use and upload.session.status is not SessionStatus.OPEN:
                self.forget(upload_id)

    async def _loaded(self, owner_id: int, upload_id: str) -> LiveUpload | None:
        lock = self._loading.setdefault(upload_id, asyncio.Lock())
        try:
            async with lock:
                if upload_id not in self._uploads:
                    upload = await self._load(owner_id, upload_id)
                    if upload is None:
                        return None
                    self.add(upload)
                return self._uploads[upload_id]
        finally:
            if not lock.locked():
                self._loading.pop(upload_id, None)

    def forget(self, upload_id: str) -> None:
        """Drop an upload from memory."""
        upload = self._uploads.pop(upload_id, None)
        if upload is not None:
            upload.close()

    def _evict(self) -> None:
        if len(self._uploads) < MAX_IDLE:
            return
        idle = [upload_id for upload_id, upload in self._uploads.items() if not upload.in_use]
        for upload_id in idle[: max(0, len(self._uploads) + 1 - MAX_IDLE)]:
            self.forget(upload_id)

    def close(self) -> None:
        """Let go of everything."""
        for upload_id in list(self._uploads):
            self.forget(upload_id)
