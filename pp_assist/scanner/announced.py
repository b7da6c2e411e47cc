"""How many changes events have told of, and how many a scan had to find: the measure of what watching is worth."""

import contextlib
from collections.abc import Iterator

from pp_assist.core.hints import Hints
from pp_assist.scanner.sink import Sink

REMEMBERED = 20_000
"""Changes of one scan that nobody has told of so far; further ones count as missed."""

Change = tuple[bytes, bytes, int]
"""(directory, name, files)"""


class Counted:
    """What one scan found."""

    def __init__(self, hints: list[Hints], root_id: int, first: bool) -> None:
        self._hints = hints
        self._root_id = root_id
        self.is_first = first
        """Whether nobody has looked at all of the root before, since the start."""
        self.changes: list[Change] = []
        self.announced = 0
        self._total = 0

    @property
    def is_full(self) -> bool:
        """Whether it is time to see which of them were told of meanwhile: there is no room for more."""
        return len(self.changes) >= REMEMBERED

    @property
    def missed(self) -> int:
        """Files that nobody had told of."""
        return self._total - self.announced

    def found(self, changes: list[Change]) -> None:
        """Note what differs. Nobody could have told of what the first scan of a root finds."""
        if not self.is_first:
            self._total += sum(count for *_, count in changes)
            self.changes += changes[: REMEMBERED - len(self.changes)]

    def pending(self, sink: Sink) -> None:
        """Do not count as missed what is among the hints that were not followed when the scan came."""
        silent: list[Change] = []
        for directory, name, count in self.changes:
            if sink.announces(self._root_id, directory, name) or any(
                hints.announces(self._root_id, directory, name) for hints in self._hints
            ):
                self.announced += count
            else:
                silent.append((directory, name, count))
        self.changes = silent


class Announced:
    """Knows the hints that are being followed, so that a scan that comes first does not count them as missed."""

    def __init__(self) -> None:
        self._scanned: set[int] = set()
        self._following: list[Hints] = []
        self._since_scan: list[Hints] | None = None

    @contextlib.contextmanager
    def following(self, hints: Hints) -> Iterator[None]:
        """Note that *hints* are being followed, for the block."""
        self._following.append(hints)
        if self._since_scan is not None:
            self._since_scan.append(hints)
        try:
            yield
        finally:
            self._following = [others for others in self._following if others is not hints]

    @contextlib.contextmanager
    def scanning(self, root_id: int, start: bytes) -> Iterator[Counted]:
        """Give the block the count for a scan; there is one at a time."""
        self._since_scan = list(self._following)
        try:
            yield Counted(self._since_scan, root_id, first=root_id not in self._scanned)
        finally:
            self._since_scan = None
        if not start:
            self._scanned.add(root_id)
