"""One file from an SFTP server: many requests on their way at a time; goes on where a connection broke. Blocking."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from pp_assist import posix
from pp_assist.sftp.errors import RemoteChanged, SftpError

PIECE_BYTES = 32 * 1024
"""What every server gives in one answer."""
PIECES_ON_THEIR_WAY = 64
SYNC_BYTES = 4 << 20
"""So much is made durable at a time. What lies below a multiple of it is durable once a byte beyond it was written, so
that whoever goes on after a power cut knows where from, without a record of it."""


class _Reading:
    """What paramiko hands answers to. Its own prefetch leaves a thread that spins for ever once a connection breaks."""

    def __init__(self, client: Any, handle: bytes) -> None:
        from paramiko import sftp

        self._client, self._handle = client, handle
        self._sftp = sftp
        self._asked: dict[int, tuple[int, int]] = {}
        self._arrived: dict[int, bytes] = {}
        self._error: Exception | None = None

    def ask(self, offset: int, length: int) -> None:
        number = self._client._async_request(self, self._sftp.CMD_READ, self._handle, self._sftp.int64(offset), length)
        self._asked[number] = (offset, length)

    def _async_response(self, kind: int, message: Any, number: int) -> None:
        offset, length = self._asked.pop(number)
        if kind != self._sftp.CMD_DATA:
            with suppress(EOFError):
                try:
                    self._client._convert_status(message)
                except OSError as error:
                    self._error = self._error or error
                    return
            self._error = self._error or RemoteChanged("it became shorter while it was read")
            return
        data = message.get_string()
        self._arrived[offset] = data
        if 0 < len(data) < length:
            self.ask(offset + len(data), length - len(data))

    def next(self, offset: int) -> bytes:
        """Return what begins at *offset*, which was asked for."""
        while offset not in self._arrived:
            if self._error is not None:
                raise self._error
            self._client._read_response()
        return self._arrived.pop(offset)

    def drain(self) -> None:
        """Wait for what is still on its way: the client is used again."""
        while self._asked:
            self._client._read_response()


def pieces(client: Any, file: Any, start: int, size_bytes: int) -> Iterator[bytes]:
    """Yield the bytes of an open remote file from *start* on.

    Raises:
        RemoteChanged: there are fewer.
        OSError and what paramiko raises.
    """
    reading = _Reading(client, file.handle)
    asked, at = start, start
    while at < size_bytes:
        while asked < size_bytes and asked - at < PIECE_BYTES * PIECES_ON_THEIR_WAY:
            length = min(PIECE_BYTES, size_bytes - asked)
            reading.ask(asked, length)
            asked += length
        try:
            piece = reading.next(at)
        except RemoteChanged:
            reading.drain()
            raise
        if not piece:
            raise RemoteChanged("it became shorter while it was read")
        at += len(piece)
        yield piece


def where_to_go_on(have_bytes: int, size_bytes: int) -> int:
    """Return how much of a draft is certainly right. Pure: see SYNC_BYTES."""
    return 0 if have_bytes > size_bytes else max(0, have_bytes - 1) // SYNC_BYTES * SYNC_BYTES


def fetch(client: Any, remote: bytes, size_bytes: int, mtime_s: int, draft: str, check: Callable[[], None]) -> int:
    """Fetch one version of a file into *draft*, durably; return how many bytes came now.

    A draft of the same version is gone on with. *check* is called now and then, and raises where it should end.

    Raises:
        RemoteChanged: it is another version by now; the draft is removed.
        SftpUnreachable, RemoteRefused: what has come stays in the draft.
    """
    from pp_assist.sftp.connecting import told_apart

    fd = os.open(draft, os.O_RDWR | os.O_CREAT | posix.BINARY | posix.CLOSE_ON_EXEC, 0o600)
    try:
        begin = at = where_to_go_on(os.fstat(fd).st_size, size_bytes)
        os.ftruncate(fd, at)
        os.lseek(fd, at, os.SEEK_SET)
        with told_apart():
            file = client.open(remote, "r")
        try:
            with told_apart():
                _same(file.stat(), size_bytes, mtime_s)
            arriving = pieces(client, file, at, size_bytes)
            while at < size_bytes:
                with told_apart():
                    piece = next(arriving)
                check()
                _write(fd, piece)
                if at // SYNC_BYTES != (at + len(piece)) // SYNC_BYTES:
                    os.fsync(fd)
                at += len(piece)
            with told_apart():
                _same(file.stat(), size_bytes, mtime_s)
                _same(client.lstat(remote), size_bytes, mtime_s)
        finally:
            with suppress(SftpError), told_apart():
                file.close()
        os.fsync(fd)
    except RemoteChanged:
        os.unlink(draft)
        raise
    finally:
        os.close(fd)
    return at - begin


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _same(found: Any, size_bytes: int, mtime_s: int) -> None:
    if (found.st_size or 0, found.st_mtime or 0) != (size_bytes, mtime_s):
        raise RemoteChanged("it changed while it was read")
