"""Watcher events boiled down: which names to look at in which directories, or which roots to scan whole."""

from dataclasses import dataclass, field

MAX_HINTS = 20_000
"""Paths remembered at a time; beyond that a scan of the root is cheaper and surer."""

MAX_NAMES_PER_DIRECTORY = 64
"""More names than that: list the directory instead."""


@dataclass(slots=True)
class Hints:
    """A bounded set of places to look at. Events only ever add to it; a look at the disk decides what they meant."""

    names: dict[tuple[int, bytes], dict[bytes, bool]] = field(default_factory=dict)
    """(root id, directory) → name → whether its writer closed it."""
    suspect: dict[int, str] = field(default_factory=dict)
    """Roots whose events cannot be trusted just now, with the reason."""
    count: int = 0

    def add(self, root_id: int, relative: bytes, closed: bool) -> None:
        """Note that something happened to *relative* (a path below the root)."""
        if root_id in self.suspect or not relative:
            return
        directory, _, name = relative.rpartition(b"/")
        names = self.names.setdefault((root_id, directory), {})
        if name not in names:
            self.count += 1
        names[name] = names.get(name, False) or closed
        if self.count > MAX_HINTS:
            self.distrust(root_id, "too many events at once")

    def distrust(self, root_id: int, reason: str) -> None:
        """Forget the root's events: it must be scanned."""
        self.suspect[root_id] = reason
        for key in [key for key in self.names if key[0] == root_id]:
            self.count -= len(self.names.pop(key))

    def __bool__(self) -> bool:
        return bool(self.names or self.suspect)
