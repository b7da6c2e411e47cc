"""How things went lately: second by second, and how long they took. Times (monotonic, in ms) are arguments."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MOST_S = 900
MOST_LATENCIES = 1000


class Series:
    """Counts per second, of the last quarter of an hour; a second in which nothing happened takes no room."""

    def __init__(self) -> None:
        self._seconds: deque[list[int]] = deque()

    def add(self, count: int, now_ms: int) -> None:
        """Note that *count* things have happened."""
        second = now_ms // 1000
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1][1] += count
            return
        self._seconds.append([second, count])
        while self._seconds[0][0] <= second - MOST_S:
            self._seconds.popleft()

    def last(self, seconds: int, now_ms: int) -> list[int]:
        """Return the counts of the last *seconds* whole seconds, oldest first."""
        end = now_ms // 1000
        counts = [0] * seconds
        for second, count in self._seconds:
            if end - seconds <= second < end:
                counts[second - end] = count
        return counts


@dataclass(frozen=True, slots=True)
class Spread:
    """How long things took, in ms."""

    count: int
    p50: int
    p90: int
    p99: int
    longest: int


class Latencies:
    """How long the last things took."""

    def __init__(self) -> None:
        self._taken: deque[tuple[int, int]] = deque(maxlen=MOST_LATENCIES)

    def add(self, took_ms: Iterable[int], now_ms: int) -> None:
        """Note how long some things took that have just ended."""
        self._taken.extend((now_ms, took) for took in took_ms)

    def spread(self, now_ms: int) -> Spread | None:
        """Return how long the things of the last quarter of an hour took; None: there were none."""
        taken = sorted(took for ended_ms, took in self._taken if ended_ms > now_ms - MOST_S * 1000)
        if not taken:
            return None
        return Spread(len(taken), _at(taken, 50), _at(taken, 90), _at(taken, 99), taken[-1])


def _at(ordered: Sequence[int], percent: int) -> int:
    """Return the value that *percent* of all do not exceed (nearest rank)."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
