"""How fast things go just now."""

from collections import deque

from pp_assist.core.series import Series

WINDOW_MS = 10_000


class Rate:
    """Counts events and tells their rate over the last ten seconds. Times (monotonic, in ms) are arguments."""

    def __init__(self) -> None:
        self.total = 0
        self.lately = Series()
        self._recent: deque[tuple[int, int]] = deque()

    def add(self, count: int, now_ms: int) -> None:
        """Note that *count* things have happened."""
        self.total += count
        self.lately.add(count, now_ms)
        self._recent.append((now_ms, count))
        self._forget(now_ms)

    def per_second(self, now_ms: int) -> float:
        """Return the events per second of the last ten seconds."""
        self._forget(now_ms)
        return round(sum(count for _, count in self._recent) * 1000 / WINDOW_MS, 3)

    def _forget(self, now_ms: int) -> None:
        while self._recent and self._recent[0][0] <= now_ms - WINDOW_MS:
            self._recent.popleft()
