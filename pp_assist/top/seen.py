"""What the daemon has said so far: events as they come, and how much was sent. Nothing of it is drawn here."""

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

LAST = 200
SPEED_S = 10.0
STEPS = ("upload_started", "upload_progress")
"""What is under way is asked for, and no news."""


@dataclass(slots=True)
class Seen:
    """Fed by whoever listens; read by whoever draws."""

    events: deque[Any] = field(default_factory=lambda: deque(maxlen=LAST))
    sent: deque[tuple[float, int]] = field(default_factory=deque)
    """(when, bytes sent since the daemon started), of the last seconds."""

    def hear(self, event: Any) -> None:
        """Take note of an event."""
        if event["event_type"] not in STEPS:
            self.events.append(event)

    def note_sent(self, total_bytes: int, now_s: float | None = None) -> float:
        """Take note of how much was sent; return the speed of the last seconds, in bytes per second."""
        now_s = time.monotonic() if now_s is None else now_s
        if self.sent and total_bytes < self.sent[-1][1]:  # the daemon was started anew
            self.sent.clear()
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
