"""What the use cases of uploading share."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import TypeVar

from pp_server.arriving import Arriving
from pp_server.budget import Budget
from pp_server.content.base import ContentStore, DigestLocks
from pp_server.core.model import RecordedChunk, SessionStatus, UploadSession
from pp_server.metadata.base import MetadataStore
from pp_server.receipts.issuer import Issuer
from pp_server.room import Room
from pp_server.staging import Staging
from pp_server.uploads.live import LiveUpload
from pp_server.uploads.rules import UploadRules
from pp_server.wire.chunks import chunk_span
from pp_server.wire.digest import Digest

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Context:
    """Stores, clock and threads."""

    metadata: MetadataStore
    content: ContentStore
    locks: DigestLocks
    staging: Staging
    executor: Executor
    now_ms: Callable[[], int]
    rules: UploadRules
    budget: Budget
    room: Room
    receipts: Issuer
    arriving: Arriving

    async def blocking(self, work: Callable[..., T], *args: object) -> T:
        """Run blocking work in our threads."""
        return await asyncio.get_running_loop().run_in_executor(self.executor, work, *args)

    async def check_room(self, needed_bytes: int = 0) -> None:
        """Raise StorageFull where the disk has no room for *needed_bytes* of new content."""
        if self.room.must_look(needed_bytes):
            await self.blocking(self.room.look)
        self.room.check(needed_bytes)

    def new_upload(self, session: UploadSession) -> LiveUpload:
        """Return a session as an upload of which nothing has arrived."""
        staging, upload_id = self.staging, session.upload_id
        return LiveUpload(session, staging.file(upload_id), staging.path_of(upload_id), self.executor)

    async def load(self, owner_id: int, upload_id: str) -> LiveUpload | None:
        """Read an upload from the records; look at its bytes where an unclean stop came after they were written."""
        session = await self.metadata.find_session(owner_id, upload_id)
        if session is None:
            return None
        upload = self.new_upload(session)
        if session.status is SessionStatus.OPEN:
            chunks = await self.metadata.chunks(session.id)
            for chunk in chunks:
                upload.mark(chunk.number)
            if chunks and not await self.blocking(self.staging.is_there, session.upload_id):
                await self.verify_chunks(upload, chunks)  # all of them are missing again
            elif any(chunk.epoch < self.metadata.verify_below for chunk in chunks):
                await self.verify_chunks(upload, chunks)
                await self.metadata.vouch_chunks(session.id)
            published = await self.blocking(self.staging.is_published, session.upload_id)
            if published and upload.missing:
                await self.begin_anew(upload)  # what was copied is not recorded, and the file must not be written to
        return upload

    async def verify_chunks(self, upload: LiveUpload, chunks: list[RecordedChunk]) -> list[int]:
        """Hash the recorded chunks' bytes; those that are not what was recorded are missing again. Return them."""
        session = upload.session
        asked = [(c.number, *chunk_span(session.size_bytes, session.chunk_bytes, c.number), c.sha256) for c in chunks]
        bad = await self.blocking(self.staging.bad_chunks, session.upload_id, asked)
        published = await self.blocking(self.staging.is_published, session.upload_id)
        if bad and published:
            bad = [chunk.number for chunk in chunks]  # the file is a blob by now and must not be written to
        if len(bad) == len(chunks):
            await self.blocking(upload.file.discard)
        if bad:
            await self.metadata.forget_chunks(session.id, bad)
            upload.unmark(bad)
        return bad

    async def give_back(self, upload: LiveUpload) -> list[int]:
        """What was copied cannot be trusted, or was not the same after all: it is missing again. Return it."""
        lent = sorted(upload.borrowed)
        upload.unmark(lent)
        if lent and upload.base is not None:
            await self.put_aside(upload.base)  # where it is damaged
        return lent

    async def begin_anew(self, upload: LiveUpload) -> None:
        """After a failed sync nobody knows what the file holds on disk: all chunks are missing again."""
        await self.blocking(upload.file.discard)
        await self.metadata.forget_chunks(upload.session.id, None)
        upload.unmark(None)

    async def check_known(self, upload: LiveUpload) -> None:
        """Let the upload skip its chunks only where the content really is there."""
        session = upload.session
        if not session.content_known or session.sha256 is None:
            return
        blob = (await self.metadata.find_blobs([session.sha256])).get(session.sha256)
        if blob is not None and not await self.content.holds(blob.location):
            await self.put_aside(session.sha256)
            blob = (await self.metadata.find_blobs([session.sha256])).get(session.sha256)
        if blob is None:
            await self.need_chunks(upload)

    async def put_aside(self, digest: Digest) -> None:
        """Put content aside that looked damaged, if it still does: somebody may have stored it afresh meanwhile."""
        async with self.locks.alone_with(digest):
            blob = (await self.metadata.find_blobs([digest])).get(digest)
            if blob is not None and not await self.content.verify(digest, blob.location):
                await self.metadata.distrust_content(digest, blob.location)
                await self.content.put_aside(digest, blob.location)

    async def need_chunks(self, upload: LiveUpload) -> None:
        """The content the owner had is gone: this upload needs its chunks after all."""
        await self.metadata.forget_known_content(upload.session.id)
        upload.session = replace(upload.session, content_known=False)
