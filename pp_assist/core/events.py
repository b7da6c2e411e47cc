"""What happened, as it is told: one event for one file, or for many that went together."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class Event(StrEnum):
    """What kind of thing."""

    SCAN_STARTED = "scan_started"
    SCAN_COMPLETE = "scan_complete"
    FILE_DISCOVERED = "file_discovered"
    FILE_CHANGED = "file_changed"
    FILE_MISSING = "file_missing"  # at a look; the server is told later, if it stays away
    FILE_DELETED = "file_deleted"  # the server was told
    FILE_MOVED = "file_moved"
    SHA256_COMPLETE = "sha256_complete"
    SHA256_FAILED = "sha256_failed"
    UPLOAD_STARTED = "upload_started"
    UPLOAD_PROGRESS = "upload_progress"
    UPLOAD_COMPLETE = "upload_complete"
    UPLOAD_FAILED = "upload_failed"
    FETCH_STARTED = "fetch_started"  # a file comes back from the server
    FETCH_PROGRESS = "fetch_progress"
    FETCH_COMPLETE = "fetch_complete"
    FETCH_FAILED = "fetch_failed"
    DELETIONS_HELD = "deletions_held"
    SERVER = "server"  # how the server stands
    STEERED = "steered"  # a person paused, resumed, changed a setting
    ERROR = "error"


PASSING = frozenset({Event.UPLOAD_STARTED, Event.UPLOAD_PROGRESS, Event.FETCH_STARTED, Event.FETCH_PROGRESS})
"""Told, and not kept: the next one, or the end of the upload, says more."""


@dataclass(frozen=True, slots=True)
class Happened:
    """One event."""

    id: int
    """Grows; never used twice, over restarts neither."""
    at_ms: int
    event: Event
    root_id: int | None = None
    filepath: bytes | None = None
    """Of the first, where it is about several."""
    count: int = 1
    """How many files it is about."""
    message: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


class Tell(Protocol):
    """Says that something happened."""

    def __call__(
        self,
        event: Event,
        filepath: bytes | None = None,
        *,
        root_id: int | None = None,
        count: int = 1,
        message: str | None = None,
        **details: Any,
    ) -> None: ...


def nobody_listens(event: Event, filepath: bytes | None = None, **_: Any) -> None:
    """Say it to nobody."""
