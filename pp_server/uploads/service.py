"""The verbs of uploading."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from pp_server.core import geometry
from pp_server.core.errors import AlreadyCompleted, Forbidden, StorageFull, UnsupportedKind, UploadExpired
from pp_server.core.model import Caller, Facts, SessionStatus, UploadRequest, UploadSession
from pp_server.uploads.borrow import Borrower
from pp_server.uploads.complete import Completer
from pp_server.uploads.context import Context
from pp_server.uploads.live import LiveUpload, LiveUploads
from pp_server.uploads.receive import ChunkBody, Receiver
from pp_server.waiting import finish
from pp_server.wire.chunks import Range
from pp_server.wire.digest import Digest
from pp_server.wire.messages import (
    MAX_LISTED_URLS,
    AbortAnswer,
    Base,
    ChunkAnswer,
    CompleteAnswer,
    CompleteRequest,
    InitiateAnswer,
    InitiateRequest,
    UploadedChunk,
    UploadStatus,
)
from pp_server.wire.receipts import Receipt
from pp_server.wire.times import iso, iso_or_none

T = TypeVar("T")


class Uploads:
    """Use cases of uploading. Every verb may be repeated."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._live = LiveUploads(context.load)
        self._receiver = Receiver(context)
        self._completer = Completer(context)
        self._borrower = Borrower(context)

    async def initiate(self, caller: Caller, request: InitiateRequest) -> InitiateAnswer:
        """Return an upload for this version: the open one of the same upload, else a new one.

        Raises:
            StaleGeneration: the path is at this generation or further.
            BadGeometry, TooLarge, UnsupportedKind, Forbidden: not like this.
            StorageFull: no room on disk for it.
            RateLimited: the owner has too many uploads open.
        """
        wanted = _settle(caller, request)
        await self._context.check_room()
        context, now_ms = self._context, self._context.now_ms()
        opened = await finish(
            context.metadata.open_session(
                wanted, str(uuid.uuid4()), now_ms, context.rules.expiry(now_ms), context.rules.max_open_per_owner
            )
        )
        begin = self._resumed if opened.resumed else self._begun
        missing = await begin(opened.session, request.base)
        return _initiate_answer(opened.session, missing, context.rules.promised(opened.session.expires_ms))

    async def _begun(self, session: UploadSession, base: Base | None) -> list[Range]:
        upload = self._context.new_upload(session)
        self._live.add(upload)
        await self._context.check_known(upload)
        if upload.missing:
            await self._check_room(upload)
        return await self._missing(upload, base)

    async def _missing(self, upload: LiveUpload, base: Base | None) -> list[Range]:
        if base is not None:
            await self._borrower.begin(upload, base)
        return upload.missing

    async def _check_room(self, upload: LiveUpload) -> None:
        """Refuse a file that cannot fit now, instead of taking as much of it as does."""
        try:
            await self._context.check_room(upload.session.size_bytes)
        except StorageFull:
            await finish(self._abort(upload))
            self._live.forget(upload.session.upload_id)
            raise

    async def _resumed(self, session: UploadSession, base: Base | None) -> list[Range]:
        async with self._live.use(session.owner_id, session.upload_id) as upload:
            if upload.session.status is SessionStatus.OPEN:
                upload.session = session
            await self._context.check_known(upload)
            return await self._missing(upload, base)

    async def check_room(self, needed_bytes: int) -> None:
        """Raise StorageFull where the disk has no room for so much new content."""
        await self._context.check_room(needed_bytes)

    async def aside(self, work: Callable[..., T], *args: object) -> T:
        """Run CPU-bound work around an upload in our threads."""
        return await self._context.blocking(work, *args)

    async def put_chunk(self, caller: Caller, upload_id: str, number: int, body: ChunkBody) -> ChunkAnswer:
        """Take one chunk; see `Receiver.receive`."""
        async with self._live.use(caller.owner_id, upload_id) as upload:
            return await self._receiver.receive(upload, number, body)

    async def complete(self, caller: Caller, upload_id: str, request: CompleteRequest) -> CompleteAnswer:
        """Return what is stored from here on; see `Completer.complete`."""
        async with self._live.use(caller.owner_id, upload_id) as upload, upload.lock:
            return _complete_answer(await finish(self._completer.complete(upload, request)))

    async def status(self, caller: Caller, upload_id: str, with_chunks: bool) -> UploadStatus:
        """Return where an upload stands.

        Raises:
            UploadNotFound, UploadExpired: there is none any more.
        """
        async with self._live.use(caller.owner_id, upload_id) as upload:
            session = upload.session
            if session.status is SessionStatus.OPEN:
                upload.check_open(self._context.now_ms())
            if session.status is SessionStatus.EXPIRED:
                raise UploadExpired("The upload has expired")
            promised_ms = self._context.rules.promised(session.expires_ms)
            chunks = await self._chunks(session, with_chunks)
            return _status_answer(upload, self._context.content.name, promised_ms, chunks)

    async def _chunks(self, session: UploadSession, wanted: bool) -> list[UploadedChunk] | None:
        if not wanted:
            return None
        return [
            UploadedChunk(chunk_num=chunk.number, etag=chunk.sha256, uploaded_at=iso(chunk.uploaded_ms))
            for chunk in await self._context.metadata.chunks(session.id)
        ]

    async def abort(self, caller: Caller, upload_id: str) -> AbortAnswer:
        """Give an upload up; what arrived of it is removed.

        Raises:
            AlreadyCompleted: its content is stored, and stays so.
        """
        async with self._live.use(caller.owner_id, upload_id) as upload, upload.lock:
            if upload.session.status is SessionStatus.COMPLETED:
                raise AlreadyCompleted("The upload is completed")
            if upload.session.status is SessionStatus.EXPIRED:
                raise UploadExpired("The upload has expired")
            dropped = 0
            if upload.session.status is SessionStatus.OPEN:
                dropped = await finish(self._abort(upload))
        return AbortAnswer(upload_id=upload_id, status="aborted", chunks_uploaded=dropped, chunks_deleted=dropped)

    async def _abort(self, upload: LiveUpload) -> int:
        upload.session = replace(upload.session, status=SessionStatus.ABORTED)
        await upload.clear_slots()
        dropped = await self._context.metadata.abort_session(upload.session.id, self._context.now_ms())
        await self._context.blocking(upload.file.discard)
        return dropped

    # expiry

    async def clean(self) -> int:
        """Close what stood still for too long, remove its bytes and those nobody knows; return how many were closed."""
        context = self._context
        staged = await context.blocking(context.staging.upload_ids)
        expired = await context.metadata.expire_sessions(context.now_ms(), self._live.busy())
        for upload_id in expired.upload_ids:
            await self._drop(upload_id)
        known = await context.metadata.open_upload_ids()
        for upload_id in staged:
            if upload_id not in known and upload_id not in self._live.busy():
                await context.blocking(context.staging.remove, upload_id)
        return len(expired.upload_ids)

    async def expire(self, upload_id: str) -> bool:
        """Close one open upload as expired, at once; False where there is none."""
        if not await self._context.metadata.expire_session(upload_id, self._context.now_ms()):
            return False
        await self._drop(upload_id)
        return True

    async def _drop(self, upload_id: str) -> None:
        upload = self._live.find(upload_id)
        if upload is None:
            await self._context.blocking(self._context.staging.remove, upload_id)
            return
        async with upload.lock:
            upload.session = replace(upload.session, status=SessionStatus.EXPIRED)
            await upload.clear_slots()
            await self._context.blocking(upload.file.discard)
        if not upload.users:
            self._live.forget(upload_id)

    def close(self) -> None:
        """Let go of open files."""
        self._live.close()


def _settle(caller: Caller, request: InitiateRequest) -> UploadRequest:
    if request.kind != "file":
        raise UnsupportedKind(f"This server does not take a {request.kind} yet")
    if caller.host_id is not None and request.host != caller.host_id:
        raise Forbidden("This key speaks for another host")
    chunk_bytes, total_chunks = geometry.settle(request)
    return UploadRequest(
        owner_id=caller.owner_id,
        key_id=caller.key_id,
        host_id=request.host,
        hostname=request.hostname,
        ip_address=request.ip_address,
        path=request.path,
        gen=request.gen,
        sha256=None if request.sha256 is None else Digest(request.sha256),
        size_bytes=request.file_size,
        chunk_bytes=chunk_bytes,
        total_chunks=total_chunks,
        facts=Facts(
            request.kind,
            request.mtime_ns,
            request.mode,
            request.uid,
            request.gid,
            request.user,
            request.group,
            inconsistent=request.inconsistent,
        ),
        is_exact=geometry.is_exact(request),
    )


def _initiate_answer(session: UploadSession, missing: list[Range], promised_ms: int) -> InitiateAnswer:
    few = session.total_chunks <= MAX_LISTED_URLS
    return InitiateAnswer(
        upload_id=session.upload_id,
        expires_at=iso(promised_ms),
        chunk_urls=[f"/api/uploads/{session.upload_id}/chunk/{n}" for n in range(session.total_chunks)] if few else [],
        message="Send the missing chunks, then complete" if missing else "Nothing to send; complete the upload",
        chunk_size=session.chunk_bytes,
        total_chunks=session.total_chunks,
        missing=missing,
    )


def _complete_answer(receipt: Receipt) -> CompleteAnswer:
    return CompleteAnswer(
        file_id=str(receipt.sequence),
        sha256=receipt.sha256,
        file_size=receipt.size,
        status="completed",
        storage_location=f"sha256:{receipt.sha256}",
        receipt=receipt,
    )


def _status_answer(
    upload: LiveUpload, backend: str, promised_ms: int, chunks: list[UploadedChunk] | None
) -> UploadStatus:
    session = upload.session
    completed = session.status is SessionStatus.COMPLETED
    return UploadStatus.model_validate(
        {
            "upload_id": session.upload_id,
            "status": upload.status,
            "chunk_size": session.chunk_bytes,
            "total_chunks": session.total_chunks,
            "missing": upload.missing,
            "uploaded_chunks": chunks,
            "uploaded_count": upload.uploaded_count,
            "storage_backend": backend,
            "storage_location": f"sha256:{session.sha256}" if completed else None,
            "expires_at": iso(promised_ms),
            "created_at": iso(session.created_ms),
            "completed_at": iso_or_none(session.completed_ms),
        }
    )
