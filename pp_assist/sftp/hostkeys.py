"""Whose key is believed: a pinned fingerprint, the known_hosts files, or the first one that was seen.

All but `remember` is pure or only reads. The rules are applied before the login, so that neither password nor signature
ever reaches a server that is another one.
"""

import base64
import binascii
import fnmatch
import hashlib
import hmac
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from pp_assist.sftp.errors import HostKeyRefused, HostKeyUnknown

_SSH_PORT = 22
_ONE_AT_A_TIME = threading.Lock()


class Verdict(Enum):
    """What the known hosts say of a key."""

    KNOWN = "known"
    UNKNOWN = "unknown"  # nothing is known of this host
    CHANGED = "changed"  # another key is
    REVOKED = "revoked"


class Line(NamedTuple):
    """One line of a known_hosts file."""

    marker: str
    """@revoked, @cert-authority or nothing."""
    patterns: str
    key_type: str
    blob: bytes


@dataclass(frozen=True, slots=True)
class HostKeyRules:
    """Which keys are believed."""

    pinned: str | None = None
    """The one fingerprint, SHA256:..., that is; nothing else counts then."""
    files: tuple[str, ...] = ()
    """known_hosts files to read."""
    remembered: str | None = None
    """The file in which the first key of a host is remembered; read like the others."""
    strict: bool = False
    """An unknown host is refused, instead of remembered."""


def fingerprint(blob: bytes) -> str:
    """Return a key's fingerprint as OpenSSH shows it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def parse_known_hosts(text: str) -> Iterator[Line]:
    """Yield the lines that mean something; others are for others."""
    for raw in text.splitlines():
        words = raw.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#"):
            continue
        try:
            yield Line(marker, words[0], words[1], base64.b64decode(words[2], validate=True))
        except binascii.Error:
            continue


def names(patterns: str, host: str, port: int) -> bool:
    """Say whether the first field of a line means *host*."""
    wanted = host.lower() if port == _SSH_PORT else f"[{host.lower()}]:{port}"
    if patterns.startswith("|1|"):
        return _hashed(patterns, wanted)
    found = False
    for pattern in patterns.lower().split(","):
        exact = pattern.removeprefix("!")
        if fnmatch.fnmatchcase(wanted, exact.replace("[", "[[]")):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def _hashed(pattern: str, wanted: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part) for part in pattern[3:].split("|"))
    except (ValueError, binascii.Error):
        return False
    return hmac.compare_digest(hmac.digest(salt, wanted.encode(), "sha1"), digest)


def judge(lines: Iterable[Line], host: str, port: int, blob: bytes) -> Verdict:
    """Return what *lines* say of a key that a host shows.

    A host of which any key is known may not come with another one, not even of another type: whoever stands between
    chooses the type.
    """
    about = [line for line in lines if line.marker != "@cert-authority" and names(line.patterns, host, port)]
    if any(line.marker == "@revoked" and line.blob == blob for line in about):
        return Verdict.REVOKED
    trusted = [line for line in about if not line.marker]
    if any(line.blob == blob for line in trusted):
        return Verdict.KNOWN
    return Verdict.CHANGED if trusted else Verdict.UNKNOWN


def known_types(rules: HostKeyRules, host: str, port: int) -> list[str]:
    """Return the types of the keys that are known of a host: to be asked for first."""
    return [line.key_type for line in _read(rules) if not line.marker and names(line.patterns, host, port)]


def check(rules: HostKeyRules, host: str, port: int, key_type: str, blob: bytes) -> None:
    """Return where the key is believed; remember it where it is the first and *rules* say so. Blocking.

    Raises:
        HostKeyUnknown: nothing is known of this host.
        HostKeyRefused: it is another key, or one that was revoked.
    """
    shown, where = fingerprint(blob), f"{host}, port {port}"
    if rules.pinned is not None:
        if not hmac.compare_digest(rules.pinned.rstrip("=").encode(), shown.encode()):
            raise HostKeyRefused(
                f"{where} shows the key {shown}, and {rules.pinned} is expected: nothing was sent to it"
            )
        return
    with _ONE_AT_A_TIME:  # what two see first at the same time is remembered once
        verdict = judge(_read(rules), host, port, blob)
        if verdict is Verdict.UNKNOWN and not rules.strict and rules.remembered is not None:
            _remember(rules.remembered, host, port, key_type, blob)
            return
    if verdict is Verdict.UNKNOWN:
        raise HostKeyUnknown(
            f"the key of {where} is not known: it shows {shown}. If its owner says so, too, pin that fingerprint, or"
            " add the host to known_hosts"
        )
    if verdict is not Verdict.KNOWN:
        what = "was revoked" if verdict is Verdict.REVOKED else "is not the one that is known"
        raise HostKeyRefused(f"the key {shown} of {where} {what}: nothing was sent to it")


def _read(rules: HostKeyRules) -> list[Line]:
    lines: list[Line] = []
    for path in dict.fromkeys((*rules.files, rules.remembered)):
        if path is None:
            continue
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                lines += parse_known_hosts(file.read())
        except FileNotFoundError:
            continue
        except OSError as error:  # who cannot read what is known must not take a host for unknown
            raise HostKeyRefused(f"cannot read {path}: {error.strerror}") from error
    return lines


def _remember(path: str, host: str, port: int, key_type: str, blob: bytes) -> None:
    """Append a line, durably; behind a last line that has no end yet."""
    name = host.lower() if port == _SSH_PORT else f"[{host.lower()}]:{port}"
    os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    with open(fd, "r+b", buffering=0) as file:
        size = os.fstat(fd).st_size
        file.seek(max(0, size - 1))
        start = b"" if file.read(1) in (b"", b"\n") else b"\n"
        file.write(start + f"{name} {key_type} {base64.b64encode(blob).decode()}\n".encode())
        os.fsync(fd)
