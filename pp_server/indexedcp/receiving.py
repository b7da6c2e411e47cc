"""Receiving: which upload a chunk belongs to, and when one begins and ends.

The order is that of all our promises: the bytes are durable in the file, then the record of them, and only then is
anything said. A file gets its own name once its first chunk is recorded, by a link; a start after a kill links what was
recorded and removes what was not. Blocking; for many threads.
"""

import itertools
import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from pp_server.core.errors import ChunkConflict, DigestMismatch, RateLimited
from pp_server.durable import Durable
from pp_server.indexedcp import book
from pp_server.indexedcp.folder import Folder, part_of
from pp_server.indexedcp.history import History
from pp_server.indexedcp.model import PARKED, Chunk, Finished, Identity, Incoming, Outcome, Upload
from pp_server.indexedcp.names import place
from pp_server.indexedcp.placing import FileTaken, Placing, Rules, stamp
from pp_server.indexedcp.recovery import Recovery
from pp_server.indexedcp.tracking import Statement, Tracking
from pp_server.indexedcp.whole import WholeFiles

log = logging.getLogger(__name__)

UNFINISHED_AGAIN_S = 60
"""So long whoever has too many unfinished uploads is to wait before the next."""

CLEAN_EVERY = 1000
"""Uploads between two clean-ups of old records."""


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
        self._on_finished = on_finished
        self._now_ms = now_ms
        self.running: dict[Identity, Upload] = {}
        self._deciding = threading.RLock()
        self._tracking = Tracking(tracking_path, durable, self._everything)
        self._placing = Placing(folder, self._tracking, durable, rules, now_ms)
        self.history = History(self._tracking)
        self.whole = WholeFiles(folder, self._tracking, self.history)
        self._finishes = itertools.count(1)
        Recovery(folder, self._tracking, self._placing, self.history).take_up(self.running, self._drop)

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
                if upload.file is not None and self._placing.is_there(upload):
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
            RateLimited: too many uploads are unfinished for another one.
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
                place(incoming.name, self._rules.mode, stamp(), self._rules.strip_paths)  # or raise
                if incoming.index or incoming.total_chunks not in (None, 1):
                    self._refuse_too_many()
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
            if upload.file is not None and not self._placing.is_there(upload):
                self._drop(upload)
                return None
            known = upload.chunks.get(index)
            if known is not None:
                return self._again(upload, known, incoming)
            upload.touched = time.monotonic()
            try:
                upload.learn(incoming)
                if upload.file is None:
                    return self._said(upload, self._placing.begin(upload, incoming))
                if upload.chunk_bytes is None:
                    return self._said(upload, self._placing.append(upload, incoming))
            except FileTaken:
                return None
            except BaseException as error:
                self._after_failure(upload, error)
                raise
            upload.busy.add(index)
        return self._put(upload, incoming)

    def _put(self, upload: Upload, incoming: Incoming) -> Outcome | None:
        try:
            over = self._placing.put(upload, incoming)
        except FileTaken:
            return None
        except DigestMismatch as error:
            with upload.lock:
                self._after_failure(upload, error)
            raise
        finally:
            with upload.lock:
                upload.busy.discard(incoming.index)
                upload.lock.notify_all()
        return self._said(upload, over)

    def _after_failure(self, upload: Upload, error: BaseException) -> None:
        if upload.file is None:  # nothing of it is recorded
            self._end_running(upload)
        elif isinstance(error, DigestMismatch):
            self._drop(upload)

    def _again(self, upload: Upload, known: Chunk, incoming: Incoming) -> Outcome | None:
        if known.sha256.hex() == incoming.sha256:
            upload.touched = time.monotonic()
            return Outcome(upload.parts, is_duplicate=True)
        if incoming.index == 0 and upload.identity[2] is None:
            self.end(upload)
            return None
        raise ChunkConflict("Other bytes are recorded for this chunk")

    def _said(self, upload: Upload, over: Finished | None) -> Outcome:
        if over is None:
            return Outcome(upload.parts)
        self._over_now(upload, replace(over, parts=upload.parts))
        return Outcome(upload.parts, is_complete=True)

    # ending

    def end_idle(self) -> None:
        """End the uploads that were left alone: whole ones that say nothing about their end, and the unfinished."""
        now, rules = time.monotonic(), self._rules
        with self._deciding:
            quiet = [
                upload
                for upload in self._uploads()
                if now - upload.touched > (rules.idle_s if upload.total_chunks is None else rules.unfinished_s)
            ]
        for upload in quiet:
            with upload.lock:
                patience_s = rules.idle_s if upload.ends_by_itself else rules.unfinished_s
                if not upload.busy and not upload.is_over and now - upload.touched > patience_s:
                    self._end_quiet(upload)

    def _end_quiet(self, upload: Upload) -> None:
        if upload.total_chunks is None:
            self.end(upload)  # its client may have nothing of it any more: what came stays
            return
        log.warning("an upload of %r was left unfinished: what arrived of it is removed", upload.identity[1])
        self._drop(upload)

    def _refuse_too_many(self) -> None:
        """Raise RateLimited where as many uploads are unfinished as there may be."""
        most = self._rules.max_unfinished
        if len(self.running) >= most and sum(not upload.ends_by_itself for upload in self._uploads()) >= most:
            raise RateLimited(f"{most} uploads are unfinished: finish some of them first", UNFINISHED_AGAIN_S)

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
        over = upload.finished(self._now_ms())
        if over.size_bytes is None:
            log.warning("an upload of %r ends without some of its chunks", upload.identity[1])
        self._tracking.write(book.finished(over))
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

    def mark(self, name: str, index: int) -> None:
        """Have a chunk count as received where somebody asks by name."""
        self.history.mark(name, index)

    def _everything(self) -> list[Statement]:
        """Return what a new database must hold."""
        uploads = [upload for upload in self._uploads() if upload.file is not None and upload.parts]
        return [
            statement
            for upload in uploads
            for statement in (book.begun(upload), *book.chunks(upload, dict(upload.chunks)))
        ] + self.history.statements()
