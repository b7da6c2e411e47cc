"""How fast chunks reach one server, and how large they should be for that."""

from pp_server.wire.chunks import COMFORTABLE_CHUNKS, KIB, MAX_CHUNK_BYTES, chunk_count

TARGET_S = 20.0
"""What is lost when a connection breaks in the middle of a chunk is at most about so much time."""

SMALLEST_BYTES = 256 * KIB
TELLING_BYTES = 128 * KIB
"""Smaller chunks tell how far away the server is, not how fast the way there."""

WEIGHT = 0.3
"""Of the newest chunk in the average."""

PATIENCE = 4
LONGEST_PATIENCE_S = 3600.0


class UploadRate:
    """An average of bytes per second over the chunks sent to one server, newer ones counting more. Pure."""

    def __init__(self) -> None:
        self.bytes_per_s: float | None = None
        """None: nothing is known yet."""

    def sent(self, size_bytes: int, took_s: float) -> None:
        """Note that a chunk was sent, and how long that took."""
        if size_bytes < TELLING_BYTES or took_s <= 0:
            return
        seen = size_bytes / took_s
        known = self.bytes_per_s
        self.bytes_per_s = seen if known is None else WEIGHT * seen + (1 - WEIGHT) * known

    def broke(self, size_bytes: int, after_s: float) -> None:
        """Note that a chunk was not sent, although there was time for one: the way is slower than that, by half."""
        if size_bytes < TELLING_BYTES or after_s < TARGET_S:
            return
        at_most = size_bytes / after_s
        self.bytes_per_s = min(at_most, self.bytes_per_s or at_most) / 2

    def patience_s(self, size_bytes: int) -> float:
        """Return how much longer than usual to wait for the answer to a chunk: it may still be on its way."""
        if self.bytes_per_s is None:
            return 0.0
        return min(PATIENCE * size_bytes / self.bytes_per_s, LONGEST_PATIENCE_S)


def proposal(bytes_per_s: float | None, largest_bytes: int, file_bytes: int) -> int:
    """Return the largest chunk to propose for a file: what takes about 20 s, and no more than 10,000 of them.

    A power of two, unless it is *largest_bytes*: a rate that changes a little proposes the same again.
    """
    chunk = largest_bytes
    if bytes_per_s is not None and bytes_per_s * TARGET_S < largest_bytes:
        chunk = min(max(_power_of_two_below(bytes_per_s * TARGET_S), SMALLEST_BYTES), largest_bytes)
    while chunk_count(file_bytes, chunk) > COMFORTABLE_CHUNKS and chunk < MAX_CHUNK_BYTES:
        chunk = min(chunk * 2, MAX_CHUNK_BYTES)
    return chunk


def _power_of_two_below(value: float) -> int:
    return 1 << max(int(value).bit_length() - 1, 0)
