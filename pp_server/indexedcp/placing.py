"""Putting chunks to their places: the bytes, then the record of them, and for a file's first chunk its name.

Whoever calls holds the upload's lock, but for `put`. What is returned is the upload as one that is over, if it is.
Blocking; for many threads.
"""

import hashlib
import itertools
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from pp_server.core.errors import DigestMismatch, ServerError
from pp_server.durable import Durable
from pp_server.indexedcp import book
from pp_server.indexedcp.folder import Folder, blocks, id_of, part_of, write_whole
from pp_server.indexedcp.model import PARKED, Chunk, Finished, Incoming, Upload
from pp_server.indexedcp.names import Parts, PathMode, other, place
from pp_server.indexedcp.tracking import Statement, Tracking


class FileTaken(Exception):
    """The file was taken away, or the upload ended, while a chunk came: it belongs to another one."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How one folder is served."""

    mode: PathMode = PathMode.IGNORE
    strip_paths: bool = False
    idle_s: float = 30.0
    unfinished_s: float = 7 * 86400.0
    """So long an upload of which chunks are missing waits for the next."""
    max_unfinished: int = 1024
    """Of these, at a time."""
    keep_finished_s: float = 30 * 86400.0
    only_kept: bool = False
    """Records of uploads that are over are cleaned up only once their files are in the store."""


class Placing:
    """Writes to one folder and its records."""

    def __init__(
        self, folder: Folder, tracking: Tracking, durable: Durable, rules: Rules, now_ms: Callable[[], int]
    ) -> None:
        self._folder = folder
        self._tracking = tracking
        self._durable = durable
        self._rules = rules
        self._now_ms = now_ms

    def begin(self, upload: Upload, incoming: Incoming) -> Finished | None:
        """Take the first chunk that comes: the file is made, recorded, and gets its name.

        Raises:
            NameRefused, DigestMismatch, ServerError: nothing of the upload is recorded.
        """
        name = part_of(upload.id)
        offset = upload.offset_of(incoming.index)
        try:
            with self._folder.new(name) as fd:
                new = {incoming.index: self._chunk(upload, incoming, PARKED if offset is None else offset)}
                write_whole(self._durable, fd, [] if offset is None else [(offset, incoming.data)])
                upload.file = id_of(fd)
                over = self._complete(upload, new, fd)
            self._name(upload, new, over)
        except BaseException:
            if upload.file is not None and upload.parts:
                self._folder.remove(upload.parts, upload.file)
            upload.file = None
            upload.chunks.clear()
            with suppress(ServerError):
                self._tracking.write(book.forgotten(upload.id))
            self._folder.forget(name)
            raise
        self._folder.forget(name)
        return over

    def _name(self, upload: Upload, new: dict[int, Chunk], over: Finished | None) -> None:
        """Record the upload and give its file a name; another one for as long as it is taken."""
        wanted = place(upload.identity[1], self._rules.mode, stamp(), self._rules.strip_paths)
        self._folder.prepare(wanted)
        for parts in self.candidates(wanted):
            if self._folder.is_there(parts):
                continue
            upload.parts = parts
            over = over and replace(over, parts=parts)
            ends = [] if over is None else book.finished(over)
            self._write([book.begun(upload), *book.chunks(upload, new), *ends], upload, new)
            if self._folder.publish(part_of(upload.id), parts):
                return

    def candidates(self, wanted: Parts) -> Iterator[Parts]:
        """Yield names for a file, the best first, without end."""
        yield wanted
        yield other(wanted, str(self._now_ms()))
        while True:
            yield other(wanted, stamp())

    def append(self, upload: Upload, incoming: Incoming) -> Finished | None:
        """Take a chunk of an upload whose chunks have any length: it goes behind the others, or waits for them."""
        offset = upload.offset_of(incoming.index)
        if offset is None:
            new = {incoming.index: self._chunk(upload, incoming, PARKED)}
            self._write(book.chunks(upload, new), upload, new)
            return None
        pieces, new = [(offset, incoming.data)], {incoming.index: self._chunk(upload, incoming, offset)}
        for index, data in self._waiting_behind(upload, incoming.index):
            offset = pieces[-1][0] + len(pieces[-1][1])
            pieces.append((offset, data))
            new[index] = replace(upload.chunks[index], offset=offset)
        assert upload.file is not None
        with self._folder.opened(upload.parts, upload.file) as fd:
            if fd is None:
                raise FileTaken
            write_whole(self._durable, fd, pieces)
            over = self._record(upload, new, fd)
        for index in new:
            self._folder.forget(part_of(upload.id, index))
        return over

    def _waiting_behind(self, upload: Upload, index: int) -> Iterator[tuple[int, bytes]]:
        for following in itertools.count(index + 1):
            if following not in upload.chunks:
                return
            data = self._folder.read(part_of(upload.id, following))
            if data is None or hashlib.sha256(data).digest() != upload.chunks[following].sha256:
                self._write(
                    [("DELETE FROM chunks WHERE upload = ? AND number = ?", (upload.id, following))], upload, {}
                )
                del upload.chunks[following]  # somebody took it away
                return
            yield following, data

    def _chunk(self, upload: Upload, incoming: Incoming, offset: int) -> Chunk:
        """Return what is recorded of a chunk; where its place is not known, it is written aside now."""
        if offset == PARKED:
            with self._folder.new(part_of(upload.id, incoming.index)) as fd:
                write_whole(self._durable, fd, [(0, incoming.data)])
            self._folder.sync()
        return Chunk(offset, len(incoming.data), bytes.fromhex(incoming.sha256))

    def put(self, upload: Upload, incoming: Incoming) -> Finished | None:
        """Take a chunk whose place is known; others may be written to the same file at the same time."""
        offset = upload.offset_of(incoming.index)
        assert upload.file is not None and offset is not None
        with self._folder.opened(upload.parts, upload.file) as fd:
            if fd is None:
                raise FileTaken
            self._durable.write(fd, incoming.data, offset)
            self._durable.datasync(fd)
            with upload.lock:
                if upload.is_over:
                    raise FileTaken
                over = self._record(upload, {incoming.index: self._chunk(upload, incoming, offset)}, fd)
        return over

    def _record(self, upload: Upload, new: dict[int, Chunk], fd: int) -> Finished | None:
        over = self._complete(upload, new, fd)
        ends = [] if over is None else book.finished(over)
        self._write([*book.chunks(upload, new), *ends], upload, new)
        return over

    def _write(self, statements: list[Statement], upload: Upload, new: dict[int, Chunk]) -> None:
        """Record chunks; they are known in memory first, so that a new database has them as well."""
        before = {index: upload.chunks.get(index) for index in new}
        upload.chunks.update(new)
        try:
            self._tracking.write(statements)
        except BaseException:
            for index, chunk in before.items():
                if chunk is None:
                    del upload.chunks[index]
                else:
                    upload.chunks[index] = chunk
            raise

    def _complete(self, upload: Upload, new: dict[int, Chunk], fd: int) -> Finished | None:
        """Return the upload as one that is over, if these chunks are the last; else None.

        Raises:
            DigestMismatch: the whole is not what was announced; the upload begins anew.
        """
        total = upload.total_chunks
        chunks = upload.chunks | new
        if total is None or len(chunks) < total:
            return None
        over = replace(
            upload.finished(self._now_ms()), chunks=total, size_bytes=sum(chunk.length for chunk in chunks.values())
        )
        size = over.size_bytes or 0
        if upload.file_sha256 is not None and _digest(fd, size) != upload.file_sha256:
            raise DigestMismatch("SHA256 mismatch: the file is not what X-File-SHA256 announces")
        return over

    def is_there(self, upload: Upload) -> bool:
        """Say whether the very file that was made for it is where it was made."""
        assert upload.file is not None
        with self._folder.opened(upload.parts, upload.file) as fd:
            return fd is not None


def stamp() -> str:
    """Return what makes a name new: the time in ms, and chance."""
    return f"{time.time_ns() // 1_000_000}_{secrets.token_hex(4)}"


def _digest(fd: int, size_bytes: int) -> str:
    hasher = hashlib.sha256()
    for block in blocks(fd, size_bytes):
        hasher.update(block)
    return hasher.hexdigest()
