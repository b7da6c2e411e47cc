"""How often somebody may fail in a while."""

MAX_REMEMBERED = 10_000
MAX_NAME_CHARS = 64


class Failures:
    """Counts failures by name; beyond *limit* within *window_s* seconds the name has to wait. Bounded in memory."""

    def __init__(self, limit: int, window_s: float) -> None:
        self._limit = limit
        self._window_s = window_s
        self._counts: dict[str, tuple[float, int]] = {}
        """When the name's window began, and how often it failed since; oldest window first."""

    def note(self, name: str, now: float) -> float:
        """Count one failure; return the seconds until failing again is answered as usual, 0 where it is now."""
        name = name[:MAX_NAME_CHARS]
        began, count = self._counts.get(name, (now, 0))
        if now - began >= self._window_s:
            began, count = now, 0
        if not count:
            self._counts.pop(name, None)
            if len(self._counts) >= MAX_REMEMBERED:
                del self._counts[next(iter(self._counts))]
        self._counts[name] = (began, count + 1)
        return 0.0 if count < self._limit else began + self._window_s - now
