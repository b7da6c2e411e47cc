"""The watcher: where events come from on this system, and how far they can be trusted, root by root."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pp_assist.core.model import Root
from pp_assist.scanner import inotify
from pp_assist.scanner.filesystems import why_events_are_not_enough
from pp_assist.scanner.sink import CANARY, Sink
from pp_assist.scanner.watch_linux import LinuxEvents
from pp_assist.scanner.watch_others import OtherEvents
from pp_server.wire.names import display

log = logging.getLogger(__name__)

NOT_YET = "not scanned since the start"


class Events(Protocol):
    """What tells of changes: `watch_linux`, `watch_others`."""

    @property
    def proves(self) -> bool: ...

    @property
    def alive(self) -> bool: ...

    def start(self) -> None: ...

    def close(self) -> None: ...

    def watch(self, root: Root) -> None: ...

    def unwatch(self, root_id: int) -> None: ...

    def watch_canary(self, directory: bytes) -> None: ...

    def scan_begins(self, root_id: int) -> None: ...

    def scan_ends(self, root_id: int) -> None: ...

    def before_listing(self, root: Root, directory: bytes, fd: int) -> None: ...


def events_of_this_system(sink: Sink, own: tuple[bytes, ...]) -> Events:
    """Return the best there is."""
    return LinuxEvents(sink) if inotify.AVAILABLE else OtherEvents(sink, own)


@dataclass(slots=True)
class Watching:
    """How far the events of one root can be trusted."""

    root: Root
    polling: str | None = None
    """Why events cannot tell everything here: scans must."""
    behind: str | None = None
    """Why something may have happened that nobody told us; a scan of the whole root makes up for it."""
    doubts: int = 0
    """How often that was so."""
    doubts_at_scan: int = 0
    failed: str | None = None
    """What failed since the last scan began."""


class Watcher:
    """Watches roots. All of its methods but `before_listing` belong to the event loop's thread or block it briefly."""

    def __init__(
        self, own: tuple[bytes, ...], make: Callable[[Sink, tuple[bytes, ...]], Events] = events_of_this_system
    ) -> None:
        self.sink = Sink()
        self._own = tuple(os.path.realpath(path) for path in own)
        self._make = make
        self.events = make(self.sink, self._own)
        self._watching: dict[int, Watching] = {}
        self.dead: str | None = "not started"
        """Why no event at all is to be relied on."""
        self.canary_passed = False
        """Since the events began."""

    # -- blocking: called in threads

    def start(self) -> None:
        """Begin; `close` must follow. Where that fails, `dead` says why."""
        try:
            self.events.start()
            self.events.watch_canary(self._own[0])
        except OSError as error:
            self.dead = f"cannot watch: {error.strerror or error}"
            log.warning("%s: changes are found by scans only", self.dead)
        else:
            self.dead = None

    def close(self) -> None:
        """Stop all threads."""
        self.events.close()

    def restart(self) -> None:
        """Begin anew with nothing watched yet: the scans that must follow watch again what they list."""
        self.events.close()
        self.canary_passed = False
        self.events = self._make(self.sink, self._own)
        self.start()
        for watching in self._watching.values():
            self._watch(watching)

    def watch(self, root: Root) -> None:
        """Watch *root* from its next scan on."""
        if root.id not in self._watching:
            watching = self._watching[root.id] = Watching(root, behind=NOT_YET)
            self.sink.root_ids.add(root.id)
            watching.polling = why_events_are_not_enough(root.path)
            self._watch(watching)

    def _watch(self, watching: Watching) -> None:
        try:
            self.events.watch(watching.root)
        except OSError as error:
            self._fails(watching, error)

    def unwatch(self, root_id: int) -> None:
        """Stop watching a root."""
        self.sink.root_ids.discard(root_id)
        if self._watching.pop(root_id, None) is not None:
            self.events.unwatch(root_id)

    def touch_canary(self) -> None:
        """Make an event.

        Raises:
            OSError: that cannot be done.
        """
        path = os.path.join(self._own[0], CANARY)
        with open(path, "ab" if self.events.proves else "wb") as file:  # closing is an event, and writes nothing
            file.write(b"" if self.events.proves else b"x")

    def before_listing(self, root: Root, directory: bytes, fd: int) -> None:
        """Watch a directory that a walk is about to list. Called in the walks' threads."""
        watching = self._watching.get(root.id)
        if watching is not None and watching.failed is None and self.dead is None:
            try:
                self.events.before_listing(root, directory, fd)
            except OSError as error:
                self._fails(watching, error)

    def _fails(self, watching: Watching, error: OSError) -> None:
        reason = f"cannot watch it: {error.strerror or error}"
        if watching.polling != reason:  # said once, tried at every scan
            log.warning("cannot watch %s: %s", display(watching.root.path), error.strerror or error)
        watching.polling = watching.failed = reason

    # -- what is to be relied on

    def distrust(self, root_id: int, reason: str) -> None:
        """Note that events of a root were lost, or may have been."""
        if watching := self._watching.get(root_id):
            watching.behind = reason
            watching.doubts += 1

    def scan_begins(self, root: Root) -> None:
        """Note that a scan of the whole of *root* begins; what could not be watched is tried again."""
        if watching := self._watching.get(root.id):
            watching.doubts_at_scan = watching.doubts
            watching.failed = None
            self.events.scan_begins(root.id)

    def scan_ends(self, root: Root) -> None:
        """Note that the scan has ended well: it saw all that happened before it began."""
        if watching := self._watching.get(root.id):
            if watching.doubts == watching.doubts_at_scan:
                watching.behind = None
            if watching.failed is None:
                self.events.scan_ends(root.id)
            watching.polling = watching.failed or why_events_are_not_enough(root.path)

    def condition(self, root_id: int) -> tuple[str, str | None]:
        """Return (healthy, behind or polling; the reason)."""
        watching = self._watching.get(root_id)
        if watching is None or self.dead:
            return "polling", self.dead
        if watching.polling:
            return "polling", watching.polling
        behind = watching.behind or self.sink.doubt(root_id)
        return ("behind", behind) if behind else ("healthy", None)

    @property
    def watched(self) -> set[int]:
        """Ids of the roots whose events reach us."""
        return {root_id for root_id, of in self._watching.items() if not of.polling} if not self.dead else set()

    def proven(self, root_id: int) -> bool:
        """Say whether events certainly tell of everything that happens in a root."""
        return self.events.proves and self.canary_passed and self.condition(root_id)[0] == "healthy"
