"""Giving back: what is below a path, now or earlier, and many small contents in one answer."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from pp_server.content.base import ContentStore
from pp_server.core.model import Caller, ListedPath, ListingQuery, Shown
from pp_server.files import Files
from pp_server.metadata.base import MetadataStore
from pp_server.wire.digest import Digest
from pp_server.wire.names import json_fields
from pp_server.wire.restore import MAX_CONTENT_BYTES
from pp_server.wire.times import iso, iso_or_none

PAGE = 2000
PIECE_BYTES = 256 * 1024
"""The streams leave in pieces of about this size."""


class Restore:
    """Use cases of getting much back at once."""

    def __init__(self, metadata: MetadataStore, content: ContentStore, files: Files) -> None:
        self._metadata = metadata
        self._content = content
        self._files = files

    async def tree(self, query: ListingQuery) -> AsyncIterator[bytes]:
        """Yield a `TreeEntry` as a line for each path, and a `TreeEnd`."""
        entry = _entry if query.shown is Shown.LIVE and query.at_ms is None else _past_entry
        query, entries = replace(query, limit=PAGE), 0
        for host_key in await self._metadata.hosts_of(query):
            found, after = await self._metadata.page_of_tree(query, host_key, None)
            while found or after is not None:
                entries += len(found)
                yield b"".join(map(_line, map(entry, found)))
                if after is None:
                    break
                found, after = await self._metadata.page_of_tree(query, host_key, after)
        yield _line({"entries": entries})

    async def contents(self, caller: Caller, digests: Sequence[Digest]) -> AsyncIterator[bytes]:
        """Yield a `ContentHead` and the bytes of each content, in any order, and a `ContentsEnd`."""
        wanted = set(digests)
        blobs = await self._metadata.find_blobs(await self._metadata.held(caller.owner_id, wanted))
        small = [blob for blob in blobs.values() if blob.size_bytes <= MAX_CONTENT_BYTES]
        pieces = [_head(digest, None) for digest in wanted - {blob.sha256 for blob in small}]
        async for some in self._content.read_together(small):
            for blob, data in some:
                if data is None:
                    await self._files.check(blob)  # puts it aside if it is damaged
                pieces += [_head(blob.sha256, None)] if data is None else [_head(blob.sha256, len(data)), data]
            if sum(map(len, pieces)) >= PIECE_BYTES:
                yield b"".join(pieces)
                pieces = []
        yield b"".join([*pieces, _line({"contents": len(wanted)})])


def _entry(found: ListedPath) -> dict[str, object]:
    target = {} if found.link_target is None else json_fields(found.link_target, "link_target")
    return {
        **json_fields(found.path),
        "hostname": found.hostname,
        "host_id": found.host_id,
        "kind": found.kind,
        "gen": found.gen,
        "sha256": found.sha256,
        "file_size": found.size_bytes,
        **target,
        "mtime_ns": found.mtime_ns,
        "mode": found.mode,
        "uid": found.uid,
        "gid": found.gid,
        "user": found.user_name,
        "group": found.group_name,
        **({"inconsistent": True} if found.inconsistent else {}),
    }


def _past_entry(found: ListedPath) -> dict[str, object]:
    moments = {"stored_at": iso(found.stored_ms), "deleted_at": iso_or_none(found.deleted_ms)}
    return {**_entry(found), "status": found.status, **moments}


def _head(digest: Digest, size: int | None) -> bytes:
    return _line({"sha256": digest, "size": size})


def _line(fields: dict[str, object]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"
