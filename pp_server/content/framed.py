"""Content that lies compressed: one frame of zstd in a pack, or a file of many, so that any part can be read alone.

Such a file is in the seekable format of zstd, which all its tools read: frames of 256 KiB of content (the last one of
what is left), and behind them a frame that they skip, with the lengths of the others:

| bytes | field |
|---|---|
| 4 | ``0x184D2A5E`` (little-endian, as all numbers) |
| 4 | length of the rest |
| 8 for each frame | its length, the length of its content |
| 4 | number of frames |
| 1 | 0 |
| 4 | ``0x8F92EAB1`` |
"""

import hashlib
import os
import struct
from array import array
from collections.abc import Callable
from itertools import accumulate

from pp_server import posix
from pp_server.core.extents import ZSTD, Container, Extent
from pp_server.wire.digest import Digest
from pp_server.wire.frames import MAX_FRAME_BYTES, BadFrame, Encoder, decoded, sample_spans

_HEAD = struct.Struct("<II")
_LENGTHS = struct.Struct("<II")
_FOOT = struct.Struct("<IBI")
_SKIPPED, _SEEKABLE = 0x184D2A5E, 0x8F92EAB1


class Damaged(OSError):
    """What is stored stands for nothing."""


def plain_bytes(stored: bytes, extent: Extent) -> bytes:
    """Return the content of an extent of a pack; nobody has looked yet whether it is the right one.

    Raises:
        Damaged: it stands for nothing.
    """
    if extent.encoding != ZSTD:
        return stored
    try:
        return decoded(stored, extent.size_bytes)
    except BadFrame as error:
        raise Damaged(str(error)) from error


def is_worthwhile(path: str, size_bytes: int) -> bool:
    """Look at a sample of a file and say whether it becomes smaller."""
    with open(path, "rb", buffering=0) as file:
        samples = [posix.read_at(file.fileno(), length, offset) for offset, length in sample_spans(size_bytes)]
    return Encoder().is_worthwhile(samples)


def encode_file(source: str, digest: Digest, size_bytes: int, write: Callable[[bytes, int], None]) -> int:
    """Hand a file to *write* (what, where) as frames and their index; return the bytes of all that.

    Each frame is decoded again at once: what is promised is what comes back, not what went in.

    Raises:
        OSError: it cannot be read, or is not that content.
    """
    encoder, hasher, lengths, end = Encoder(), hashlib.sha256(), array("I"), 0
    with open(source, "rb", buffering=0) as file:
        fd = file.fileno()
        for offset in range(0, size_bytes, MAX_FRAME_BYTES):
            data = posix.read_at(fd, min(MAX_FRAME_BYTES, size_bytes - offset), offset)
            frame = encoder.frame(data)
            if decoded(frame, len(data)) != data:
                raise Damaged("it cannot be compressed")
            hasher.update(data)
            write(frame, end)
            lengths.append(len(frame))
            end += len(frame)
    if hasher.hexdigest() != digest:
        raise Damaged("it is not what it was a moment ago")
    index = _index(lengths, size_bytes)
    write(index, end)
    return end + len(index)


def _index(lengths: "array[int]", size_bytes: int) -> bytes:
    last = size_bytes - MAX_FRAME_BYTES * (len(lengths) - 1)
    rows = [_LENGTHS.pack(length, MAX_FRAME_BYTES) for length in lengths[:-1]]
    rows.append(_LENGTHS.pack(lengths[-1], last))
    rest = b"".join(rows) + _FOOT.pack(len(lengths), 0, _SEEKABLE)
    return _HEAD.pack(_SKIPPED, len(rest)) + rest


def content_bytes(fd: int) -> int:
    """Return how long the content of such a file is, as the file itself says.

    Raises:
        Damaged: it does not say.
    """
    return sum(content for _, content in _lengths(fd, os.fstat(fd).st_size))


def _lengths(fd: int, file_bytes: int) -> list[tuple[int, int]]:
    foot = posix.read_at(fd, _FOOT.size, max(0, file_bytes - _FOOT.size))
    count, flags, magic = _FOOT.unpack(foot) if len(foot) == _FOOT.size else (0, 0, 0)
    index_bytes = _HEAD.size + count * _LENGTHS.size + _FOOT.size
    if magic != _SEEKABLE or flags or not count or index_bytes > file_bytes:
        raise Damaged("it has no index")
    rows = posix.read_at(fd, count * _LENGTHS.size, file_bytes - index_bytes + _HEAD.size)
    lengths = list(_LENGTHS.iter_unpack(rows))
    if sum(length for length, _ in lengths) != file_bytes - index_bytes:
        raise Damaged("its index does not fit")
    if any(content != MAX_FRAME_BYTES for _, content in lengths[:-1]) or not 0 < lengths[-1][1] <= MAX_FRAME_BYTES:
        raise Damaged("its frames are not as long as ours")
    return lengths


class FramedPart:
    """An extent that lies compressed, open for reading. Holds one frame's content."""

    def __init__(self, fd: int, extent: Extent) -> None:
        """Raises Damaged where its index is not what it should be."""
        self._fd = fd
        self.size_bytes = extent.size_bytes
        if extent.container is Container.PACK:
            lengths = [extent.stored_bytes]
        else:
            rows = _lengths(fd, extent.offset + extent.stored_bytes)
            if sum(content for _, content in rows) != extent.size_bytes:
                raise Damaged("it is another content's")
            lengths = [length for length, _ in rows]
        self._starts = array("Q", accumulate(lengths, initial=extent.offset))
        self._held = (-1, b"")

    def read(self, offset: int, length: int) -> bytes:
        """Return the content at *offset*. Blocking.

        Raises:
            Damaged: a frame stands for nothing.
        """
        first, last = offset // MAX_FRAME_BYTES, (offset + length - 1) // MAX_FRAME_BYTES
        data = b"".join([self._frame(number) for number in range(first, last + 1)])
        begin = offset - first * MAX_FRAME_BYTES
        return data if begin == 0 and len(data) == length else data[begin : begin + length]

    def _frame(self, number: int) -> bytes:
        held, data = self._held
        if held != number:
            start, end = self._starts[number], self._starts[number + 1]
            size_bytes = min(MAX_FRAME_BYTES, self.size_bytes - number * MAX_FRAME_BYTES)
            try:
                data = decoded(posix.read_at(self._fd, end - start, start), size_bytes)
            except BadFrame as error:
                raise Damaged(str(error)) from error
            self._held = number, data
        return data


class PlainPart:
    """An extent that lies as it is, open for reading."""

    def __init__(self, fd: int, extent: Extent) -> None:
        self._fd = fd
        self._offset = extent.offset
        self.size_bytes = extent.size_bytes

    def read(self, offset: int, length: int) -> bytes:
        """Return the content at *offset*; fewer bytes only where there are no more. Blocking."""
        return posix.read_at(self._fd, length, self._offset + offset)


def opened_part(fd: int, extent: Extent) -> FramedPart | PlainPart:
    """Return an extent, open for reading.

    Raises:
        Damaged: as `FramedPart`.
    """
    return FramedPart(fd, extent) if extent.encoding == ZSTD else PlainPart(fd, extent)
