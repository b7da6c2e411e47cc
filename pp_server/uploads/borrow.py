"""Chunks that need not travel: the owner has their bytes already, at the same place of other content.

The client says where two versions are the same, for it knows the digests of the blocks of both. It is believed until
complete, where the digest of the whole decides. Nothing is recorded of chunks that were copied: after a restart they
are missing, and whoever offers the version again says again what it is based on.
"""

import asyncio
import logging

from pp_server.content.base import BlobReader
from pp_server.core.errors import ServerError
from pp_server.core.model import SessionStatus
from pp_server.staging import COPIED_BYTES
from pp_server.uploads.context import Context
from pp_server.uploads.live import LiveUpload
from pp_server.wire.chunks import chunk_span, chunks_within
from pp_server.wire.digest import Digest
from pp_server.wire.messages import Base

log = logging.getLogger(__name__)

AT_A_TIME = 2
"""Uploads whose chunks are copied; the others wait."""


class Borrower:
    """Copies chunks from content of the same owner."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._free = asyncio.Semaphore(AT_A_TIME)

    async def begin(self, upload: LiveUpload, base: Base) -> None:
        """Begin to copy the missing chunks that are the same in *base*; from here on they are not missing any more."""
        if not _may_begin(upload):
            return
        reader = await self._opened(upload.session.owner_id, base)
        if reader is None:
            return
        numbers = [number for number in _same(upload, base, reader.size_bytes) if not upload.received[number]]
        if not numbers or not _may_begin(upload):
            await reader.close()
            return
        upload.coming.update(numbers)
        upload.base = Digest(base.sha256)
        upload.copying = asyncio.create_task(self._copy(upload, reader, numbers))

    async def _opened(self, owner_id: int, base: Base) -> BlobReader | None:
        digest = Digest(base.sha256)
        held = await self._context.metadata.held(owner_id, {digest})
        blob = (await self._context.metadata.find_blobs(held)).get(digest)
        return None if blob is None else await self._context.content.open(blob.location)

    async def _copy(self, upload: LiveUpload, reader: BlobReader, numbers: list[int]) -> None:
        try:
            async with self._free, self._context.budget.reserve(COPIED_BYTES):
                for number in numbers:
                    await self._one(upload, reader, number)
        except ServerError as error:
            log.warning("chunks could not be copied and must be sent: %s", error)
        finally:
            upload.coming.clear()
            upload.copying = None
            await reader.close()

    async def _one(self, upload: LiveUpload, reader: BlobReader, number: int) -> None:
        async with upload.slot(number):
            if number not in upload.coming:  # it was sent after all, or the upload is closed
                return
            offset, length = chunk_span(upload.session.size_bytes, upload.session.chunk_bytes, number)
            await self._context.check_room(length)
            await self._context.blocking(upload.file.copy, reader.read_now, offset, length, upload.count == 0)
            upload.borrow(number)


def _may_begin(upload: LiveUpload) -> bool:
    session = upload.session
    return session.status is SessionStatus.OPEN and not session.content_known and upload.copying is None


def _same(upload: LiveUpload, base: Base, base_bytes: int) -> list[int]:
    session = upload.session
    ranges = [(first, min(last, base_bytes - 1)) for first, last in base.same]
    return chunks_within(session.size_bytes, session.chunk_bytes, ranges)
