"""Whose certificates are believed for one server."""

import re
from dataclasses import dataclass

_DIGITS = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Trust:
    """At most one of the two; with neither, the public authorities decide."""

    fingerprint: str | None = None
    """SHA-256 of the only certificate the server may show, as 64 lower-case hexadecimal digits."""
    ca_file: str | None = None
    """PEM file with the authorities that may vouch for it."""


def parse_fingerprint(text: str) -> str:
    """Return a SHA-256 fingerprint as we keep it; *text* may be in either case, with colons or without.

    Raises:
        ValueError: it is not one.
    """
    digits = text.strip().lower()
    if re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){31}", digits):
        digits = digits.replace(":", "")
    if not _DIGITS.fullmatch(digits):
        raise ValueError("must be a SHA-256 fingerprint: 64 hexadecimal digits, with colons between pairs or without")
    return digits


def shown(fingerprint: str) -> str:
    """Return a fingerprint as people compare it: AB:CD:…"""
    return bytes.fromhex(fingerprint).hex(":").upper()
