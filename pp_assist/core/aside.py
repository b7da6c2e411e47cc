"""What a person does with single files that are in line: the words, as they are written down and told."""

from enum import StrEnum

HELD_BY_PERSON = "held_by_person"
"""Why a row is held that must neither be hashed nor sent until a person releases it, whatever becomes of the file."""

CANCELLED = "cancelled"
"""Why a row is parked whose file must not be stored as it is now: until it changes, or a person asks for it again."""


class Steer(StrEnum):
    """What is done with them."""

    BUMP = "bump"  # to the front of the line
    HOLD = "hold"
    RELEASE = "release"
    RETRY = "retry"  # now, what failed, was parked or was cancelled
    CANCEL = "cancel"
