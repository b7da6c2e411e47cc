"""Whether compressed bodies arrive on a way. A proxy may break them; then they must not be sent again and again."""

import logging

from pp_assist.clock import Clock
from pp_assist.core.errors import AssistError, DamagedOnItsWay, Refused, ServerNonsense, TooLarge

log = logging.getLogger(__name__)

PLAIN_MS = 3_600_000
"""So long bodies go as they are, before it is tried again."""


class Plainly:
    """Notes what became of bodies on one way: the compressed ones, and those that were sent as they are instead."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until_ms = 0
        self._suspicion: str | None = None
        self._is_proven = False

    @property
    def is_on(self) -> bool:
        """Whether everything is sent as it is for now."""
        return self._clock.mono_ms() < self._until_ms

    @property
    def reason(self) -> str | None:
        """Why that is so, once it is certain; None: it is not."""
        return self._suspicion if self.is_on and self._is_proven else None

    def may_help(self, error: AssistError) -> bool:
        """Say whether a compressed body that failed like this may arrive as it is; then everything goes so for now."""
        if not _is_about_the_body(error):
            return False
        if not self.is_on:
            self._suspicion, self._is_proven = str(error), False
        self._until_ms = self._clock.mono_ms() + PLAIN_MS
        return True

    def helped(self) -> None:
        """What failed compressed arrived as it is."""
        if not self._is_proven:
            self._is_proven = True
            log.warning("what is compressed does not arrive as it is sent, so it is sent as it is: %s", self._suspicion)

    def did_not_help(self, error: AssistError) -> None:
        """What failed compressed failed as it is, too: if in the same way, that compression is not to blame."""
        if _is_about_the_body(error) and not self._is_proven:
            self._until_ms = 0


def _is_about_the_body(error: AssistError) -> bool:
    return isinstance(error, DamagedOnItsWay | ServerNonsense | Refused) and not isinstance(error, TooLarge)
