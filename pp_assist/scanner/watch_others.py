"""Events elsewhere than on Linux: watchdog's threads, which do nothing but note names.

It may lose events without a word, so nothing is proven by it: scans stay frequent.
"""

import logging
import os

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import ObservedWatch

from pp_assist.core.model import Root
from pp_assist.scanner.sink import Sink

EVENTS: list[type[FileSystemEvent]] = [
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
]
"""Without a filter our own reading (open, close) would flood the queue."""

_WATCHDOG_LOG = "watchdog.observers.inotify_c"
"""Where watchdog, on a Linux without /proc, says that the kernel's queue overflowed; it says so nowhere else."""


class OtherEvents:
    """Watches roots and notes in *sink* what happens in them."""

    proves = False

    def __init__(self, sink: Sink, own: tuple[bytes, ...]) -> None:
        self._sink = sink
        self._own = tuple(path.rstrip(b"/") + b"/" for path in own)
        self._watches: dict[int, ObservedWatch] = {}
        self._observer = Observer()
        self._log_handler = _OverflowLog(sink)

    def start(self) -> None:
        """Begin; `close` must follow."""
        self._observer.start()
        logging.getLogger(_WATCHDOG_LOG).addHandler(self._log_handler)

    def close(self) -> None:
        """Stop all threads. Blocking, briefly."""
        logging.getLogger(_WATCHDOG_LOG).removeHandler(self._log_handler)
        self._observer.stop()
        self._observer.join(5)

    @property
    def alive(self) -> bool:
        """Whether events are read, as far as we know."""
        return self._observer.is_alive()

    def watch(self, root: Root) -> None:
        """Watch *root* from now on.

        Raises:
            OSError: it cannot be watched.
        """
        if root.id not in self._watches:
            handler = _Handler(self._sink, root, self._own)
            self._watches[root.id] = self._observer.schedule(
                handler, os.fsdecode(root.path), recursive=root.recursive, event_filter=EVENTS
            )

    def unwatch(self, root_id: int) -> None:
        """Stop watching a root."""
        watch = self._watches.pop(root_id, None)
        if watch is not None:
            self._observer.unschedule(watch)

    def watch_canary(self, directory: bytes) -> None:
        """Let what happens in *directory* be told to the sink as proof that events flow."""
        self._observer.schedule(_CanaryHandler(self._sink), os.fsdecode(directory), event_filter=EVENTS)

    def scan_begins(self, root_id: int) -> None:
        """Nothing: see `before_listing`."""

    def scan_ends(self, root_id: int) -> None:
        """Nothing: see `before_listing`."""

    def before_listing(self, root: Root, directory: bytes, fd: int) -> None:
        """Nothing: whole trees are watched from the beginning."""


class _Handler(FileSystemEventHandler):
    def __init__(self, sink: Sink, root: Root, own: tuple[bytes, ...]) -> None:
        self._sink = sink
        self._root = root
        self._own = own

    def on_any_event(self, event: FileSystemEvent) -> None:
        closed = isinstance(event, FileClosedEvent | FileMovedEvent)
        comes = isinstance(event, DirCreatedEvent | DirMovedEvent)
        source, target = os.fsencode(event.src_path), os.fsencode(event.dest_path)
        with self._sink.noting() as notes:
            hints = notes.later if isinstance(event, FileModifiedEvent) else notes.now
            for path in (source, target) if target else (source,):
                relative = path[len(self._root.path) :].lstrip(b"/")
                if relative and not path.startswith(self._own):  # writing down what we see would be seen
                    directory, _, name = relative.rpartition(b"/")
                    hints.add(self._root.id, directory, name, closed and path == (target or source))
            if comes and relative and not path.startswith(self._own):
                hints.add_tree(self._root.id, relative)


class _CanaryHandler(FileSystemEventHandler):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def on_any_event(self, event: FileSystemEvent) -> None:
        self._sink.canary(os.path.basename(os.fsencode(event.src_path)))


class _OverflowLog(logging.Handler):
    """Turns watchdog's log record about lost events into a scan."""

    def __init__(self, sink: Sink) -> None:
        super().__init__(logging.WARNING)
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        with self._sink.noting():
            self._sink.lost(f"events were lost: {record.getMessage()}")
