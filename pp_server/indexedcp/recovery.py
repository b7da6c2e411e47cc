"""A start, perhaps after a kill: what was recorded is taken up, and what was not is removed. Blocking."""

import logging
import os
import time
from collections.abc import Callable

from pp_server.indexedcp import book
from pp_server.indexedcp.folder import Folder, cut, part_of
from pp_server.indexedcp.history import History
from pp_server.indexedcp.model import PARKED, Chunk, Finished, Identity, Upload
from pp_server.indexedcp.placing import Placing
from pp_server.indexedcp.tracking import Tracking

log = logging.getLogger(__name__)


class Recovery:
    """That of one upload folder."""

    def __init__(self, folder: Folder, tracking: Tracking, placing: Placing, history: History) -> None:
        self._folder = folder
        self._tracking = tracking
        self._placing = placing
        self._history = history

    def take_up(self, running: dict[Identity, Upload], drop: Callable[[Upload], None]) -> None:
        """Have *running* hold what was recorded. An upload whose file is gone is one for *drop*."""
        uploads = {row[0]: book.upload_of(row) for row in self._tracking.rows(book.RUNNING)}
        parked = set()
        for upload_id, number, offset, length, sha256 in self._tracking.rows(book.CHUNKS):
            if offset == PARKED:
                parked.add(part_of(upload_id, number))
            if upload_id in uploads:
                uploads[upload_id].chunks[number] = Chunk(offset, length, sha256)
        arriving = set(self._folder.arriving())
        for upload in uploads.values():
            running[upload.identity] = upload
            if not self._is_good(upload, part_of(upload.id) in arriving):
                log.warning("the file of an upload of %r is gone: it begins anew", upload.identity[1])
                drop(upload)
        for over in self._history.load():
            if part_of(over.id) in arriving:
                self._publish_again(over)
        for name in arriving - parked:
            self._folder.forget(name)

    def _is_good(self, upload: Upload, was_arriving: bool) -> bool:
        """Say whether the file of an upload is there, as it was recorded."""
        if was_arriving and not self._placing.is_there(upload):
            for parts in self._placing.candidates(upload.parts):
                upload.parts = parts
                self._tracking.write([book.begun(upload)])
                if self._folder.publish(part_of(upload.id), parts):
                    break
        if not self._placing.is_there(upload):
            return False
        assert upload.file is not None
        with self._folder.opened(upload.parts, upload.file) as fd:
            if fd is not None and not upload.ends_by_itself:
                upload.touched -= max(0.0, time.time() - os.fstat(fd).st_mtime)  # its time went on without us
            if fd is not None and upload.chunk_bytes is None and os.fstat(fd).st_size > upload.prefix[1]:
                cut(fd, upload.prefix[1])  # what was written and never recorded
        return True

    def _publish_again(self, over: Finished) -> None:
        """Give a file its name that was complete with its first chunk, and then there was a kill."""
        for parts in self._placing.candidates(over.parts):
            if self._folder.publish(part_of(over.id), parts):
                if parts != over.parts:
                    self._history.rename(over, parts)
                return
