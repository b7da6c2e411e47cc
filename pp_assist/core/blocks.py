"""Digests of the blocks of a large file, so that a change is noticed before a single wrong byte has left. Pure.

They are XXH3 (128 bits, https://xxhash.com), which costs next to nothing beside SHA-256 and finds every accidental
change. The proof of the whole stays its SHA-256, which the server computes anew.
"""

import xxhash

from pp_server.wire.chunks import KIB

DIGEST_BYTES = 16

SMALLEST_BLOCK_BYTES = 256 * KIB
"""The smallest chunk that is ever proposed to a server."""

MOST_BLOCKS = 16_384
"""Of one file: more than the chunks it is sent in, so that chunks are made of whole blocks."""


def block_bytes(size_bytes: int) -> int:
    """Return how long the blocks of a file are: a power of two."""
    length = SMALLEST_BLOCK_BYTES
    while length * MOST_BLOCKS < size_bytes:
        length *= 2
    return length


class BlockDigester:
    """Digests a file of *size_bytes*, given in pieces of any length."""

    def __init__(self, size_bytes: int) -> None:
        self._block_bytes = self._lacking = block_bytes(size_bytes)
        self._block = xxhash.xxh3_128()
        self._digests = bytearray()

    def feed(self, piece: memoryview) -> None:
        """Take the next bytes."""
        while len(piece) >= self._lacking:
            self._block.update(piece[: self._lacking])
            piece = piece[self._lacking :]
            self._end_block()
        if piece:
            self._block.update(piece)
            self._lacking -= len(piece)

    def digests(self) -> bytes:
        """Return the digests of all blocks, one behind the other, once everything was fed."""
        if self._lacking < self._block_bytes:  # the last one is shorter
            self._end_block()
        return bytes(self._digests)

    def _end_block(self) -> None:
        self._digests += self._block.digest()
        self._block.reset()
        self._lacking = self._block_bytes


def same_spans(old: bytes, old_bytes: int, new: bytes, new_bytes: int, most: int) -> list[tuple[int, int]]:
    """Return where two files are the same at the same offset: inclusive ranges of bytes, ascending, apart; the *most*
    longest ones. *old* and *new* are the digests of their blocks.
    """
    length = block_bytes(new_bytes)
    if block_bytes(old_bytes) != length:
        return []
    spans: list[tuple[int, int]] = []
    whole = min(old_bytes, new_bytes) // length if old_bytes != new_bytes else -(-new_bytes // length)
    for number in range(whole):
        at = slice(number * DIGEST_BYTES, (number + 1) * DIGEST_BYTES)
        if old[at] == new[at]:
            first, last = number * length, min((number + 1) * length, new_bytes) - 1
            if spans and spans[-1][1] + 1 == first:
                spans[-1] = (spans[-1][0], last)
            else:
                spans.append((first, last))
    return sorted(sorted(spans, key=lambda span: span[0] - span[1])[:most])


def agrees(digests: bytes, size_bytes: int, offset: int, content: bytes | memoryview) -> bool:
    """Say whether *content*, found at *offset* of a file of *size_bytes*, is what its blocks were.

    Blocks of which only a part is in *content* say nothing about it: a server may want chunks of odd lengths.
    """
    length = block_bytes(size_bytes)
    view = memoryview(content)
    end = offset + len(view)
    for number in range(-(-offset // length), -(-size_bytes // length)):
        first, last = number * length, min((number + 1) * length, size_bytes)
        if last > end:
            break
        expected = digests[number * DIGEST_BYTES : (number + 1) * DIGEST_BYTES]
        if xxhash.xxh3_128_digest(view[first - offset : last - offset]) != expected:
            return False
    return True
