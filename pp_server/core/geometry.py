"""Which chunks a file is sent in: the client's choice where it states one, else ours."""

from pp_server.core.errors import BadGeometry, TooLarge
from pp_server.wire.chunks import (
    MAX_CHUNK_BYTES,
    MAX_CHUNKS,
    MIN_CHUNK_BYTES,
    SEED_CHUNK_BYTES,
    choose_chunk_bytes,
    chunk_count,
)
from pp_server.wire.messages import InitiateRequest


def is_exact(request: InitiateRequest) -> bool:
    """Say whether the client states the geometry; otherwise it takes what we answer."""
    return request.chunk_size is not None or request.total_chunks is not None


def settle(request: InitiateRequest) -> tuple[int, int]:
    """Return (chunk size in bytes, number of chunks).

    Raises:
        BadGeometry: `total_chunks` is not what size and chunk size give.
        TooLarge: the chunks are outside 1 KiB to 64 MiB, or more than 200,000.
    """
    chunk_bytes = _chunk_bytes(request)
    total = chunk_count(request.file_size, chunk_bytes)
    if not MIN_CHUNK_BYTES <= chunk_bytes <= MAX_CHUNK_BYTES:
        raise TooLarge(f"chunk_size must be between {MIN_CHUNK_BYTES} and {MAX_CHUNK_BYTES} bytes")
    if total > MAX_CHUNKS:
        raise TooLarge(f"more than {MAX_CHUNKS} chunks; use a larger chunk_size")
    if request.total_chunks is None or request.total_chunks == total:
        return chunk_bytes, total
    if request.file_size == 0 and request.total_chunks == 1:
        return chunk_bytes, 1
    raise BadGeometry(f"total_chunks must be {total} for {request.file_size} bytes in chunks of {chunk_bytes}")


def _chunk_bytes(request: InitiateRequest) -> int:
    if request.chunk_size is not None:
        return request.chunk_size
    if not is_exact(request) and request.max_chunk_size is not None:
        return choose_chunk_bytes(request.file_size, request.max_chunk_size)
    return SEED_CHUNK_BYTES
