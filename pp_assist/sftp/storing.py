"""Files to, from and within an SFTP server, each in one step that others see whole. Blocking."""

import hashlib
import os
import posixpath
import secrets
from contextlib import suppress
from typing import Any

from pp_assist.sftp.connecting import look, told_apart
from pp_assist.sftp.errors import RemoteRefused, SftpError
from pp_assist.sftp.fetching import pieces

BLOCK_BYTES = 1 << 20
UNSURE_BYTES = 8 << 20
"""So much may be on its way at a time: servers that write in parallel may have the end of it, and not its middle."""


def put(client: Any, local: str, remote: str, draft: str) -> int:
    """Upload a file as *draft*, check its size, and give it its name; return the size.

    What is there of the draft already was sent by the caller before the connection broke, and is gone on with.

    Raises:
        RemoteRefused, SftpUnreachable: nothing of it has the name.
        OSError: the local file cannot be read.
    """
    with open(local, "rb") as source:
        before = os.fstat(source.fileno())
        with told_apart():
            there = look(client, draft)
            at = 0 if there is None else where_to_go_on(min(there.size_bytes, before.st_size))
            file = client.open(draft, "r+" if at else "w")
            file.set_pipelined(True)
            file.seek(at)
        source.seek(at)
        while block := source.read(BLOCK_BYTES):
            with told_apart():
                file.write(block)
            at += len(block)
        with told_apart():
            file.close()
            arrived = client.stat(draft).st_size
        after = os.fstat(source.fileno())
    if not before.st_size == at == arrived or before.st_mtime_ns != after.st_mtime_ns:
        discard(client, draft)
        raise RemoteRefused(f"{before.st_size} bytes were to be sent, {at} were, {arrived} arrived")
    try:
        replace(client, draft, remote)
    except RemoteRefused:
        discard(client, draft)
        raise
    return at


def where_to_go_on(have_bytes: int) -> int:
    """Return how much of a draft is certainly there. Pure."""
    return max(0, have_bytes - UNSURE_BYTES) // BLOCK_BYTES * BLOCK_BYTES


def discard(client: Any, draft: str) -> None:
    """Remove a draft, if that can be done."""
    with suppress(SftpError), told_apart():
        client.remove(draft)


def replace(client: Any, draft: str | bytes, remote: str | bytes) -> None:
    """Give *draft* the name *remote*, in place of what has it.

    In one step where the server can. Else the old file has another name for a moment, and gets its own back on failure.

    Raises:
        RemoteRefused: the server does not let us, or a folder has that name.
        SftpUnreachable: it may have it by now.
    """
    with told_apart():
        try:
            client.posix_rename(draft, remote)
            return
        except OSError as error:
            if error.errno is not None:
                raise
        there = look(client, remote)
        if there is None:
            client.rename(draft, remote)
            return
        if there.is_directory:
            raise RemoteRefused("a folder has that name")
        aside = f"{os.fsdecode(remote)}.{secrets.token_hex(4)}.old"
        client.rename(remote, aside)
        try:
            client.rename(draft, remote)
        except BaseException:
            client.rename(aside, remote)
            raise
        client.remove(aside)


def move(client: Any, source: bytes, target: bytes) -> None:
    """Move a file to a name that nothing has; folders on the way are made.

    Raises:
        RemoteRefused: something has it, or the server does not let us.
    """
    with told_apart():
        make_folders(client, posixpath.dirname(target))
        if look(client, target) is not None:
            raise RemoteRefused("something has that name already")
        client.rename(source, target)


def digest_of(client: Any, path: bytes, size_bytes: int) -> str:
    """Return the SHA-256 of a remote file.

    Raises:
        RemoteChanged: it has fewer bytes; RemoteRefused, SftpUnreachable.
    """
    hasher = hashlib.sha256()
    with told_apart(), client.open(path, "r") as file:
        for piece in pieces(client, file, 0, size_bytes):
            hasher.update(piece)
    return hasher.hexdigest()


def make_folders(client: Any, folder: bytes) -> None:
    """Have a folder, and those above it."""
    if folder in (b"", b"/") or look(client, folder) is not None:
        return
    make_folders(client, posixpath.dirname(folder))
    try:
        client.mkdir(folder)
    except OSError:
        if look(client, folder) is None:  # else somebody was faster
            raise
