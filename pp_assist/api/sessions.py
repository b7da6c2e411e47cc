"""How a page gets in: a one-time ticket, handed out to whoever has the token, becomes a session cookie."""

import hmac
import secrets
from collections.abc import Callable

TICKET_S = 60.0
SESSION_S = 12 * 3600.0
MOST = 64
"""Tickets, and sessions: where there are more, the oldest go."""


class Sessions:
    """Tickets and sessions, in memory only: the next start knows none of them. Times (in ms) come from *now_ms*."""

    def __init__(self, instance: str, now_ms: Callable[[], int]) -> None:
        self.cookie = f"pp_assist_{instance}"
        """Its name: other daemons on this machine share our host name, and its cookies."""
        self._now_ms = now_ms
        self._tickets: dict[str, int] = {}
        self._sessions: dict[str, int] = {}

    def ticket(self) -> str:
        """Return a ticket that lets one page in, within a minute."""
        return self._issue(self._tickets, TICKET_S)

    def enter(self, ticket: str) -> str | None:
        """Return the value of the cookie for whoever shows *ticket*; None where it is no good (any more)."""
        known = self._known(self._tickets, ticket)
        if known is None:
            return None
        del self._tickets[known]
        return self._issue(self._sessions, SESSION_S)

    def knows(self, value: str) -> bool:
        """Say whether *value* is that of a session's cookie."""
        return self._known(self._sessions, value) is not None

    def leave(self, value: str) -> None:
        """Let *value* be the cookie of no session any more."""
        known = self._known(self._sessions, value)
        if known is not None:
            del self._sessions[known]

    def _issue(self, kind: dict[str, int], life_s: float) -> str:
        made = secrets.token_urlsafe(32)
        kind[made] = self._now_ms() + int(life_s * 1000)
        while len(kind) > MOST:
            del kind[next(iter(kind))]
        return made

    def _known(self, kind: dict[str, int], value: str) -> str | None:
        now_ms = self._now_ms()
        for each in [each for each, until_ms in kind.items() if until_ms <= now_ms]:
            del kind[each]
        return next((each for each in kind if hmac.compare_digest(each.encode(), value.encode())), None)
