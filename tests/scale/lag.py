"""How long others wait: for their turn on the daemon's loop, and for its answers."""

import contextlib
import http.client
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.scale.probed import EVERY_S

ASK_EVERY_S = 0.05


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that *share* of all do not exceed."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1) if ordered else 0.0


def felt(lags_ms: Sequence[float]) -> list[float]:
    """Return the lags with those that nobody was there to measure: while one is late, others would have come, too."""
    step = EVERY_S * 1000
    return [lag - n * step for lag in lags_ms for n in range(1 + int(lag // step))]


@dataclass
class Figures:
    """What was measured in one phase."""

    loop_ms: list[float] = field(default_factory=list)
    computing_ms: list[float] = field(default_factory=list)
    health_ms: list[float] = field(default_factory=list)
    slowest: dict[str, float] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """Return percentiles."""
        loop = felt(self.loop_ms)
        return {
            "loop_lag_p99_ms": percentile(loop, 0.99),
            "loop_lag_max_ms": max(loop, default=0.0),
            "loop_computing_p99_ms": percentile(felt(self.computing_ms), 0.99),
            "loop_computing_max_ms": max(self.computing_ms, default=0.0),
            "health_p99_ms": percentile(self.health_ms, 0.99),
            "health_max_ms": round(max(self.health_ms, default=0.0), 1),
            "slowest_ms": {path: round(ms) for path, ms in self.slowest.items()},
        }


class Watch:
    """Asks a daemon all the time, as people do, and reads what the stopwatch inside it says."""

    def __init__(self, port: int, token: str, lags: Path, pages: Callable[[], Sequence[str]]) -> None:
        self._port, self._headers, self._lags, self._pages = port, {"Authorization": f"Bearer {token}"}, lags, pages

    @contextlib.contextmanager
    def phase(self) -> Iterator[Figures]:
        """Measure during the block."""
        found, stop, began = Figures(), threading.Event(), time.monotonic()
        threads = [
            threading.Thread(target=self._ask_health, args=(found, stop)),
            threading.Thread(target=self._ask_pages, args=(found, stop)),
        ]
        for thread in threads:
            thread.start()
        try:
            yield found
        finally:
            stop.set()
            for thread in threads:
                thread.join()
            time.sleep(0.1)
            ended = time.monotonic()
            for line in self._lags.read_text().splitlines()[:-1]:
                when, lag, computing = map(float, line.split())
                if began <= when <= ended:
                    found.loop_ms.append(lag)
                    found.computing_ms.append(computing)

    def _ask_health(self, found: Figures, stop: threading.Event) -> None:
        while not stop.wait(ASK_EVERY_S):
            found.health_ms.append(self._ask("/health"))

    def _ask_pages(self, found: Figures, stop: threading.Event) -> None:
        while not stop.wait(1.0):
            for path in self._pages():
                found.slowest[path] = max(found.slowest.get(path, 0.0), self._ask(path))

    def _ask(self, path: str) -> float:
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("GET", path, headers=self._headers)
            with connection.getresponse() as response:
                response.read()
        finally:
            connection.close()
        return (time.monotonic() - began) * 1000
