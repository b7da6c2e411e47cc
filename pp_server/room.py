"""Room on disk: some of it is kept for what must go on when the disk is nearly full."""

import shutil
import time

from pp_server.core.errors import StorageFull
from pp_server.durable import as_storage_error

LOOK_SECONDS = 1.0
"""So old a look at the disk may be."""


class Room:
    """Says whether new content is welcome on the disk that *path* is on.

    The reserve is *reserve_bytes*, or *reserve_percent* of the disk where that is less. It stays free for the database,
    for deletions, and for completing what has arrived.
    """

    def __init__(self, path: str, reserve_bytes: int, reserve_percent: float) -> None:
        self._path = path
        self._reserve_bytes = reserve_bytes
        self._reserve_percent = reserve_percent
        self._looked_at = float("-inf")
        self._spare_bytes = 0

    def must_look(self, needed_bytes: int) -> bool:
        """Say whether `look` comes before `check`: the last look is old, or it would refuse what may fit by now."""
        return time.monotonic() - self._looked_at >= LOOK_SECONDS or not self._has(needed_bytes)

    def look(self) -> None:
        """Ask the disk. Blocking."""
        try:
            disk = shutil.disk_usage(self._path)
        except OSError as error:
            raise as_storage_error(error) from error
        reserve = min(self._reserve_bytes, int(disk.total * self._reserve_percent / 100))
        self._spare_bytes = disk.free - reserve
        self._looked_at = time.monotonic()

    def check(self, needed_bytes: int = 0) -> None:
        """Raise StorageFull where there is no room for *needed_bytes* of new content."""
        if not self._has(needed_bytes):
            raise StorageFull("No space left for this")

    def _has(self, needed_bytes: int) -> bool:
        return self._spare_bytes >= max(needed_bytes, 1)
