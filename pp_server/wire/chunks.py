"""Chunk arithmetic: pure functions from sizes and sets to ranges."""

from collections.abc import Iterable

KIB = 1024
MIB = 1024 * KIB

MIN_CHUNK_BYTES = KIB
MAX_CHUNK_BYTES = 64 * MIB
DEFAULT_CHUNK_BYTES = 4 * MIB
SEED_CHUNK_BYTES = 2 * MIB
"""What `total_chunks` without `chunk_size` means: the chunk size of every client written before ours."""

MAX_CHUNKS = 200_000
COMFORTABLE_CHUNKS = 10_000

Range = tuple[int, int]
"""Inclusive: (first, last)."""


def chunk_count(size_bytes: int, chunk_bytes: int) -> int:
    """Return how many chunks a file of *size_bytes* has; an empty file has none."""
    return -(-size_bytes // chunk_bytes)


def chunk_span(size_bytes: int, chunk_bytes: int, number: int) -> tuple[int, int]:
    """Return (offset, length) in bytes of chunk *number*; the last chunk may be shorter."""
    offset = number * chunk_bytes
    return offset, max(0, min(chunk_bytes, size_bytes - offset))


def choose_chunk_bytes(size_bytes: int, max_chunk_bytes: int | None) -> int:
    """Return the chunk size a server names for a file: 4 MiB, more where that needs over 10,000 chunks.

    *max_chunk_bytes* is the largest chunk the client is willing to send; it wins over our comfort.
    """
    comfortable = max(DEFAULT_CHUNK_BYTES, -(-chunk_count(size_bytes, COMFORTABLE_CHUNKS) // MIB) * MIB)
    chosen = min(comfortable, MAX_CHUNK_BYTES)
    if max_chunk_bytes is not None:
        chosen = min(chosen, max_chunk_bytes)
    return max(chosen, MIN_CHUNK_BYTES)


def missing_ranges(total: int, received: Iterable[int]) -> list[Range]:
    """Return the chunk numbers below *total* that are not in *received*, as inclusive ranges in order."""
    ranges: list[Range] = []
    expected = 0
    for number in sorted(set(received)):
        if number > expected:
            ranges.append((expected, number - 1))
        expected = number + 1
    if expected < total:
        ranges.append((expected, total - 1))
    return ranges


def numbers_in(ranges: Iterable[Range]) -> list[int]:
    """Return every number in the inclusive *ranges*, in order."""
    return [number for first, last in ranges for number in range(first, last + 1)]


def chunks_within(size_bytes: int, chunk_bytes: int, spans: Iterable[Range]) -> list[int]:
    """Return the chunks of which every byte lies in one of *spans*: inclusive, of bytes, ascending, apart."""
    numbers: list[int] = []
    for first, last in spans:
        end = chunk_count(size_bytes, chunk_bytes) if last + 1 >= size_bytes else (last + 1) // chunk_bytes
        numbers += range(-(-first // chunk_bytes), end)
    return numbers
