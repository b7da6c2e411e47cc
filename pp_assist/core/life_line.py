"""The life of one file here, as far as its row and what was told of it say. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from pp_assist.core.events import Event, Happened
from pp_assist.core.model import NoticedBy, Stage

SAME_MS = 2_000
MOST_TOLD = 20
"""Of what is in the list of activity."""


class Moment(NamedTuple):
    """Something that happened to it."""

    at_ms: int
    event: str
    text: str


class Times(NamedTuple):
    """What its row remembers."""

    discovered_at_ms: int
    checked_at_ms: int
    hashed_at_ms: int | None
    stage: Stage | None
    queued_at_ms: int | None
    attempts: int
    last_error: str | None
    stored_at_ms: int | None
    receipt_number: int | None
    noticed_by: NoticedBy | None = None
    """What its last change was noticed by."""


_IN_LINE = {
    Stage.CHECKSUM: "it came into line to be read",
    Stage.UPLOAD: "it came into line to be sent",
    Stage.VANISHED: "it was missing",
    Stage.DELETION: "it was missing at a second look, too",
}
_NOTICED = {
    NoticedBy.EVENT: "the system told of its last change",
    NoticedBy.SCAN: "a scan found its last change",
    NoticedBy.START: "the first scan since the start found its last change",
    NoticedBy.SECOND_LOOK: "a second look found its last change",
}
_WORDS = {
    Event.FILE_DISCOVERED: "it was found",
    Event.FILE_CHANGED: "it was found changed",
    Event.FILE_MISSING: "it was found missing",
    Event.FILE_DELETED: "the server was told that it is gone",
    Event.FILE_MOVED: "it was found to have been moved",
    Event.SHA256_COMPLETE: "it was read",
    Event.SHA256_FAILED: "it could not be read",
    Event.UPLOAD_COMPLETE: "the server confirmed it",
    Event.UPLOAD_FAILED: "it could not be sent",
}


def life_line(times: Times, told: Iterable[Happened]) -> list[Moment]:
    """Return what happened to a file, oldest first."""
    noticed = "" if times.noticed_by is None else f"; {_NOTICED[times.noticed_by]}"
    to_read = times.stage in (Stage.CHECKSUM, Stage.VANISHED)
    found = [Moment(times.discovered_at_ms, "discovered", "it was seen for the first time")]
    found += [
        Moment(each.at_ms, each.event, _said(each)) for each in told if not _is_said(each, times.discovered_at_ms)
    ]
    if times.hashed_at_ms is not None:
        found.append(
            Moment(
                times.hashed_at_ms, "hashed", f"its content was read, as it is known now{'' if to_read else noticed}"
            )
        )
    if times.stored_at_ms is not None:
        number = "" if times.receipt_number is None else f", receipt number {times.receipt_number}"
        found.append(Moment(times.stored_at_ms, "stored", f"the server confirmed it{number}"))
    if times.stage is not None and times.queued_at_ms is not None:
        text = _IN_LINE[times.stage] + (noticed if to_read else "")
        if times.attempts:
            text += f"; {times.attempts} attempts failed since" + (f": {times.last_error}" if times.last_error else "")
        found.append(Moment(times.queued_at_ms, "queued", text))
    if times.checked_at_ms > times.discovered_at_ms:
        found.append(Moment(times.checked_at_ms, "checked", "it was looked at last"))
    return sorted(found)


def _is_said(each: Happened, discovered_at_ms: int) -> bool:
    """Say whether the row says the same already."""
    return each.event is Event.FILE_DISCOVERED and abs(each.at_ms - discovered_at_ms) < SAME_MS


def _said(each: Happened) -> str:
    text = each.message or _WORDS.get(each.event, each.event.value.replace("_", " "))
    return f"{text}, with {each.count - 1} others" if each.count > 1 else text
