"""Events on Linux: one inotify queue for all roots, and one thread that reads it.

Directories are watched by the walks that list them: each is watched first and then listed, so that nothing can happen
to it in between unseen. The thread does nothing but note names, and keep the map from watches to directories right: a
directory that is moved away loses its watches and everybody's below it; one that comes from elsewhere, or is new, is
noted as a tree to walk, which watches it where it now is.
"""

import contextlib
import errno
import os
import selectors
import threading
from dataclasses import dataclass, field

from pp_assist.core.model import Root
from pp_assist.scanner import inotify
from pp_assist.scanner.sink import Notes, Sink

EVENTS = (
    inotify.CREATE
    | inotify.DELETE
    | inotify.MOVED_FROM
    | inotify.MOVED_TO
    | inotify.CLOSE_WRITE
    | inotify.MODIFY
    | inotify.ATTRIB
)
"""Nothing that reading causes: our own would flood the queue."""

OF_A_ROOT = inotify.DELETE_SELF | inotify.MOVE_SELF
GONE = OF_A_ROOT | inotify.UNMOUNT | inotify.IGNORED
COMES = inotify.CREATE | inotify.MOVED_TO
GOES = inotify.DELETE | inotify.MOVED_FROM
NO_HURRY = inotify.MODIFY | inotify.ATTRIB

BUFFER_BYTES = 1 << 20
"""More than the kernel keeps for us (16,384 events, unless somebody changed that) with names of usual length."""

PAUSE_S = 0.01
"""Between two reads: the kernel merges repeated events meanwhile, and a busy file costs little."""

LIMITS = {
    errno.ENOSPC: "no more folders can be watched (fs.inotify.max_user_watches)",
    errno.EMFILE: "no more watchers can be opened (fs.inotify.max_user_instances, or open files)",
}


@dataclass(slots=True, eq=False)
class Watched:
    """One watched directory, where it was when its watch was added."""

    root_id: int
    directory: bytes
    watch: int
    children: dict[bytes, "Watched"] = field(default_factory=dict)
    scan: int = 0
    """The last scan that listed it."""


class LinuxEvents:
    """Watches roots and notes in *sink* what happens in them."""

    proves = True
    """Says when events were lost, and knows when a directory is not watched."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._queue = -1
        self._bell = (-1, -1)
        self._stopped = threading.Event()
        self.lock = threading.Lock()
        """Over the maps, and held while a batch of events is worked off: tests stop the thread with it."""
        self._by_watch: dict[int, Watched] = {}
        self._tops: dict[int, Watched | None] = {}
        self._scans: dict[int, int] = {}
        self._roots: dict[int, Root] = {}
        self._thread = threading.Thread(target=self._read, name="inotify", daemon=True)

    def start(self) -> None:
        """Begin; `close` must follow.

        Raises:
            OSError: the system gives no queue.
        """
        try:
            self._queue = inotify.open_queue()
        except OSError as error:
            raise OSError(error.errno, LIMITS.get(error.errno or 0, error.strerror)) from error
        self._bell = os.pipe()
        self._thread.start()

    def close(self) -> None:
        """Stop the thread. Blocking, briefly."""
        if self._queue < 0:
            return
        with self.lock:
            self._stopped.set()
        with contextlib.suppress(OSError):
            os.write(self._bell[1], b"x")
        if self._thread.ident is not None:
            self._thread.join()
        with self.lock:
            for fd in (self._queue, *self._bell):
                os.close(fd)
            self._queue = -1
            self._by_watch.clear()  # they ended with the queue

    @property
    def alive(self) -> bool:
        """Whether events are read."""
        return self._thread.is_alive()

    def watch(self, root: Root) -> None:
        """Let the walks of *root* from now on watch its directories."""
        with self.lock:
            self._roots.setdefault(root.id, root)
            self._tops.setdefault(root.id, None)

    def unwatch(self, root_id: int) -> None:
        """Stop watching a root."""
        with self.lock:
            self._roots.pop(root_id, None)
            if top := self._tops.pop(root_id, None):
                self._forget(top)

    def scan_begins(self, root_id: int) -> None:
        """Note that a scan of a whole root begins."""
        with self.lock:
            self._scans[root_id] = self._scans.get(root_id, 0) + 1

    def scan_ends(self, root_id: int) -> None:
        """Stop watching what the scan did not come to: left out by a rule, or gone, and the event of that was lost."""
        with self.lock:
            top = self._tops.get(root_id)
            pending = [top] if top is not None else []
            while pending:
                for child in list(pending.pop().children.values()):
                    if child.scan == self._scans.get(root_id, 0):
                        pending.append(child)
                    else:
                        self._forget(child)

    def watch_canary(self, directory: bytes) -> None:
        """Let what is closed in *directory* be told to the sink as proof that events flow.

        Raises:
            OSError: it cannot be watched.
        """
        fd = os.open(directory, os.O_RDONLY)
        try:
            with self.lock:
                watch = inotify.add_watch(self._queue, fd, inotify.CLOSE_WRITE)
                self._by_watch[watch] = Watched(0, directory, watch)
        finally:
            os.close(fd)

    def before_listing(self, root: Root, directory: bytes, fd: int) -> None:
        """Watch *directory*, open as *fd*, which is about to be listed. Called from the walks' threads.

        Raises:
            OSError: it is not watched.
        """
        with self.lock:
            if self._stopped.is_set() or root.id not in self._tops:
                return
            try:
                watch = inotify.add_watch(self._queue, fd, EVENTS | (0 if directory else OF_A_ROOT))
            except OSError as error:
                raise OSError(error.errno, LIMITS.get(error.errno or 0, error.strerror)) from error
            known = self._by_watch.get(watch)
            if known is not None and (not known.root_id or (known.root_id, known.directory) == (root.id, directory)):
                known.scan = self._scans.get(root.id, 0)
                return
            if known is not None:
                if not _is_there(root, directory, fd):
                    return  # it was moved while it was being opened: the other place is right
                self._forget(known, keep=watch)
            if not self._attach(Watched(root.id, directory, watch, scan=self._scans.get(root.id, 0))):
                inotify.remove_watch(self._queue, watch)  # moved away meanwhile: the walk of its new place comes here

    def _attach(self, new: Watched) -> bool:
        """Put *new* into the maps, instead of what was at its place; False if there is no place for it."""
        if not new.directory:
            if (stale := self._tops[new.root_id]) is not None:
                self._forget(stale)
            self._tops[new.root_id] = new
        else:
            above, _, name = new.directory.rpartition(b"/")
            parent = self._find(new.root_id, above)
            if parent is None:
                return False
            if (stale := parent.children.get(name)) is not None:
                self._forget(stale)
            parent.children[name] = new
        self._by_watch[new.watch] = new
        return True

    def _find(self, root_id: int, directory: bytes) -> Watched | None:
        found = self._tops.get(root_id)
        for name in directory.split(b"/") if directory else ():
            if found is None:
                return None
            found = found.children.get(name)
        return found

    def _forget(self, old: Watched, keep: int = -1) -> None:
        """Drop *old* and all below it from the maps, and end their watches (but not *keep*)."""
        above, _, name = old.directory.rpartition(b"/")
        if not old.directory:
            if self._tops.get(old.root_id) is old:
                self._tops[old.root_id] = None
        elif (parent := self._find(old.root_id, above)) is not None and parent.children.get(name) is old:
            del parent.children[name]
        pending = [old]
        while pending:
            node = pending.pop()
            pending += node.children.values()
            if self._by_watch.get(node.watch) is node:
                del self._by_watch[node.watch]
                if node.watch != keep:
                    inotify.remove_watch(self._queue, node.watch)

    # -- the thread

    def _read(self) -> None:
        ready = selectors.DefaultSelector()
        for fd in (self._queue, self._bell[0]):
            ready.register(fd, selectors.EVENT_READ)
        with contextlib.closing(ready):
            while not self._stopped.wait(PAUSE_S):
                ready.select()
                self._work_off()

    def _work_off(self) -> None:
        """Note all that is in the queue."""
        with self.lock, self._sink.noting() as note:
            if self._stopped.is_set():
                return
            for watch, mask, name in inotify.parse(os.read(self._queue, BUFFER_BYTES)):
                if mask & inotify.Q_OVERFLOW:
                    self._sink.lost("more changes at once than the system keeps for us")
                elif (place := self._by_watch.get(watch)) is not None:
                    if not place.root_id:
                        self._sink.canary(name)
                    elif mask & GONE:
                        self._ended(place, note)
                    elif mask & inotify.ISDIR:
                        self._directory(place, mask, name, note)
                    else:
                        closed = bool(mask & (inotify.CLOSE_WRITE | inotify.MOVED_TO))
                        hints = note.later if mask & NO_HURRY else note.now
                        hints.add(place.root_id, place.directory, name, closed)

    def _ended(self, place: Watched, note: Notes) -> None:
        """Nothing will be told of *place* any more: it was removed or unmounted; or a root was moved."""
        self._forget(place)
        if not place.directory:
            note.distrust(place.root_id, "its folder was moved, removed or unmounted")

    def _directory(self, parent: Watched, mask: int, name: bytes, note: Notes) -> None:
        directory = parent.directory + b"/" + name if parent.directory else name
        child = parent.children.get(name)
        if mask & GOES and child is not None:
            self._forget(child)
        elif mask & inotify.ATTRIB and child is not None:
            note.later.add(parent.root_id, parent.directory, name, closed=False)
            return
        elif mask & (COMES | inotify.ATTRIB) and child is None:  # a changed mode may have made it readable
            note.now.add_tree(parent.root_id, directory)
        note.now.add(parent.root_id, parent.directory, name, closed=False)


def _is_there(root: Root, directory: bytes, fd: int) -> bool:
    """Say whether the open directory is the one at that path."""
    found = os.fstat(fd)
    try:
        there = os.stat(os.path.join(root.path, directory), follow_symlinks=False)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino)
