"""Bytes in frames of zstd (RFC 8878). Each stands alone and holds little, so whoever reads one needs little memory.

A body with ``Content-Encoding: zstd`` is a row of such frames. What they hold, one after the other, is the body itself.
"""

import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Data = bytes | bytearray | memoryview

ENCODING = "zstd"
"""As `Content-Encoding`, and as the feature that announces it."""

MAX_FRAME_BYTES = 256 * 1024
"""What one frame may hold; nothing is not enough."""

MAX_ENCODED_BYTES = MAX_FRAME_BYTES + 1024
"""What one frame may take: bytes that cannot be made fewer take some more."""

FREE_FRAMES = 8192
"""So many frames one body may have, however little they hold: two for each operation of a batch."""

FREE_FRAME_BYTES = 1024
"""One more for each so many bytes that they hold. Each costs a decoder: in tiny ones, a body takes a lot of time."""

LEVEL = 1
"""Higher ones cost more time than they save: 3 takes half as long again, for a twentieth less."""

WORTHWHILE = 0.9
"""Bytes of which so much or more is left are not worth the time."""

_SAMPLES = 8
_SAMPLE_BYTES = 8 * 1024
_FIRST_STEP_BYTES = 1024
_STEP_BYTES = 64 * 1024
_ENOUGH_BYTES = 4 * MAX_FRAME_BYTES
_WINDOW_LOG = MAX_FRAME_BYTES.bit_length() - 1
_OPTIONS: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _WINDOW_LOG}


class BadFrame(ValueError):
    """It is no frame of ours; the message says why."""


class Frame(NamedTuple):
    """One frame, and what it holds."""

    encoded: bytes
    plain: bytes


class Encoder:
    """Makes frames, for one thread: what zstd needs for that is made once."""

    def __init__(self) -> None:
        self._compressor = zstd.ZstdCompressor(LEVEL)

    def frame(self, data: Data) -> bytes:
        """Return 1 to `MAX_FRAME_BYTES` bytes as a frame."""
        return self._compressor.compress(data, zstd.ZstdCompressor.FLUSH_FRAME)

    def frames(self, data: Data) -> list[bytes]:
        """Return *data* as frames, all of them full but the last."""
        return [self.frame(piece) for piece in pieces(data)]

    def is_worthwhile(self, samples: Sequence[Data]) -> bool:
        """Say whether what *samples* are taken from becomes smaller."""
        plain = sum(map(len, samples))
        return sum([len(self.frame(each)) for each in samples if each]) < WORTHWHILE * plain


def pieces(data: Data) -> Iterator[memoryview]:
    """Yield what becomes a frame each."""
    view = memoryview(data)
    for start in range(0, len(view), MAX_FRAME_BYTES):
        yield view[start : start + MAX_FRAME_BYTES]


def sample_spans(size_bytes: int) -> list[tuple[int, int]]:
    """Return (offset, length) of what to look at of something large, evenly over all of it."""
    step = max(1, size_bytes // _SAMPLES)
    return [(offset, min(_SAMPLE_BYTES, size_bytes - offset)) for offset in range(0, size_bytes, step)][:_SAMPLES]


def decoded(frame: Data, size_bytes: int) -> bytes:
    """Return the *size_bytes* that a frame holds.

    Raises:
        BadFrame: it is damaged, or holds something else.
    """
    decoder = zstd.ZstdDecompressor(options=_OPTIONS)
    try:
        plain = decoder.decompress(frame, size_bytes + 1)
    except zstd.ZstdError as error:
        raise BadFrame(str(error)) from error
    if len(plain) != size_bytes or not decoder.eof or decoder.unused_data:
        raise BadFrame("it holds another number of bytes")
    return plain


class Decoder:
    """Takes a row of frames in pieces, cut anywhere. Holds at most one frame that is not whole yet."""

    def __init__(self) -> None:
        self._frames = self._whole_bytes = 0
        self._begin()

    def _begin(self) -> None:
        self._decoder = zstd.ZstdDecompressor(options=_OPTIONS)
        self._step_bytes = _FIRST_STEP_BYTES
        self._encoded = bytearray()
        self._plain: list[bytes] = []
        self._plain_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Return how much is held of a frame that is not whole yet."""
        return len(self._encoded) + self._plain_bytes

    def feed(self, data: Data) -> tuple[list[Frame], Data]:
        """Return the frames that are whole now, and what of *data* is still to be fed. CPU-bound.

        Some is left as soon as the frames hold about a MiB together: a few bytes may stand for a whole frame.

        Raises:
            BadFrame: they are not zstd, hold nothing or too much, are too many, or need too much memory.
        """
        found: list[Frame] = []
        view, at, found_bytes = memoryview(data), 0, 0
        while at < len(view) and found_bytes < _ENOUGH_BYTES:
            step = view[at : at + self._step_bytes]  # what is behind a frame is copied: let that be little
            frame, taken = self._take(step)
            at += taken
            if frame is not None:
                found.append(frame)
                found_bytes += len(frame.plain)
        return found, view[at:]

    def _take(self, data: memoryview) -> tuple[Frame | None, int]:
        """Decode up to the end of a frame; return it, if it is whole, and how many bytes were taken."""
        try:
            plain = self._decoder.decompress(data, MAX_FRAME_BYTES + 1 - self._plain_bytes)
        except zstd.ZstdError as error:
            raise BadFrame(str(error)) from error
        taken = len(data) - len(self._decoder.unused_data)
        self._encoded += data[:taken]
        self._plain.append(plain)
        self._plain_bytes += len(plain)
        self._step_bytes = min(2 * self._step_bytes, _STEP_BYTES)
        if self._plain_bytes > MAX_FRAME_BYTES or len(self._encoded) > MAX_ENCODED_BYTES:
            raise BadFrame(f"a frame may hold {MAX_FRAME_BYTES} bytes")
        return (self._whole() if self._decoder.eof else None), taken

    def _whole(self) -> Frame:
        if not self._plain_bytes:
            raise BadFrame("a frame holds nothing")
        self._frames += 1
        self._whole_bytes += self._plain_bytes
        if self._frames > FREE_FRAMES + self._whole_bytes // FREE_FRAME_BYTES:
            raise BadFrame("they are too many frames for what they hold")
        frame = Frame(bytes(self._encoded), b"".join(self._plain))
        self._begin()
        return frame

    def finish(self) -> None:
        """Nothing more comes.

        Raises:
            BadFrame: a frame is not whole.
        """
        if self._encoded:
            raise BadFrame("the last frame is not whole")
