"""Receiving: which upload a chunk belongs to, where it goes, and when it counts.

The order is that of all our promises: the bytes are durable in the file, then the record of them, and only then is
anything said. A file gets its own name once its first chunk is recorded, by a link; a start after a kill links what was
recorded and removes what was not. Blocking; for many threads.
"""

import hashlib
import itertools
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from pp_server.core.errors import ChunkConflict, DigestMismatch, ServerError
from pp_server.durable import Durable
from pp_server.indexedcp import book
from pp_server.indexedcp.folder import Folder, blocks, cut, id_of, part_of, write_whole
from pp_server.indexedcp.history import History
from pp_server.indexedcp.model import PARKED, Chunk, Finished, Identity, Incoming, Outcome, Upload
from pp_server.indexedcp.names import Parts, PathMode, other, place
from pp_server.indexedcp.tracking import Statement, Tracking

log = logging.getLogger(__name__)

CLEAN_EVERY = 1000
"""Uploads between two clean-ups of old records."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How one folder is served."""

    mode: PathMode = PathMode.IGNORE
    strip_paths: bool = False
    idle_s: float = 30.0
    keep_finished_s: float = 30 * 86400.0
    only_kept: bool = False
    """Records of uploads that are over are cleaned up only once their files are in the store."""


class Receiver:
    """One upload folder with its records."""

    def __init__(
        self,
        folder: Folder,
        tracking_path: str,
        rules: Rules,
        durable: Durable,
        on_finished: Callable[[Finished], None] = lambda _: None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._folder = folder
        self._rules = rules
        self._durable = durable
        self._on_finished = on_finished
        self._now_ms = now_ms
        self.running: dict[Identity, Upload] = {}
        self._deciding = threading.RLock()
        self._tracking = Tracking(tracking_path, durable, self._everything)
        self.history = History(self._tracking)
        self._finishes = itertools.count(1)
        self._recover()

    def close(self) -> None:
        """Let go of the records."""
        self._tracking.close()

    # asking

    def received(self, identity: Identity) -> tuple[set[int], bool]:
        """Return which chunks of an upload are durable, and whether it is complete."""
        with self._deciding:
            self.end_idle()
            upload = self.running.get(identity)
        if upload is not None:
            with upload.lock:
                if upload.file is not None and self._is_there(upload):
                    return set(upload.chunks), False
            return set(), False
        over = self._over(identity)
        return (set(), False) if over is None else (set(range(over.chunks)), True)

    def received_of(self, name: str) -> set[int]:
        """Return the chunks of whatever upload of that name came last, whoever's, and what was marked."""
        with self._deciding:
            mine = [upload for upload in self._uploads() if upload.identity[1] == name]
        marked = self.history.marked(name)
        if mine:
            return marked | set(max(mine, key=lambda upload: upload.touched).chunks)
        over = self.history.last_of(name)
        return marked if over is None else marked | set(range(over.chunks))

    # receiving

    def receive(self, incoming: Incoming) -> Outcome:
        """Take one chunk; durable, with its record, when this returns.

        Raises:
            NameRefused: the name leads nowhere.
            ChunkConflict: other bytes came for this chunk before; BadGeometry: it does not fit the upload.
            DigestMismatch: all chunks are there, and the whole is not what was announced: it begins anew.
            StorageFull, StorageFailed: nothing of it counts.
        """
        while True:
            over = self._over(incoming.identity)
            if over is not None and incoming.index < over.chunks:
                return Outcome(over.parts, is_duplicate=True, is_complete=True)
            upload = self._find(incoming)
            outcome = self._take(upload, incoming)
            if outcome is not None:
                return outcome

    def _over(self, identity: Identity) -> Finished | None:
        """Return the upload, if it is one that can be told from others of its name, and it is over."""
        if identity[2] is None:
            return None
        over = self.history.find(identity)
        if over is None or over.size_bytes is None:
            return None
        if identity[2].startswith("sha256:") and not over.is_kept:
            with self._folder.opened(over.parts, over.file) as fd:
                return None if fd is None else over
        return over

    def _find(self, incoming: Incoming) -> Upload:
        with self._deciding:
            self.end_idle()
            upload = self.running.get(incoming.identity)
            if upload is None:
                place(incoming.name, self._rules.mode, self._stamp(), self._rules.strip_paths)  # or raise
                upload = Upload(secrets.token_hex(16), incoming.identity, self._now_ms())
                self.running[incoming.identity] = upload
            return upload

    def _take(self, upload: Upload, incoming: Incoming) -> Outcome | None:
        """Take a chunk into an upload; None where that is over, or its file was taken away: then ask again."""
        index = incoming.index
        with upload.lock:
            upload.lock.wait_for(lambda: index not in upload.busy)
            if upload.is_over:
                return None
            if upload.file is not None and not self._is_there(upload):
                self._drop(upload)
                return None
            known = upload.chunks.get(index)
            if known is not None:
                return self._again(upload, known, incoming)
            upload.touched = time.monotonic()
            try:
                upload.learn(incoming)
                if upload.file is None:
                    return self._begin(upload, incoming)
                if upload.chunk_bytes is None:
                    return self._append(upload, incoming)
            except BaseException:
                if upload.file is None:  # nothing of it is recorded
                    self._end_running(upload)
                raise
            upload.busy.add(index)
        try:
            return self._put(upload, incoming)
        finally:
            with upload.lock:
                upload.busy.discard(index)
                upload.lock.notify_all()

    def _is_there(self, upload: Upload) -> bool:
        assert upload.file is not None
        with self._folder.opened(upload.parts, upload.file) as fd:
            return fd is not None

    def _again(self, upload: Upload, known: Chunk, incoming: Incoming) -> Outcome | None:
        if known.sha256.hex() == incoming.sha256:
            upload.touched = time.monotonic()
            return Outcome(upload.parts, is_duplicate=True)
        if incoming.index == 0 and upload.identity[2] is None:
            self.end(upload)
            return None
        raise ChunkConflict("Other bytes are recorded for this chunk")

    def _begin(self, upload: Upload, incoming: Incoming) -> Outcome:
        """Take the first chunk that comes: the file is made, recorded, and gets its name."""
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
        return self._said(upload, over)

    def _name(self, upload: Upload, new: dict[int, Chunk], over: Finished | None) -> None:
        """Record the upload and give its file a name; another one for as long as it is taken."""
        wanted = place(upload.identity[1], self._rules.mode, self._stamp(), self._rules.strip_paths)
        self._folder.prepare(wanted)
        for parts in self._candidates(wanted):
            if self._folder.is_there(parts):
                continue
            upload.parts = parts
            over = over and replace(over, parts=parts)
            ends = [] if over is None else book.finished(over, self._now_ms())
            self._write([book.begun(upload), *book.chunks(upload, new), *ends], upload, new)
            if self._folder.publish(part_of(upload.id), parts):
                return

    def _candidates(self, wanted: Parts) -> Iterator[Parts]:
        yield wanted
        yield other(wanted, str(self._now_ms()))
        while True:
            yield other(wanted, self._stamp())

    def _append(self, upload: Upload, incoming: Incoming) -> Outcome | None:
        """Take a chunk of an upload whose chunks have any length: it goes behind the others, or waits for them."""
        offset = upload.offset_of(incoming.index)
        if offset is None:
            new = {incoming.index: self._chunk(upload, incoming, PARKED)}
            self._write(book.chunks(upload, new), upload, new)
            return Outcome(upload.parts)
        pieces, new = [(offset, incoming.data)], {incoming.index: self._chunk(upload, incoming, offset)}
        for index, data in self._waiting_behind(upload, incoming.index):
            offset = pieces[-1][0] + len(pieces[-1][1])
            pieces.append((offset, data))
            new[index] = replace(upload.chunks[index], offset=offset)
        assert upload.file is not None
        with self._folder.opened(upload.parts, upload.file) as fd:
            if fd is None:
                return None
            write_whole(self._durable, fd, pieces)
            over = self._record(upload, new, fd)
        for index in new:
            self._folder.forget(part_of(upload.id, index))
        return self._said(upload, over)

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

    def _put(self, upload: Upload, incoming: Incoming) -> Outcome | None:
        """Take a chunk whose place is known; others may be written to the same file at the same time."""
        offset = upload.offset_of(incoming.index)
        assert upload.file is not None and offset is not None
        with self._folder.opened(upload.parts, upload.file) as fd:
            if fd is None:
                return None
            self._durable.write(fd, incoming.data, offset)
            self._durable.datasync(fd)
            with upload.lock:
                if upload.is_over:
                    return None
                over = self._record(upload, {incoming.index: self._chunk(upload, incoming, offset)}, fd)
        return self._said(upload, over)

    def _record(self, upload: Upload, new: dict[int, Chunk], fd: int) -> Finished | None:
        over = self._complete(upload, new, fd)
        ends = [] if over is None else book.finished(over, self._now_ms())
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
        over = replace(upload.finished(), chunks=total, size_bytes=sum(chunk.length for chunk in chunks.values()))
        size = over.size_bytes or 0
        if upload.file_sha256 is not None and _digest(fd, size) != upload.file_sha256:
            self._drop(upload)
            raise DigestMismatch("SHA256 mismatch: the file is not what X-File-SHA256 announces")
        return over

    def _said(self, upload: Upload, over: Finished | None) -> Outcome:
        if over is None:
            return Outcome(upload.parts)
        self._over_now(upload, replace(over, parts=upload.parts))
        return Outcome(upload.parts, is_complete=True)

    # ending

    def end_idle(self) -> None:
        """End the uploads that say nothing about their end and have been left alone, if no chunk of them is missing."""
        now = time.monotonic()
        with self._deciding:
            idle = [
                upload
                for upload in self._uploads()
                if upload.total_chunks is None and now - upload.touched > self._rules.idle_s
            ]
        for upload in idle:
            with upload.lock:
                if not upload.busy and not upload.has_gap and now - upload.touched > self._rules.idle_s:
                    self.end(upload)

    def end_all(self) -> None:
        """End every upload: what comes next begins a new file."""
        with self._deciding:
            running = self._uploads()
        for upload in running:
            with upload.lock:
                self.end(upload)

    def end(self, upload: Upload) -> None:
        """Nothing more comes of this upload."""
        if upload.is_over:
            return
        if upload.file is None:
            self._end_running(upload)
            return
        over = upload.finished()
        if over.size_bytes is None:
            log.warning("an upload of %r ends without some of its chunks", upload.identity[1])
        self._tracking.write(book.finished(over, self._now_ms()))
        self._over_now(upload, over)

    def _over_now(self, upload: Upload, over: Finished) -> None:
        self._end_running(upload)
        self.history.add(over)
        if next(self._finishes) % CLEAN_EVERY == 0:
            self.clean()
        if over.size_bytes is not None:
            self._on_finished(over)

    def _end_running(self, upload: Upload) -> None:
        upload.is_over = True
        if self.running.get(upload.identity) is upload:
            del self.running[upload.identity]

    def _drop(self, upload: Upload) -> None:
        """Forget an upload with what arrived of it: it begins anew."""
        self._end_running(upload)
        self._tracking.write(book.forgotten(upload.id))
        if upload.file is not None and upload.parts:
            self._folder.remove(upload.parts, upload.file)
        for index, chunk in upload.chunks.items():
            if chunk.offset == PARKED:
                self._folder.forget(part_of(upload.id, index))

    def _uploads(self) -> list[Upload]:
        """Return those that run; who embeds a server may have put something else among them."""
        return [upload for upload in list(self.running.values()) if isinstance(upload, Upload)]

    def clean(self) -> None:
        """Forget the records of uploads that have been over for long."""
        before_ms = self._now_ms() - int(self._rules.keep_finished_s * 1000)
        self._tracking.write(book.cleaned(before_ms, self._rules.only_kept))

    def forget_file(self, over: Finished) -> None:
        """The file is in the store: remember that, and remove it here."""
        self._tracking.write(book.kept(over.id))
        self.history.add(replace(over, is_kept=True))
        self._folder.remove(over.parts, over.file)

    def mark(self, name: str, index: int) -> None:
        """Have a chunk count as received where somebody asks by name."""
        self.history.mark(name, index)

    # starting

    def _recover(self) -> None:
        """Take up what was recorded; what was not is removed."""
        uploads = {row[0]: book.upload_of(row) for row in self._tracking.rows(book.RUNNING)}
        parked = set()
        for upload_id, number, offset, length, sha256 in self._tracking.rows(book.CHUNKS):
            if offset == PARKED:
                parked.add(part_of(upload_id, number))
            if upload_id in uploads:
                uploads[upload_id].chunks[number] = Chunk(offset, length, sha256)
        arriving = set(self._folder.arriving())
        for upload in uploads.values():
            self.running[upload.identity] = upload
            self._take_up(upload, part_of(upload.id) in arriving)
        for over in self.history.load():
            if part_of(over.id) in arriving:
                self._publish_again(over)
        for name in arriving - parked:
            self._folder.forget(name)

    def _take_up(self, upload: Upload, was_arriving: bool) -> None:
        if was_arriving and not self._is_there(upload):
            for parts in self._candidates(upload.parts):
                upload.parts = parts
                self._tracking.write([book.begun(upload)])
                if self._folder.publish(part_of(upload.id), parts):
                    break
        if not self._is_there(upload):
            log.warning("the file of an upload of %r is gone: it begins anew", upload.identity[1])
            self._drop(upload)
        elif upload.chunk_bytes is None and upload.file is not None:
            with self._folder.opened(upload.parts, upload.file) as fd:
                if fd is not None:
                    cut(fd, upload.prefix[1])  # what was written and never recorded

    def _publish_again(self, over: Finished) -> None:
        """Give a file its name that was complete with its first chunk, and then there was a kill."""
        for parts in self._candidates(over.parts):
            if self._folder.publish(part_of(over.id), parts):
                if parts != over.parts:
                    self.history.rename(over, parts)
                return

    def _everything(self) -> list[Statement]:
        """Return what a new database must hold."""
        uploads = [upload for upload in self._uploads() if upload.file is not None and upload.parts]
        return [
            statement
            for upload in uploads
            for statement in (book.begun(upload), *book.chunks(upload, dict(upload.chunks)))
        ] + self.history.statements(self._now_ms())

    @staticmethod
    def _stamp() -> str:
        return f"{time.time_ns() // 1_000_000}_{secrets.token_hex(4)}"


def _digest(fd: int, size_bytes: int) -> str:
    hasher = hashlib.sha256()
    for block in blocks(fd, size_bytes):
        hasher.update(block)
    return hasher.hexdigest()
