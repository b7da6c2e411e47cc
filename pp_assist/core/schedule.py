"""When to scan next, and what."""

SCAN_SHARE = 0.05
"""Scanning may cost one core at most this share of the time."""

PROVEN_SHARE = 0.0005
"""The same while events are proven to tell everything: scans only make sure, then."""

LONGEST_INTERVAL_S = 3600.0

LONGEST_RESCAN_PAUSE_S = 60.0
"""Where events are lost again and again: scans of the same root are at most this far apart."""


def next_scan_after_s(interval_s: float, explicit: bool, last_scan_s: float, proven: bool = False) -> float:
    """Return the seconds to wait after a scan that took *last_scan_s*.

    *interval_s* is the shortest time between scans; unless a person set it (*explicit*), it stretches, up to an hour,
    until scanning costs no more than its share of a core.
    """
    if explicit:
        return interval_s
    share = PROVEN_SHARE if proven else SCAN_SHARE
    return min(max(interval_s, last_scan_s / share), max(interval_s, LONGEST_INTERVAL_S))


class Plan:
    """When to scan everything, and which roots sooner, because something about them was lost. Times are monotonic."""

    def __init__(self, interval_s: float, explicit: bool) -> None:
        self._interval_s = interval_s
        self._explicit = explicit
        self._ended_ms = 0
        self._last: dict[int, tuple[int, int]] = {}
        """Of each root, how long its last scan took, and when it ended: also of one that was just added."""
        self._full_ms: int | None = None
        self._sooner: dict[int, int] = {}
        self._rested_ms: dict[int, int] = {}

    def begin(self, now_ms: int) -> None:
        """Plan the first scan: now."""
        self._full_ms = now_ms

    def next_ms(self, proven: bool) -> int:
        """Return when the next scan is due."""
        return min([self.full_ms(proven), *self._sooner.values()])

    def full_ms(self, proven: bool) -> int:
        """Return when everything is to be scanned; *proven*: whether events are, at this moment."""
        if self._full_ms is not None:
            return self._full_ms
        took_s = sum(took_ms for took_ms, _ in self._last.values()) / 1000
        wait_s = next_scan_after_s(self._interval_s, self._explicit, took_s, proven)
        all_since_ms = min((ended_ms for _, ended_ms in self._last.values()), default=0)
        return max(self._ended_ms, all_since_ms) + int(wait_s * 1000)

    def rescan(self, root_id: int, now_ms: int) -> None:
        """Plan a scan of one root: now, unless one has just ended and scanning on and on would cost too much."""
        self._sooner.setdefault(root_id, max(now_ms, self._rested_ms.get(root_id, 0)))

    def ripe(self, now_ms: int) -> frozenset[int]:
        """Return the roots whose scan is due, and plan them no more."""
        due = frozenset(root_id for root_id, at_ms in self._sooner.items() if at_ms <= now_ms)
        for root_id in due:
            del self._sooner[root_id]
        return due

    def scanned(self, root_id: int, took_ms: int, now_ms: int) -> None:
        """Note that a scan of the whole of a root has ended."""
        self._last[root_id] = took_ms, now_ms
        self._rested_ms[root_id] = now_ms + int(min(took_ms / SCAN_SHARE, LONGEST_RESCAN_PAUSE_S * 1000))

    def scanned_all(self, now_ms: int) -> None:
        """Note that a scan of everything has ended."""
        self._full_ms, self._ended_ms = None, now_ms

    def not_scanned(self, root_id: int) -> None:
        """Note that a root could not be scanned: to look whether it is back costs nothing, so that is not put off."""
        self._last.pop(root_id, None)

    def forget(self, root_id: int) -> None:
        """Plan nothing more for a root."""
        self._sooner.pop(root_id, None)
        self._rested_ms.pop(root_id, None)
        self._last.pop(root_id, None)
