"""Is every name in a watched folder accounted for? Pure.

A scan counts the names it sees; the rows say where each of them stands. Both sums must be the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Files:
    """Where the files alone stand. What is left out or unsupported has no kind that would matter."""

    stored: int = 0
    pending: int = 0
    missing: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counted:
    """Where the names of one watched folder stand, by its rows: files, folders and links alike."""

    stored: int = 0
    pending: int = 0
    excluded: int = 0
    """A folder that is left out is one name: nothing below it is looked at."""
    unsupported: int = 0
    missing: int = 0
    """Not on the disk any more; the server is told, or a person is asked, soon."""
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Of what is pending: why, and how many."""
    files: Files = Files()
    """Of all these."""

    @property
    def accounted_for(self) -> int:
        """All that are on the disk, as far as the rows know."""
        return self.stored + self.pending + self.excluded + self.unsupported


@dataclass(frozen=True, slots=True)
class Tally:
    """What the last scan of a watched folder saw."""

    ended_at_ms: int
    on_disk: int
    """Names."""
    unread_directories: int
    """What lies in them is not among the names."""
    difference: int | None
    """Names on the disk without a row, or (negative) rows without a name on the disk; None: a folder could not be read,
    and nothing can be said."""


def difference(on_disk: int, accounted_for: int, changed_meanwhile: int) -> int:
    """Return by how much the two sums differ that must be the same.

    What others wrote down while the scan went on, or between its end and the count, may be in one of them only.
    """
    found = on_disk - accounted_for
    return 0 if abs(found) <= changed_meanwhile else found
