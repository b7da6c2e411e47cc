"""Packs: files of many small blobs, so that a thousand of them cost one sync and not a thousand.

A pack begins with ``PPACK001``. Then come entries, each a head of 52 bytes and the stored bytes:

| bytes | field |
|---|---|
| 4 | ``PPE1`` |
| 4 | encoding: 0 is plain, 1 one frame of zstd (little-endian, as all numbers) |
| 4 | length of the stored bytes |
| 4 | length of the content |
| 32 | SHA-256 of the content |
| 4 | CRC-32 of the 48 bytes before |

So a pack can be read without any records, and past a damaged place: the next head that checks out is found by its
magic and CRC. A pack is appended to by the process that made it, until it is full; after that never.
"""

import os
import struct
import threading
import time
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from pp_server.appended import AppendedFile, TakesNoMore, read_past_damage
from pp_server.content.base import Data
from pp_server.content.framed import Damaged, plain_bytes
from pp_server.core.extents import PLAIN, ZSTD, Container, Extent, Location
from pp_server.durable import Durable
from pp_server.wire.digest import Digest, digest_of
from pp_server.wire.frames import MAX_FRAME_BYTES

MAGIC = b"PPACK001"
SEAL_BYTES = 64 * 1024 * 1024
"""A pack of this size is full."""

_ENTRY_MAGIC = b"PPE1"
_HEAD = struct.Struct("<4sIII32s")
_CRC = struct.Struct("<I")
HEAD_BYTES = _HEAD.size + _CRC.size
_ENCODINGS = (PLAIN, ZSTD)
_SUFFIX = ".pack"
_STEP_BYTES = 1 << 20


def entry_head(digest: Digest, size_bytes: int, frame_bytes: int | None = None) -> bytes:
    """Return what stands before content of *size_bytes*, or before a frame of it of *frame_bytes*."""
    encoding, stored_bytes = (0, size_bytes) if frame_bytes is None else (1, frame_bytes)
    fields = _HEAD.pack(_ENTRY_MAGIC, encoding, stored_bytes, size_bytes, bytes.fromhex(digest))
    return fields + _CRC.pack(zlib.crc32(fields))


class Packs:
    """The packs in *directory*. All methods block."""

    def __init__(self, directory: str, durable: Durable, seal_bytes: int = SEAL_BYTES) -> None:
        self._directory = directory
        self._durable = durable
        self._seal_bytes = seal_bytes
        self._choosing = threading.Lock()
        self._current: tuple[str, AppendedFile] | None = None

    def append(self, contents: Sequence[tuple[Digest, Data]], frames: Mapping[Digest, Data]) -> list[Location]:
        """Store all of *contents*; durable when this returns. Empty content has no extent.

        Of what is in *frames*, too, the frame is stored, if it is smaller.

        Raises:
            StorageFull, StorageFailed: nothing was stored.
            SyncFailed: nothing counts as stored, and the pack takes nothing more.
        """
        pieces: list[Data] = []
        stored: list[tuple[int, str]] = []
        for digest, data in contents:
            frame = frames.get(digest, data)
            content, encoding = (frame, ZSTD) if len(frame) < len(data) else (data, PLAIN)
            stored.append((len(content), encoding))
            if data:
                pieces += (entry_head(digest, len(data), len(content) if encoding == ZSTD else None), content)
        if not pieces:
            return [() for _ in contents]
        name, offset = self._append(pieces)
        locations: list[Location] = []
        for (digest, data), (stored_bytes, encoding) in zip(contents, stored, strict=True):
            if not data:
                locations.append(())
                continue
            offset += HEAD_BYTES
            locations.append((Extent(Container.PACK, name, offset, stored_bytes, len(data), digest, encoding),))
            offset += stored_bytes
        return locations

    def _append(self, pieces: Sequence[Data]) -> tuple[str, int]:
        while True:
            name, file = self._open_pack()
            with suppress(TakesNoMore):  # filled or broken by somebody else since we chose it
                return name, file.append(pieces)

    def _open_pack(self) -> tuple[str, AppendedFile]:
        """Return the pack to append to, a new one where there is none or it is full."""
        with self._choosing:
            if self._current is not None:
                _, file = self._current
                if file.is_usable and file.size_bytes < self._seal_bytes:
                    return self._current
                file.close()
                self._current = None
            name = uuid.uuid4().hex
            self._current = name, AppendedFile(self.path_of(name), self._durable, MAGIC)
            return self._current

    def path_of(self, name: str) -> str:
        """Return where a pack lies, whether it is there or not."""
        return os.path.join(self._directory, name + _SUFFIX)

    def sizes(self, settled_for_ms: int = 0) -> dict[str, int]:
        """Return the packs that take nothing more and have not changed for so long, with their bytes."""
        with self._choosing:
            current = None if self._current is None else self._current[0]
        found = {}
        with os.scandir(self._directory) as entries:
            for entry in entries:
                name = entry.name.removesuffix(_SUFFIX)
                status = entry.stat()
                if name not in (current, entry.name) and time.time() - status.st_mtime >= settled_for_ms / 1000:
                    found[name] = status.st_size
        return found

    def names(self) -> list[str]:
        """Return all packs."""
        return sorted(entry.removesuffix(_SUFFIX) for entry in os.listdir(self._directory) if entry.endswith(_SUFFIX))

    def drop(self, name: str) -> None:
        """Remove a pack."""
        self._durable.unlink(self.path_of(name))
        self._durable.sync_dir(self._directory)

    def close(self) -> None:
        """Append nothing more."""
        with self._choosing:
            if self._current is not None:
                self._current[1].close()
                self._current = None

    def read(self, name: str) -> Iterator[tuple[Extent, bool]]:
        """Yield every entry of a pack, in order, and whether its bytes are what its head says; they are durable."""
        with open(self.path_of(name), "rb", buffering=0) as file:
            self._durable.sync(file.fileno())  # whoever wrote it was perhaps killed before it came to that
            yield from _entries(name, file.fileno(), os.fstat(file.fileno()).st_size)


def _entries(name: str, fd: int, size_bytes: int) -> Iterator[tuple[Extent, bool]]:
    offset = len(MAGIC)
    while (found := _next_entry(name, fd, offset, size_bytes)) is not None:
        is_whole = found.offset + found.stored_bytes <= size_bytes  # else its length may be anything: do not read it
        intact = is_whole and _is_intact(read_past_damage(fd, found.stored_bytes, found.offset), found)
        yield found, intact
        # a damaged entry may have a damaged length that happens to pass: look for the next head right after this one's
        offset = found.offset + (found.stored_bytes if intact else 0)


def _is_intact(stored: bytes, extent: Extent) -> bool:
    try:
        return digest_of(plain_bytes(stored, extent)) == extent.sha256
    except Damaged:
        return False


def _next_entry(name: str, fd: int, offset: int, size_bytes: int) -> Extent | None:
    """Return the first entry whose head begins at *offset* or later and checks out."""
    found = _entry_at(name, fd, offset)
    while found is None and offset < size_bytes:
        window = read_past_damage(fd, _STEP_BYTES, offset)
        place = window.find(_ENTRY_MAGIC)
        while place >= 0 and (found := _entry_at(name, fd, offset + place)) is None:
            place = window.find(_ENTRY_MAGIC, place + 1)
        offset += _STEP_BYTES - len(_ENTRY_MAGIC) + 1
    return found


def _entry_at(name: str, fd: int, offset: int) -> Extent | None:
    head = read_past_damage(fd, HEAD_BYTES, offset)
    if len(head) < HEAD_BYTES or _CRC.unpack(head[_HEAD.size :])[0] != zlib.crc32(head[: _HEAD.size]):
        return None
    magic, encoding, stored, size, digest = _HEAD.unpack(head[: _HEAD.size])
    is_ours = stored == size if encoding == 0 else encoding == 1 and stored < size <= MAX_FRAME_BYTES
    if magic != _ENTRY_MAGIC or not is_ours:
        return None
    return Extent(Container.PACK, name, offset + HEAD_BYTES, stored, size, Digest(digest.hex()), _ENCODINGS[encoding])
