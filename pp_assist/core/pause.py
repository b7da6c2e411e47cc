"""A person's word that nothing is to be hashed or sent for a while. Pure."""

from dataclasses import dataclass

PAUSED = "paused"
"""The reason that is shown wherever one is asked for."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Since when, and until when by itself (None: until a person says so)."""

    since_ms: int
    until_ms: int | None = None

    def is_over(self, now_ms: int) -> bool:
        """Say whether it has ended by itself."""
        return self.until_ms is not None and self.until_ms <= now_ms
