"""Announcements that wait until they were taken: durable, each sent again as the very same bytes. Blocking."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pp_assist.sftp.ledger import Ledger, now_ms

FIRST_PAUSE_MS = 1000
LONGEST_PAUSE_MS = 3_600_000
AT_A_TIME = 100
IN_A_ROW = 3
"""So many that an API does not take, one after the other, and it is left alone until the next time."""


@dataclass(frozen=True, slots=True)
class Message:
    """One announcement."""

    id: str
    url: str
    secret: str = field(repr=False)
    body: bytes
    attempts: int


Post = Callable[[Message], None]
"""Sends it; raises `NotTaken`."""


class NotTaken(Exception):
    """The API did not take it; the message says why."""


class Outbox:
    """The announcements of all sources in a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def add(self, source: str, arrivals: Sequence[str], message: Message) -> None:
        """Write an announcement down, together with what it is about: both or neither."""
        with self._ledger.transaction() as tx:
            tx.execute(
                "INSERT INTO outbox (id, source, url, secret, body, created_at_ms, eligible_at_ms)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (message.id, source, message.url, message.secret, message.body, now_ms(), now_ms()),
            )
            tx.executemany("UPDATE arrivals SET batch = ? WHERE id = ?", [(message.id, each) for each in arrivals])

    def due(self, url: str, source: str | None = None) -> list[Message]:
        """Return what is to be sent to an API now, oldest first: so many as are sent at a time."""
        rows = self._ledger.rows(
            "SELECT id, url, secret, body, attempts FROM outbox WHERE sent_at_ms IS NULL AND eligible_at_ms <= ?1"
            " AND url = ?2 AND (?3 IS NULL OR source = ?3) ORDER BY rowid LIMIT ?4",
            (now_ms(), url, source, AT_A_TIME),
        )
        return [Message(*row) for row in rows]

    def deliver(self, post: Post, source: str | None = None) -> tuple[int, int]:
        """Send what is due; return how many were taken, and not taken. An API that is down holds up no other one."""
        taken = refused = 0
        for url in self._addressees(source):
            in_a_row = 0
            while in_a_row < IN_A_ROW and (messages := self.due(url, source)):
                for message in messages:
                    try:
                        post(message)
                    except NotTaken as error:
                        refused, in_a_row = refused + 1, in_a_row + 1
                        self._again(message, str(error))
                        if in_a_row == IN_A_ROW:
                            break
                    else:
                        taken, in_a_row = taken + 1, 0
                        self._sent(message)
        return taken, refused

    def _addressees(self, source: str | None) -> list[str]:
        """Return the APIs for which something is due."""
        rows = self._ledger.rows(
            "SELECT DISTINCT url FROM outbox WHERE sent_at_ms IS NULL AND eligible_at_ms <= ?1"
            " AND (?2 IS NULL OR source = ?2)",
            (now_ms(), source),
        )
        return [str(row[0]) for row in rows]

    def waiting(self, source: str) -> tuple[int, str | None]:
        """Return how many wait, and what is in the way of the last that failed."""
        ((count, problem),) = self._ledger.rows(
            "SELECT COUNT(*), (SELECT problem FROM outbox WHERE sent_at_ms IS NULL AND source = ?1"
            " AND problem IS NOT NULL ORDER BY eligible_at_ms DESC LIMIT 1)"
            " FROM outbox WHERE sent_at_ms IS NULL AND source = ?1",
            (source,),
        )
        return count, problem

    def _sent(self, message: Message) -> None:
        with self._ledger.transaction() as tx:
            tx.execute(
                "UPDATE outbox SET sent_at_ms = ?, attempts = attempts + 1, problem = NULL WHERE id = ?",
                (now_ms(), message.id),
            )

    def _again(self, message: Message, problem: str) -> None:
        pause_ms = min(FIRST_PAUSE_MS << min(message.attempts, 12), LONGEST_PAUSE_MS)
        later = now_ms() + pause_ms // 2 + random.randrange(pause_ms // 2)  # noqa: S311 - spread, not secret
        with self._ledger.transaction() as tx:
            tx.execute(
                "UPDATE outbox SET attempts = attempts + 1, eligible_at_ms = ?, problem = ? WHERE id = ?",
                (later, problem, message.id),
            )
