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
    trees: set[tuple[int, bytes]] = field(default_factory=set)
    """(root id, directory) that came into being, or came from elsewhere: to be walked, files may be in it already."""
    suspect: dict[int, str] = field(default_factory=dict)
    """Roots whose events cannot be trusted just now, with the reason."""
    count: int = 0

    def add(self, root_id: int, directory: bytes, name: bytes, closed: bool) -> None:
        """Note that something happened to *name* in *directory* (a path below the root)."""
        if root_id in self.suspect:
            return
        names = self.names.setdefault((root_id, directory), {})
        if name not in names:
            if self.count >= MAX_HINTS and len(names) > MAX_NAMES_PER_DIRECTORY:
                return  # the directory will be listed, with this name
            self.count += 1
        names[name] = names.get(name, False) or closed
        self._bound(root_id)

    def add_tree(self, root_id: int, directory: bytes) -> None:
        """Note that *directory* is new where it is. Its name is to be added, too: a look says if it is still there."""
        if root_id not in self.suspect and (root_id, directory) not in self.trees:
            self.trees.add((root_id, directory))
            self.count += 1
            self._bound(root_id)

    def _bound(self, root_id: int) -> None:
        if self.count > MAX_HINTS:
            self.distrust(root_id, "too many changes at once")

    def distrust(self, root_id: int, reason: str) -> None:
        """Forget the root's events: it must be scanned."""
        self.suspect[root_id] = reason
        for key in [key for key in self.names if key[0] == root_id]:
            self.count -= len(self.names.pop(key))
        for tree in [tree for tree in self.trees if tree[0] == root_id]:
            self.trees.remove(tree)
            self.count -= 1

    def announces(self, root_id: int, directory: bytes, name: bytes) -> bool:
        """Say whether *name*, or the whole of what it is in, was among the events."""
        names = self.names.get((root_id, directory))
        if names is not None and (name in names or len(names) > MAX_NAMES_PER_DIRECTORY):
            return True
        while directory:
            if (root_id, directory) in self.trees:
                return True
            directory = directory.rpartition(b"/")[0]
        return False

    def __bool__(self) -> bool:
        return bool(self.names or self.trees or self.suspect)
