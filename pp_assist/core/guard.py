"""Whether so many files missing at once can be meant. Pure.

A deletion by mistake (an empty folder where a disk should be, a script gone wrong, ransomware) takes many files at a
time; a person's deletions take few. Above a limit nothing is told to the server until a person has said so.
"""

FEWEST = 10
"""Fewer files than this are never too many."""

SHARE_PERCENT = 25
"""More than this of a root's files are too many."""

MOST = 1000
"""More files than this within an hour are too many, however large the root is."""

WINDOW_MS = 3_600_000
"""The time in which deletions count together."""

MASS, ALL = "mass", "all"


def why_hold(lost: int, known: int, told: int) -> str | None:
    """Return why the deletions of a root have to wait for a person, or None.

    *lost* files are missing now, of *known* ones; *told* were told to the server within the last hour.
    """
    gone, before = lost + told, known + told
    if gone < FEWEST:
        return None
    if gone > MOST or gone * 100 > before * SHARE_PERCENT:
        return ALL if lost >= known else MASS
    return None


def enough(lost: int, told: int) -> int:
    """Return how many known files need to be counted: any number above it makes `why_hold` say the same."""
    return max(lost + 1, (lost + told) * 100 // SHARE_PERCENT + 1)
