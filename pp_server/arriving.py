"""Paths whose new version is under way in this process, though the records know nothing of it yet.

A directory that is moved meanwhile must know of them: they are recorded after it. For one event loop.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager


class Arriving:
    """Counts what is under way."""

    def __init__(self) -> None:
        self._places: Counter[tuple[int, str, bytes]] = Counter()

    @contextmanager
    def announced(self, owner_id: int, host_id: str, paths: Collection[bytes]) -> Iterator[None]:
        """Inside the block, versions of these paths are under way."""
        places = [(owner_id, host_id, path) for path in paths]
        self._places.update(places)
        try:
            yield
        finally:
            for place in places:
                left = self._places[place] - 1
                if left:
                    self._places[place] = left
                else:
                    del self._places[place]

    def besides(self, owner_id: int, host_id: str, paths: Collection[bytes]) -> frozenset[bytes]:
        """Return the paths of a host for which a version is under way, other than those *paths* that are announced by
        whoever asks."""
        own = Counter(paths)
        return frozenset(
            path
            for (owner, host, path), count in self._places.items()
            if (owner, host) == (owner_id, host_id) and count > own[path]
        )
