"""Completing an upload: check, make the content durable, record it, and only then promise."""

from dataclasses import replace

from pp_server.core.errors import (
    DigestMismatch,
    EtagMismatch,
    InvalidRequest,
    NotAllChunks,
    StaleGeneration,
    StorageFailed,
    SyncFailed,
    UnknownPart,
)
from pp_server.core.extents import Location
from pp_server.core.model import SessionStatus
from pp_server.metadata.base import Committed, ContentGone, Outdated
from pp_server.uploads.context import Context
from pp_server.uploads.live import LiveUpload
from pp_server.wire.chunks import missing_ranges
from pp_server.wire.digest import Digest
from pp_server.wire.messages import CompleteRequest, Part
from pp_server.wire.receipts import Receipt


class Completer:
    """Completes any upload, one at a time per content."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def complete(self, upload: LiveUpload, request: CompleteRequest) -> Receipt:
        """Return the receipt: what it names is durable. The caller holds the upload's lock.

        Raises:
            NotAllChunks: chunks are missing, or their bytes were damaged here; send those again.
            DigestMismatch: all chunks are intact and the file is another one; the upload is aborted.
            StaleGeneration: the content is stored, the path is further already; the upload is aborted.
            UnknownPart, EtagMismatch, InvalidRequest: the request does not fit the upload; nothing changed.
            SyncFailed: the disk failed; all chunks are missing again.
        """
        session, receipts = upload.session, self._context.receipts
        if session.status is SessionStatus.COMPLETED and session.receipt is not None:
            return await receipts.issue(session.receipt, ())
        upload.check_open(self._context.now_ms())
        digest = _announced(upload, request)
        await self._check_parts(upload, request.parts)
        await self._context.check_known(upload)
        if not upload.session.content_known:
            await self._check_all(upload, digest)
        async with self._context.locks.alone_with(digest):  # until it is recorded: else it could be put aside between
            committed = await self._keep(upload, digest)
        return await receipts.issue(committed.receipt, committed.new)

    async def _keep(self, upload: LiveUpload, digest: Digest) -> Committed:
        """Publish the content, where the server does not have it for this owner, and record the version."""
        if upload.session.content_known:
            committed = await self._record(upload, digest, None)
            if committed is not None:
                return committed
            await self._context.need_chunks(upload)
            await self._check_all(upload, digest)
        committed = await self._record(upload, digest, await self._publish(upload, digest))
        if committed is None:
            raise StorageFailed("The content was lost while it was being recorded")
        return committed

    async def _check_all(self, upload: LiveUpload, digest: Digest) -> None:
        await upload.copied()
        if upload.missing:
            raise NotAllChunks(upload.missing)
        await self._check_content(upload, digest)

    async def _check_parts(self, upload: LiveUpload, parts: list[Part] | None) -> None:
        if not parts:
            return
        recorded = {chunk.number: chunk.sha256 for chunk in await self._context.metadata.chunks(upload.session.id)}
        for part in parts:
            if part.chunk_num not in recorded:
                raise UnknownPart(f"Chunk {part.chunk_num} was not uploaded")
            if part.etag.strip('"') != recorded[part.chunk_num]:
                raise EtagMismatch(f"The etag of chunk {part.chunk_num} is another one")

    async def _check_content(self, upload: LiveUpload, digest: Digest) -> None:
        """Compare the digest of the staged bytes; where they are wrong, find out whether it was us."""
        context, session = self._context, upload.session
        if session.size_bytes == 0:
            await context.blocking(upload.file.ensure)
        if await upload.follower.digest() == digest:
            return
        bad = await context.verify_chunks(upload, await context.metadata.chunks(session.id))
        bad += await context.give_back(upload)
        if bad:
            raise NotAllChunks(missing_ranges(session.total_chunks, set(range(session.total_chunks)) - set(bad)))
        await self._close_aborted(upload)
        raise DigestMismatch("SHA256 mismatch: the uploaded content is not what was announced")

    async def _close_aborted(self, upload: LiveUpload) -> None:
        await self._context.metadata.abort_session(upload.session.id, self._context.now_ms())
        upload.session = replace(upload.session, status=SessionStatus.ABORTED)
        await self._context.blocking(upload.file.discard)

    async def _publish(self, upload: LiveUpload, digest: Digest) -> Location:
        """Have the content store keep the staged file. The caller is alone with the digest."""
        upload.file.close()  # nobody writes to what is about to be a blob
        try:
            return await self._put(upload, digest)
        except SyncFailed:
            await self._context.begin_anew(upload)
            raise
        except FileNotFoundError as error:
            upload.follower.begin_anew()  # then it finds out that chunks are missing
            raise StorageFailed("The staged content is gone") from error

    async def _put(self, upload: LiveUpload, digest: Digest) -> Location:
        """Return where the content lies. What is there already counts only once its bytes were read and are right."""
        content, metadata, session = self._context.content, self._context.metadata, upload.session
        known = (await metadata.find_blobs([digest])).get(digest)
        if known is not None:
            if await content.verify(digest, known.location):
                return known.location
            await metadata.distrust_content(digest, known.location)
            await content.put_aside(digest, known.location)
        path = self._context.staging.path_of(session.upload_id)
        placed = await content.put_file(digest, session.size_bytes, path)
        if placed.existed and not await content.verify(digest, placed.location):
            await content.put_aside(digest, placed.location)
            placed = await content.put_file(digest, session.size_bytes, path)
        return placed.location

    async def _record(self, upload: LiveUpload, digest: Digest, location: Location | None) -> Committed | None:
        """Record the version; None where the content it counts on is not held any more."""
        context, now_ms = self._context, self._context.now_ms()
        outcome = await context.metadata.complete_session(upload.session.id, digest, location, now_ms)
        if isinstance(outcome, ContentGone):
            return None
        if isinstance(outcome, Outdated):
            upload.session = replace(upload.session, status=SessionStatus.ABORTED)
            await self._discard(upload)
            raise StaleGeneration(outcome.gen)
        upload.session = replace(
            upload.session, status=SessionStatus.COMPLETED, completed_ms=now_ms, receipt=outcome.receipt, sha256=digest
        )
        await self._discard(upload)
        return outcome

    async def _discard(self, upload: LiveUpload) -> None:
        """Remove the staged bytes of an upload that is closed, and those of chunks that nobody needed any more."""
        await upload.clear_slots()
        await self._context.blocking(upload.file.discard)


def _announced(upload: LiveUpload, request: CompleteRequest) -> Digest:
    known = upload.session.sha256
    if known is not None and request.sha256 not in (None, known):
        raise InvalidRequest("sha256 is not the one of initiate", [("sha256", "differs from initiate")])
    if known is None and request.sha256 is None:
        raise InvalidRequest("sha256 is needed: initiate did not give it", [("sha256", "is needed")])
    return Digest(known or request.sha256 or "")
