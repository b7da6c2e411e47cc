"""The watcher: file system events as hints where to look. It may lose events, and says so where it can notice.

watchdog's threads do nothing but put a path into a bounded set. An overflow of the kernel's queue is reported by
watchdog only as a log record, so we listen to its log.
"""

import asyncio
import logging
import os
import threading

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import ObservedWatch

from pp_assist.core.hints import Hints
from pp_assist.core.model import Root
from pp_server.wire.names import display

log = logging.getLogger(__name__)

EVENTS: list[type[FileSystemEvent]] = [
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
]
"""Without a filter our own reading (open, close) would flood the queue."""

_WATCHDOG_LOG = "watchdog.observers.inotify_c"


class Watcher:
    """Watches roots and collects hints; `drain` takes them, `woken` tells that there are some."""

    def __init__(self, own: tuple[bytes, ...]) -> None:
        self.woken = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._own = tuple(path.rstrip(b"/") + b"/" for path in own)
        self._lock = threading.Lock()
        self._hints = Hints()
        self._watches: dict[int, ObservedWatch] = {}
        self._failed: dict[int, str] = {}
        self._observer = Observer()
        self._log_handler = _OverflowLog(self)

    def start(self) -> None:
        """Begin; `close` must follow."""
        self._observer.start()
        logging.getLogger(_WATCHDOG_LOG).addHandler(self._log_handler)

    def close(self) -> None:
        """Stop all threads. Blocking, briefly."""
        logging.getLogger(_WATCHDOG_LOG).removeHandler(self._log_handler)
        self._observer.stop()
        self._observer.join(5)

    def watch(self, root: Root) -> None:
        """Watch *root* from now on; where that fails, scans alone must do, and `failures` says why. Blocking."""
        try:
            handler = _Handler(self, root)
            watch = self._observer.schedule(
                handler, os.fsdecode(root.path), recursive=root.recursive, event_filter=EVENTS
            )
        except OSError as error:
            reason = f"cannot watch it: {error.strerror or error}"
            if self._failed.get(root.id) != reason:  # said once, tried at every scan
                log.warning("cannot watch %s: %s", display(root.path), error)
            self._failed[root.id] = reason
        else:
            self._watches[root.id] = watch
            self._failed.pop(root.id, None)

    def unwatch(self, root_id: int) -> None:
        """Stop watching a root. Blocking."""
        watch = self._watches.pop(root_id, None)
        if watch is not None:
            self._observer.unschedule(watch)

    @property
    def watched(self) -> set[int]:
        """Ids of the roots whose events reach us, as far as we know."""
        return set(self._watches) if self._observer.is_alive() else set()

    @property
    def failures(self) -> dict[int, str]:
        """Why roots are not watched."""
        return dict(self._failed)

    def drain(self) -> Hints:
        """Take all hints collected so far."""
        self.woken.clear()
        with self._lock:
            hints, self._hints = self._hints, Hints()
        return hints

    def note(self, root: Root, path: bytes, closed: bool) -> None:
        """Note an event at the absolute *path*. Called from watchdog's threads."""
        if path.startswith(self._own):
            return
        relative = path[len(root.path) :].lstrip(b"/")
        with self._lock:
            first = not self._hints
            self._hints.add(root.id, relative, closed)
        if first:
            self._wake()

    def distrust_all(self, reason: str) -> None:
        """Note that events were lost: every watched root must be scanned. Called from any thread."""
        with self._lock:
            for root_id in self._watches:
                self._hints.distrust(root_id, reason)
        self._wake()

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self.woken.set)
        except RuntimeError:  # the loop has ended before watchdog's thread
            log.debug("a late event after the end")


class _Handler(FileSystemEventHandler):
    def __init__(self, watcher: Watcher, root: Root) -> None:
        self._watcher = watcher
        self._root = root

    def on_any_event(self, event: FileSystemEvent) -> None:
        closed = isinstance(event, FileClosedEvent | FileMovedEvent)
        self._watcher.note(self._root, os.fsencode(event.src_path), isinstance(event, FileClosedEvent))
        if event.dest_path:
            self._watcher.note(self._root, os.fsencode(event.dest_path), closed)


class _OverflowLog(logging.Handler):
    """Turns watchdog's log record about lost events into a scan."""

    def __init__(self, watcher: Watcher) -> None:
        super().__init__(logging.WARNING)
        self._watcher = watcher

    def emit(self, record: logging.LogRecord) -> None:
        self._watcher.distrust_all(f"the watcher lost events: {record.getMessage()}")
