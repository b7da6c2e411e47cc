"""Making one request of many small files: each is read, proven to be what was hashed, and put behind the others.

Blocking: one call in one thread per batch, because a thread hop per small file costs more than the file.
"""

import hashlib
import json
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from pp_assist import posix
from pp_assist.core.compression import Compression
from pp_assist.core.errors import AssistError, FileChanged
from pp_assist.core.model import Claim, Hashed, Kind
from pp_assist.disk import Directories
from pp_assist.uploader.encoding import batch_body
from pp_assist.uploader.transfer import open_unchanged, read_unchanged
from pp_assist.uploader.way import Host, offer_of
from pp_server.wire.names import to_json

HEAD_BYTES = 2 << 20
"""The line of JSON is kept this short: names may be long, and the server repeats them in its answer."""


@dataclass(slots=True)
class Packed:
    """One batch, ready to be sent."""

    claims: list[Claim] = field(default_factory=list)
    """What is in it, in order."""
    sent: list[int] = field(default_factory=list)
    """For each of them, the bytes of content that are in it."""
    inline: list[bool] = field(default_factory=list)
    """For each of them, whether its content is in it."""
    body: list[bytes] = field(default_factory=list)
    encoding: str | None = None
    """Of the body, if it is not as it is."""
    failures: list[tuple[Claim, AssistError]] = field(default_factory=list)
    """What cannot be sent as it is."""
    left: list[Claim] = field(default_factory=list)
    """What did not fit any more."""


def pack(
    claims: Sequence[Claim], host: Host, held: Collection[str], compression: Compression = Compression.NEVER
) -> Packed:
    """Pack *claims* into one batch. Content that is *held* by the server, or is in the batch already, is only named."""
    packed, contents, operations, head_bytes = Packed(), list[bytes](), list[str](), 0
    named = set(held)
    with Directories() as directories:
        for number, claim in enumerate(claims):
            assert claim.hashed is not None
            digest = claim.hashed.sha256
            inline = bool(digest) and digest not in named
            line = _operation(claim, claim.hashed, inline)
            head_bytes += len(line) + 1
            if head_bytes > HEAD_BYTES and number:
                packed.left = list(claims[number:])
                break
            try:
                content = _read(directories, claim, inline)
            except AssistError as error:
                packed.failures.append((claim, error))
                continue
            named.add(digest)
            contents.append(content)
            packed.claims.append(claim)
            packed.inline.append(inline)
            packed.sent.append(len(content))
            operations.append(line)
    packed.body, packed.encoding = batch_body(compression, body_of(host, operations), contents)
    return packed


_quoted = json.encoder.encode_basestring_ascii


def _operation(claim: Claim, hashed: Hashed, inline: bool) -> str:
    """Return the `put` of a batch as JSON. What a file needs is written at once: that takes a fifth of the time."""
    filepath, encoded = to_json(claim.location.filepath)
    if hashed.kind is not Kind.FILE or encoded is not None:
        operation = {"op": "put", **offer_of(claim)}
        if hashed.sha256:
            operation["content"] = "inline" if inline else "held"
        return json.dumps(operation, separators=(",", ":"))
    stat, owner, content = hashed.stat, _owner_of(hashed.uid, hashed.gid), "inline" if inline else "held"
    return (
        f'{{"op":"put","filepath":{_quoted(filepath)},"gen":{claim.gen},"kind":"file","sha256":"{hashed.sha256}",'
        f'"file_size":{stat.size_bytes},"mtime_ns":{stat.mtime_ns},"mode":{hashed.mode},{owner},"content":"{content}"}}'
    )


@lru_cache(maxsize=64)
def _owner_of(uid: int, gid: int) -> str:
    owner = {"uid": uid, "gid": gid, "user": posix.user_name(uid), "group": posix.group_name(gid)}
    return json.dumps(owner, separators=(",", ":"))[1:-1]


def body_of(host: Host, operations: Sequence[str]) -> list[bytes]:
    """Return what stands before the contents in a batch of *operations*, each as JSON."""
    common = json.dumps(host.fields() | {"paths": False}, separators=(",", ":"))
    return [f'{common[:-1]},"operations":[{",".join(operations)}]}}\n'.encode()]


def _read(directories: Directories, claim: Claim, inline: bool) -> bytes:
    """Return the content (nothing, where it need not travel) of a file that certainly is what was hashed.

    Of a directory or a link nothing is read again: what is told of it was true, and the next look tells what is. Nor is
    a file whose content is still at hand: these are the very bytes that were hashed.
    """
    hashed = claim.hashed
    assert hashed is not None
    if hashed.kind is not Kind.FILE:
        return b""
    if claim.content is not None:
        return claim.content if inline else b""
    fd = open_unchanged(directories, claim, hashed)
    try:
        if not inline:
            return b""
        content = read_unchanged(fd, hashed, 0, hashed.stat.size_bytes)
    finally:
        os.close(fd)
    if hashlib.sha256(content).hexdigest() != hashed.sha256:
        raise FileChanged("its content is not what was hashed, though it looks untouched")
    return content
