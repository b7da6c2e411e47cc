"""Looking after what is stored: reading all of it again, and rewriting packs that are mostly dead."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pp_server.content.base import ContentStore
from pp_server.content.packs import HEAD_BYTES, MAGIC
from pp_server.core.extents import ZSTD, Blob, Container, Extent
from pp_server.files import Files
from pp_server.metadata.base import MetadataStore
from pp_server.wire.digest import Digest, digest_of
from pp_server.wire.frames import Encoder

_AT_A_TIME = 256
_COPIED_AT_A_TIME = 64
"""Small blobs: 16 MiB at most."""


@dataclass(frozen=True, slots=True)
class PackUse:
    """A pack that takes nothing more, and what of it is of use."""

    name: str
    size_bytes: int
    live_bytes: int

    @property
    def dead_bytes(self) -> int:
        """What a rewrite would give back."""
        return max(0, self.size_bytes - self.live_bytes)


class Upkeep:
    """Use cases of `pp_server check` and `pp_server compact`; the server compacts now and then by itself."""

    def __init__(
        self,
        metadata: MetadataStore,
        content: ContentStore,
        files: Files,
        now_ms: Callable[[], int],
        dead_percent: int,
        grace_ms: int,
    ) -> None:
        self._metadata = metadata
        self._content = content
        self._files = files
        self._now_ms = now_ms
        self._dead_percent = dead_percent
        self._grace_ms = grace_ms

    async def check(self) -> dict[str, Any]:
        """Read and hash every blob; put damaged ones aside. Return what was found."""
        checked = checked_bytes = 0
        damaged: list[str] = []
        after: Digest | None = None
        while blobs := await self._metadata.page_of_blobs(after, _AT_A_TIME):
            for blob in blobs:
                if not await self._files.check(blob):
                    damaged.append(blob.sha256)
                checked, checked_bytes = checked + 1, checked_bytes + blob.size_bytes
            after = blobs[-1].sha256
        packs = await self._packs(0)
        return {
            "blobs": checked,
            "bytes": checked_bytes,
            "damaged": damaged,
            "packs": len(packs),
            "pack_bytes": sum(pack.size_bytes for pack in packs),
            "dead_bytes": sum(pack.dead_bytes for pack in packs),
        }

    async def compact(self) -> dict[str, int]:
        """Rewrite packs that are mostly dead, and remove those that were rewritten a while ago."""
        rewritten = freed = dropped = 0
        retired = await self._metadata.retired_packs()
        for pack in await self._packs(self._grace_ms):
            if pack.name not in retired and pack.dead_bytes * 100 >= pack.size_bytes * self._dead_percent:
                await self._rewrite(pack.name)
                rewritten, freed = rewritten + 1, freed + pack.dead_bytes
        for name, since_ms in retired.items():
            if since_ms + self._grace_ms <= self._now_ms() and await self._drop(name):
                dropped += 1
        return {"rewritten": rewritten, "dropped": dropped, "freed_bytes": freed}

    async def _packs(self, settled_for_ms: int) -> list[PackUse]:
        sizes = await self._content.pack_sizes(settled_for_ms)
        live = await self._metadata.live_in_packs()
        packs = []
        for name, size_bytes in sizes.items():
            count, stored = live.get(name, (0, 0))
            packs.append(PackUse(name, size_bytes, len(MAGIC) + stored + count * HEAD_BYTES))
        return packs

    async def _rewrite(self, name: str) -> None:
        """Copy what is live to the current pack and let the records say so, some at a time."""
        after: Digest | None = None
        while blobs := await self._metadata.blobs_in_pack(name, after, _COPIED_AT_A_TIME):
            await self._metadata.move_extents(await self._copied(name, blobs))
            after = blobs[-1].sha256
        await self._metadata.retire_pack(name, self._now_ms())  # not where something damaged had to stay behind

    async def _copied(self, name: str, blobs: list[Blob]) -> list[tuple[Extent, Extent]]:
        wanted: dict[Extent, bytes] = {}
        for blob in blobs:
            if not await self._files.check(blob):
                continue
            for extent in blob.location:
                if (extent.container, extent.name) == (Container.PACK, name):
                    data = await self._read(extent)
                    if data is not None:
                        wanted[extent] = data
        frames = {extent.sha256: Encoder().frame(data) for extent, data in wanted.items() if extent.encoding == ZSTD}
        placed = await self._content.put_many([(extent.sha256, data) for extent, data in wanted.items()], frames)
        return [(old, new) for old, (new,) in zip(wanted, placed, strict=True)]

    async def _read(self, extent: Extent) -> bytes | None:
        """Return the bytes of an extent, None where they are not what they should be."""
        reader = await self._content.open((extent,))
        if reader is None:
            return None
        try:
            data = await reader.read(0, extent.size_bytes)
        finally:
            await reader.close()
        return data if digest_of(data) == extent.sha256 else None

    async def _drop(self, name: str) -> bool:
        """Remove a retired pack, unless something lies in it after all."""
        if await self._metadata.blobs_in_pack(name, None, 1):
            await self._metadata.forget_pack(name)
            return False
        await self._content.drop_pack(name)
        await self._metadata.forget_pack(name)
        return True
