"""When to scan next."""

SCAN_SHARE = 0.05
"""Scanning may cost one core at most this share of the time."""

LONGEST_INTERVAL_S = 3600.0


def next_scan_after_s(interval_s: float, explicit: bool, last_scan_s: float) -> float:
    """Return the seconds to wait after a scan that took *last_scan_s*.

    *interval_s* is the shortest time between scans; unless a person set it (*explicit*), it stretches, up to an hour,
    until scanning costs no more than a twentieth of a core.
    """
    if explicit:
        return interval_s
    return min(max(interval_s, last_scan_s / SCAN_SHARE), max(interval_s, LONGEST_INTERVAL_S))
