"""What the daemon has said so far: events as they come, and what is under way. Nothing of it is drawn here."""

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

LAST = 200
MOST_UNDER_WAY = 100
"""The end of an upload may go unheard: then its beginning is forgotten at some time."""
SPEED_S = 10.0
ENDS = ("upload_complete", "upload_failed")


@dataclass(slots=True)
class Seen:
    """Fed by whoever listens; read by whoever draws."""

    events: deque[Any] = field(default_factory=lambda: deque(maxlen=LAST))
    under_way: dict[str, Any] = field(default_factory=dict)
    """Path → the last thing said of its upload."""
    sent: deque[tuple[float, int]] = field(default_factory=deque)
    """(when, bytes sent since the daemon started), of the last seconds."""

    def hear(self, event: Any) -> None:
        """Take note of an event."""
        kind, path = event["event_type"], event["filepath"]
        if kind in ("upload_started", "upload_progress"):
            self.under_way[path] = event
            while len(self.under_way) > MOST_UNDER_WAY:
                del self.under_way[next(iter(self.under_way))]
            return
        if kind in ENDS:
            self.under_way.pop(path, None)
        self.events.append(event)

    def note_sent(self, total_bytes: int, now_s: float | None = None) -> float:
        """Take note of how much was sent; return the speed of the last seconds, in bytes per second."""
        now_s = time.monotonic() if now_s is None else now_s
        if self.sent and total_bytes < self.sent[-1][1]:  # the daemon was started anew
            self.sent.clear()
            self.under_way.clear()
        self.sent.append((now_s, total_bytes))
        while now_s - self.sent[0][0] > SPEED_S:
            self.sent.popleft()
        first_s, first_bytes = self.sent[0]
        return (total_bytes - first_bytes) / (now_s - first_s) if now_s > first_s else 0.0


def read_events(lines: Iterable[bytes]) -> Iterable[tuple[str, str]]:
    """Yield (id, data) of each event in a stream of server-sent ones."""
    last_id, data = "", ""
    for raw in lines:
        line = raw.decode(errors="replace").rstrip("\n")
        if line.startswith("id: "):
            last_id = line[4:]
        elif line.startswith("data: "):
            data = line[6:]
        elif not line and data:
            if last_id:
                yield last_id, data
            last_id, data = "", ""
