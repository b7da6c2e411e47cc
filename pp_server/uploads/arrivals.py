"""Files that arrived whole by another way become versions of a path like any other."""

import hashlib
import os
from dataclasses import dataclass

from pp_server.core.errors import StorageFailed
from pp_server.core.extents import Blob, Location
from pp_server.core.model import Facts
from pp_server.core.versions import Put, Verdict
from pp_server.metadata.base import Applied, Batch
from pp_server.uploads.context import Context
from pp_server.waiting import finish
from pp_server.wire.digest import Digest

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Arrival:
    """A whole file at *source*, and the path it is to have. Equal *gen* and content is a repeat."""

    owner_id: int
    host_id: str
    path: bytes
    gen: int
    source: str


class Arrivals:
    """Use case of what comes by IndexedCP."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def keep(self, arrival: Arrival) -> None:
        """Return once the file is a version with its receipt in the log. May be repeated.

        Raises:
            StorageFull, StorageFailed, SyncFailed: it is not; its source is as it was.
        """
        await finish(self._keep(arrival))

    async def _keep(self, arrival: Arrival) -> None:
        context = self._context
        digest, size_bytes, mtime_ns = await context.blocking(_read, arrival.source)
        put = Put(arrival.path, arrival.gen, Facts(mtime_ns=mtime_ns), digest, size_bytes)
        with context.arriving.announced(arrival.owner_id, arrival.host_id, [arrival.path]):
            async with context.locks.alone_with(digest):
                blob = Blob(digest, size_bytes, await self._place(digest, size_bytes, arrival.source))
                applied = await self._apply(arrival, put, blob)
                if applied.outcomes[0].verdict is Verdict.STALE:  # something else of that path was newer: this is now
                    applied = await self._apply(arrival, put._replace(gen=None), blob)
        outcome = applied.outcomes[0]
        if outcome.verdict is not Verdict.STORED or outcome.version is None:
            raise StorageFailed(f"An arrival was not recorded: {outcome.verdict}")
        await context.receipts.log(applied.new, {outcome.version.sequence})

    async def _apply(self, arrival: Arrival, put: Put, blob: Blob) -> Applied:
        context = self._context
        owner_id, host_id = arrival.owner_id, arrival.host_id
        others = context.arriving.besides(owner_id, host_id, [arrival.path])
        batch = Batch(owner_id, host_id, host_id, [put], [blob], [blob.sha256], others)
        return await context.metadata.apply_batch(batch, context.now_ms())

    async def _place(self, digest: Digest, size_bytes: int, source: str) -> Location:
        """Return where the content lies. What is there already counts only once its bytes were read and are right."""
        content, metadata = self._context.content, self._context.metadata
        known = (await metadata.find_blobs([digest])).get(digest)
        if known is not None:
            if await content.verify(digest, known.location):
                return known.location
            await metadata.distrust_content(digest, known.location)
            await content.put_aside(digest, known.location)
        placed = await content.put_file(digest, size_bytes, source)
        if placed.existed and not await content.verify(digest, placed.location):
            await content.put_aside(digest, placed.location)
            placed = await content.put_file(digest, size_bytes, source)
        return placed.location


def _read(path: str) -> tuple[Digest, int, int]:
    """Return digest, size and mtime of a file."""
    hasher, size_bytes = hashlib.sha256(), 0
    try:
        with open(path, "rb", buffering=0) as file:
            while block := file.read(_BLOCK_BYTES):
                hasher.update(block)
                size_bytes += len(block)
            mtime_ns = os.fstat(file.fileno()).st_mtime_ns
    except OSError as error:
        raise StorageFailed("An arrival cannot be read") from error
    return Digest(hasher.hexdigest()), size_bytes, mtime_ns
