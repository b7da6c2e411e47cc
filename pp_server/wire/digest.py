"""SHA-256 digests as they travel: 64 lower-case hexadecimal digits, nothing else."""

import hashlib
import re
from typing import NewType

Digest = NewType("Digest", str)

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)

EMPTY = Digest(hashlib.sha256(b"").hexdigest())


def parse_digest(text: str) -> Digest:
    """Return *text* as a digest.

    Raises:
        ValueError: it is not exactly 64 lower-case hexadecimal digits (a trailing newline counts).
    """
    if not _DIGEST.fullmatch(text):
        raise ValueError("must be 64 lower-case hexadecimal digits")
    return Digest(text)


def digest_of(data: bytes | bytearray | memoryview) -> Digest:
    """Return the SHA-256 of *data*."""
    return Digest(hashlib.sha256(data).hexdigest())
