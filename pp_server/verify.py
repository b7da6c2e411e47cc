"""Hashing stored content again, because a client asked: the proof that what was acknowledged is still there."""

import hashlib
import time
from collections.abc import Sequence
from concurrent.futures import Executor

from pp_server.core.errors import RateLimited
from pp_server.core.extents import Blob
from pp_server.core.model import Caller
from pp_server.files import Files
from pp_server.metadata.base import MetadataStore
from pp_server.wire.batch import VerifyResult
from pp_server.wire.digest import Digest

BYTES_PER_S = 32 << 20
BURST_BYTES = 1 << 30
"""An owner may have so much hashed at once, and after that so much per second: it costs us reading all of it."""


class Verifier:
    """Reads and hashes content on demand."""

    def __init__(self, metadata: MetadataStore, files: Files, executor: Executor) -> None:
        self._metadata = metadata
        self._files = files
        self._executor = executor
        self._spent: dict[int, tuple[float, float]] = {}

    async def verify(self, caller: Caller, digests: Sequence[Digest], nonce: bytes | None) -> list[VerifyResult]:
        """Return what the stored bytes of each digest are; those of other owners are not there.

        Damaged content is put aside, so that the next upload of it is stored afresh.

        Raises:
            RateLimited: the caller had too much hashed lately; nothing was read.
        """
        held = await self._metadata.held(caller.owner_id, set(digests))
        blobs = await self._metadata.find_blobs(held)
        self._spend(caller.owner_id, sum(blob.size_bytes for blob in blobs.values()))
        results = {digest: await self._one(blob, nonce) for digest, blob in blobs.items()}
        gone = {digest: VerifyResult(sha256=digest, status="not_found") for digest in digests if digest not in results}
        return [(results | gone)[digest] for digest in digests]

    async def _one(self, blob: Blob, nonce: bytes | None) -> VerifyResult:
        hasher = hashlib.sha256(nonce) if nonce is not None else None
        intact = await self._files.check(blob, hasher)
        return VerifyResult(
            sha256=blob.sha256,
            status="intact" if intact else "damaged",
            file_size=blob.size_bytes,
            proof=hasher.hexdigest() if hasher is not None and intact else None,
        )

    def _spend(self, owner_id: int, size_bytes: int) -> None:
        now = time.monotonic()
        spent, since = self._spent.get(owner_id, (0.0, now))
        left = max(0.0, spent - (now - since) * BYTES_PER_S)
        if left and left + size_bytes > BURST_BYTES:
            wait_s = (left + size_bytes - BURST_BYTES) / BYTES_PER_S
            raise RateLimited("Too much content was asked for lately", min(3600, int(wait_s) + 1))
        self._spent[owner_id] = left + size_bytes, now
