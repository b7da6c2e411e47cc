"""API keys as text: ``pp_<id, 16 hex>_<secret, 64 hex>_<crc32, 8 hex>``. The checksum only catches typing errors."""

import hashlib
import re
import zlib
from typing import NamedTuple

_KEY = re.compile(r"(pp_([0-9a-f]{16})_([0-9a-f]{64}))_([0-9a-f]{8})", re.ASCII)


class ParsedKey(NamedTuple):
    """The two halves of a key: the public id and the hash of the secret."""

    id: str
    secret_sha256: bytes


def format_key(key_id: str, secret: str) -> str:
    """Return the key a person copies, from 16 and 64 hexadecimal digits."""
    body = f"pp_{key_id}_{secret}"
    return f"{body}_{zlib.crc32(body.encode()):08x}"


def parse_key(text: str) -> ParsedKey | None:
    """Return the key's halves, or None where *text* is no key."""
    match = _KEY.fullmatch(text)
    if match is None or f"{zlib.crc32(match[1].encode()):08x}" != match[4]:
        return None
    return ParsedKey(match[2], hash_secret(match[3]))


def hash_secret(secret: str) -> bytes:
    """Return what is stored of a secret. A fast hash is right here: the secret has 256 random bits."""
    return hashlib.sha256(secret.encode()).digest()
