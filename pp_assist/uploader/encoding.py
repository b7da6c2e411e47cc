"""Whether what is sent is compressed. It costs time here, and saves it on the way and room on the server's disk."""

from collections.abc import Iterator, Sequence

from pp_assist.core.compression import Compression
from pp_server.wire.frames import ENCODING, Encoder, sample_spans

FAST_BYTES_PER_S = 100e6
"""A way that is faster than we compress: there chunks go as they are, and the server compresses what it keeps."""

SAMPLES = 16
SAMPLE_BYTES = 8 << 10
PIECE_BYTES = 256 << 10
"""Bodies are joined up to about this size: sending many tiny pieces costs more than copying them."""


def batch_body(
    compression: Compression, head: Sequence[bytes], contents: Sequence[bytes]
) -> tuple[list[bytes], str | None]:
    """Return a batch as it is sent, and its encoding: each content is a frame, so that it can be kept like that."""
    encoder = Encoder()
    if compression is Compression.NEVER or not (
        compression is Compression.ALWAYS or encoder.is_worthwhile(_samples(contents))
    ):
        return list(_joined([*head, *contents])), None
    frames = [frame for line in head for frame in encoder.frames(line)]
    frames += [encoder.frame(content) for content in contents if content]
    return list(_joined(frames)), ENCODING


def _samples(contents: Sequence[bytes]) -> list[bytes]:
    some = [content for content in contents if content]
    return [content[:SAMPLE_BYTES] for content in some[:: max(1, len(some) // SAMPLES)]]


def _joined(parts: Sequence[bytes]) -> Iterator[bytes]:
    loose: list[bytes] = []
    loose_bytes = 0
    for part in parts:
        loose.append(part)
        loose_bytes += len(part)
        if loose_bytes >= PIECE_BYTES:
            yield b"".join(loose)
            loose, loose_bytes = [], 0
    if loose:
        yield b"".join(loose)


def chunk_body(compression: Compression, bytes_per_s: float | None, content: bytes) -> tuple[list[bytes], str | None]:
    """Return a chunk as it is sent, and its encoding. *bytes_per_s* is how fast the way is, as far as that is known."""
    if compression is Compression.NEVER:
        return [content], None
    encoder = Encoder()
    if compression is Compression.AUTO:
        if bytes_per_s is not None and bytes_per_s > FAST_BYTES_PER_S:
            return [content], None
        samples = [memoryview(content)[at : at + length] for at, length in sample_spans(len(content))]
        if not encoder.is_worthwhile(samples):
            return [content], None
    return encoder.frames(content), ENCODING
