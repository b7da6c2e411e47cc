"""Stored files: list, read, delete."""

import hashlib
from asyncio import get_running_loop
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from pp_server.content.base import BlobReader, ContentStore, DigestLocks
from pp_server.core.errors import ContentDamaged, FileNotFound, Forbidden, HostNotFound
from pp_server.core.extents import Blob
from pp_server.core.model import (
    Caller,
    DeletionOrder,
    DeletionOutcome,
    Host,
    ListingQuery,
    Page,
)
from pp_server.core.presence import Presences
from pp_server.core.ranges import Span
from pp_server.core.recorded import Recorded
from pp_server.metadata.base import MetadataStore
from pp_server.receipts.issuer import Issuer
from pp_server.waiting import finish
from pp_server.wire.digest import Digest

BLOCK_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Stored:
    """Content that is open for reading."""

    blob: Blob
    reader: BlobReader


class Files:
    """Use cases around stored files."""

    def __init__(
        self,
        metadata: MetadataStore,
        content: ContentStore,
        locks: DigestLocks,
        executor: Executor,
        now_ms: Callable[[], int],
        receipts: Issuer,
    ) -> None:
        self._metadata = metadata
        self._content = content
        self._locks = locks
        self._executor = executor
        self._now_ms = now_ms
        self._receipts = receipts
        self._presences = Presences()

    async def list(self, query: ListingQuery) -> Page:
        """Return one page of live files."""
        return await self._metadata.list_files(query)

    def is_shared(self, caller: Caller, host_id: str, run: str) -> bool:
        """Note that a run of a daemon speaks as a host; say whether another one that is older does so, too."""
        return self._presences.show(caller.owner_id, host_id, run)

    async def host(self, caller: Caller, host_id: str) -> Host:
        """Return one of the caller's hosts.

        Raises:
            HostNotFound: there is none of that id.
        """
        host = await self._metadata.find_host(caller.owner_id, host_id)
        if host is None:
            raise HostNotFound("Host not found")
        return host

    async def delete(self, caller: Caller, orders: Sequence[DeletionOrder]) -> "Sequence[DeletionOutcome]":
        """Apply deletions; the content stays."""
        for order in orders:
            if caller.host_id is not None and (order.path is None or order.host_id != caller.host_id):
                raise Forbidden("This key speaks for another host")
        return await finish(self._delete(caller, orders))

    async def _delete(self, caller: Caller, orders: Sequence[DeletionOrder]) -> "Sequence[DeletionOutcome]":
        outcomes, new = await self._metadata.apply_deletions(caller.owner_id, orders, self._now_ms())
        await self._receipts.log(new, {each.sequence for each in outcomes if each.sequence is not None})
        return outcomes

    async def recorded(self, caller: Caller, sequence: int) -> Recorded | None:
        """Return one recorded version of the caller."""
        return await self._metadata.find_recorded(caller.owner_id, sequence)

    async def held(self, caller: Caller, digests: "Sequence[Digest]") -> "Sequence[Digest]":
        """Return those contents that some version of the caller has, in the order asked."""
        found = await self._metadata.held(caller.owner_id, set(digests))
        return [digest for digest in dict.fromkeys(digests) if digest in found]

    async def open(self, caller: Caller, digest: Digest) -> Stored:
        """Open content that some version of the caller has. Whoever opens it closes the reader.

        Raises:
            FileNotFound: the caller has no such content.
            ContentDamaged: it was there, and is gone.
        """
        version = await self._metadata.find_content(caller.owner_id, digest)
        blob = (await self._metadata.find_blobs([digest])).get(digest)
        if version is None or blob is None:
            raise FileNotFound("File not found on server")
        reader = await self._reader(blob)
        if reader is None:
            await self._set_aside(blob)
            raise ContentDamaged("The stored content is damaged; send the file again")
        return Stored(blob, reader)

    async def _reader(self, blob: Blob) -> BlobReader | None:
        """Open a blob where it lies by now."""
        reader = await self._content.open(blob.location)
        return reader or await self._content.open((await self._moved(blob)).location)

    async def _moved(self, blob: Blob) -> Blob:
        """Return where the blob lies by now: its pack may have been rewritten since we asked."""
        return (await self._metadata.find_blobs([blob.sha256])).get(blob.sha256, blob)

    async def read(self, stored: Stored, span: Span | None) -> AsyncIterator[bytes]:
        """Yield the bytes; the whole content is checked on the way and cut before its last block if it is damaged."""
        try:
            if span is None:
                async for block in self._read_checked(stored):
                    yield block
            else:
                async for block in _blocks(stored.reader, span.first, span.last + 1):
                    yield block
        finally:
            await stored.reader.close()

    async def check(self, blob: Blob, also: "hashlib._Hash | None" = None) -> bool:
        """Read and hash a blob; put it aside if it is damaged. *also* is fed the same bytes."""
        reader = await self._reader(blob)
        hasher = hashlib.sha256()

        def feed(block: bytes) -> None:
            hasher.update(block)
            if also is not None:
                also.update(block)

        if reader is not None:
            try:
                async for block in _blocks(reader, 0, blob.size_bytes):
                    await get_running_loop().run_in_executor(self._executor, feed, block)
            except ContentDamaged:
                hasher.update(b"it is shorter")
            finally:
                await reader.close()
        if reader is not None and hasher.hexdigest() == blob.sha256:
            return True
        await self._set_aside(blob)
        return False

    async def _read_checked(self, stored: Stored) -> AsyncIterator[bytes]:
        hasher = hashlib.sha256()
        held: bytes | None = None
        try:
            async for block in _blocks(stored.reader, 0, stored.blob.size_bytes):
                await get_running_loop().run_in_executor(self._executor, hasher.update, block)
                if held is not None:
                    yield held
                held = block
        except ContentDamaged:
            await self._set_aside(stored.blob)
            raise
        if hasher.hexdigest() != stored.blob.sha256:
            await self._set_aside(stored.blob)
            raise ContentDamaged("The stored content is damaged; send the file again")
        if held is not None:
            yield held

    async def _set_aside(self, blob: Blob) -> None:
        """Take damaged content out, so that the next upload of it is stored afresh."""
        async with self._locks.alone_with(blob.sha256):
            blob = await self._moved(blob)
            if not await self._content.verify(blob.sha256, blob.location) and await self._metadata.distrust_content(
                blob.sha256, blob.location
            ):
                await self._content.put_aside(blob.sha256, blob.location)


async def _blocks(reader: BlobReader, first: int, end: int) -> AsyncIterator[bytes]:
    while first < end:
        try:
            block = await reader.read(first, min(BLOCK_BYTES, end - first))
        except OSError as error:
            raise ContentDamaged("The stored content cannot be read") from error
        if not block:
            raise ContentDamaged("The stored content is shorter than it was")
        yield block
        first += len(block)
