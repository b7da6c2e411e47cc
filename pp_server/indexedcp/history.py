"""Uploads that are over: the last ones in memory, the others in the records."""

import threading
from collections import OrderedDict
from dataclasses import replace

from pp_server.indexedcp import book
from pp_server.indexedcp.model import Finished, Identity
from pp_server.indexedcp.names import Parts
from pp_server.indexedcp.tracking import Statement, Tracking

REMEMBERED = 10_000


class History:
    """What was received whole, and what somebody marked as received. For many threads."""

    def __init__(self, tracking: Tracking) -> None:
        self._tracking = tracking
        self._lock = threading.Lock()
        self._over: OrderedDict[Identity, Finished] = OrderedDict()
        self._marks: dict[str, set[int]] = {}

    def load(self) -> list[Finished]:
        """Read what the records have; return it."""
        over = [book.finished_of(row) for row in self._tracking.rows(book.FINISHED)]
        for each in over[-REMEMBERED:]:
            self.add(each)
        for name, number in self._tracking.rows(book.MARKS):
            self._marks.setdefault(book.decoded(name), set()).add(number)
        return over

    def add(self, over: Finished) -> None:
        """Remember an upload that is over, in place of an earlier one of the same identity."""
        with self._lock:
            self._over[over.identity] = over
            self._over.move_to_end(over.identity)
            while len(self._over) > REMEMBERED:
                self._over.popitem(last=False)

    def find(self, identity: Identity) -> Finished | None:
        """Return the last one of this identity, however long ago."""
        with self._lock:
            known = self._over.get(identity)
            if known is not None or len(self._over) < REMEMBERED:
                return known
        rows = self._tracking.rows(*book.finished_like(identity))
        return book.finished_of(rows[0]) if rows else None

    def last_of(self, name: str) -> Finished | None:
        """Return the last one of this name, whoever's, among those remembered."""
        with self._lock:
            return next((over for over in reversed(self._over.values()) if over.identity[1] == name), None)

    def rename(self, over: Finished, parts: Parts) -> None:
        """Its file is called otherwise."""
        self._tracking.write(book.renamed(over.id, parts))
        self.add(replace(over, parts=parts))

    def mark(self, name: str, number: int) -> None:
        """Have a chunk count as received."""
        self._tracking.write([book.marked(name, number)])
        with self._lock:
            self._marks.setdefault(name, set()).add(number)

    def marked(self, name: str) -> set[int]:
        """Return what was marked."""
        with self._lock:
            return set(self._marks.get(name, ()))

    def statements(self) -> list[Statement]:
        """Return what a new database must hold of all this. Which uploads are over is told by those that run."""
        with self._lock:
            over = [statement for each in self._over.values() for statement in book.over(each)]
            marks = [book.marked(name, number) for name, numbers in self._marks.items() for number in numbers]
        return over + marks
