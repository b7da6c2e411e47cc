"""How it stands, in one sentence that is never better than the truth. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from pp_assist.core.pause import PAUSED


class State(StrEnum):
    """The answer in one word."""

    UP_TO_DATE = "up_to_date"  # everything that is known is stored, and nothing says that more is to be known
    NOTHING_WATCHED = "nothing_watched"
    WORKING = "working"  # it goes on by itself
    PAUSED = "paused"
    BLOCKED = "blocked"  # it goes on by itself once something outside is well again
    NEEDS_YOU = "needs_you"  # it does not go on without a person


class Reason(NamedTuple):
    """Why it is not better than that."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Folder:
    """How one watched folder stands."""

    path: str
    status: str
    """healthy | polling | behind | unhealthy"""
    reason: str | None
    is_scanned: bool
    """It has been scanned as a whole at least once."""
    difference: int | None = 0
    """Names that do not add up; None: not all of it could be read, or it was not counted yet."""
    unread_directories: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """What the sentence is made of."""

    files: int
    stored: int
    to_do: int
    """Rows of work, whatever they wait for; those that wait for a person included."""
    parked: int
    held: int
    """By a person, one file at a time."""
    held_deletions: int
    obstacle: str | None
    """Why nothing can be sent."""
    to_compare: int
    folders: Sequence[Folder]
    stopped: Sequence[str] = ()
    """Components that do not work just now."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The answer."""

    state: State
    text: str
    reasons: tuple[Reason, ...]


_A_PERSON_MUST = ("no_server", "needs_login", "not_allowed", "server_untrusted", "receipt_key_changed", "host_shared")


def summary(now: Standing) -> Summary:
    """Return how it stands."""
    if not now.folders:
        return Summary(State.NOTHING_WATCHED, "No folder is watched yet.", ())
    needs_you, blocked, working = _for_a_person(now), _outside(now), _by_itself(now)
    reasons = (*needs_you, *blocked, *working)
    if needs_you:
        state = State.NEEDS_YOU
    elif now.obstacle == PAUSED:
        state = State.PAUSED
    elif blocked:
        state = State.BLOCKED
    else:
        state = State.WORKING if working else State.UP_TO_DATE
    if not reasons:
        return Summary(state, f"All {now.files:,} files are stored.", ())
    return Summary(state, f"{now.stored:,} of {now.files:,} files are stored; {reasons[0].text}.", reasons)


def _for_a_person(now: Standing) -> list[Reason]:
    found = [
        Reason("does_not_add_up", f"{abs(each.difference)} names in {each.path} are not accounted for")
        for each in now.folders
        if each.difference
    ]
    if now.held_deletions:
        found.append(Reason("deletions_held", f"{now.held_deletions} deletions wait for your word"))
    found += [Reason("unhealthy", f"{each.path}: {each.reason}") for each in now.folders if each.status == "unhealthy"]
    if now.obstacle in _A_PERSON_MUST:
        found.append(Reason(now.obstacle, f"nothing can be sent: {now.obstacle}"))
    found += [
        Reason("unread", f"{each.unread_directories} folders in {each.path} cannot be read")
        for each in now.folders
        if each.unread_directories
    ]
    if now.parked:
        found.append(Reason("parked", f"{now.parked} files cannot be stored as they are"))
    if now.held:
        found.append(Reason("held", f"you hold {now.held} files"))
    return found


def _outside(now: Standing) -> list[Reason]:
    if now.obstacle is None or now.obstacle in _A_PERSON_MUST:
        return []
    text = "you paused it" if now.obstacle == PAUSED else f"nothing can be sent now: {now.obstacle}"
    return [Reason(now.obstacle, text)]


def _by_itself(now: Standing) -> list[Reason]:
    found = [Reason("stopped", f"the {name} has stopped and is started again") for name in now.stopped]
    found += [Reason("behind", f"{each.path}: {each.reason}") for each in now.folders if each.status == "behind"]
    found += [
        Reason("not_scanned", f"{each.path} is being looked through") for each in now.folders if not each.is_scanned
    ]
    if now.to_compare:
        found.append(Reason("to_compare", f"{now.to_compare} folders are compared with what the server has"))
    going_on = now.to_do - now.parked - now.held - now.held_deletions
    if going_on > 0:
        found.append(Reason("pending", f"{going_on} are in line"))
    return found
