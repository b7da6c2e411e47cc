"""Announcements that wait until they were taken: durable, each sent again as the very same bytes. Blocking."""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pp_assist.sftp.ledger import Ledger, now_ms

FIRST_PAUSE_MS = 1000
LONGEST_PAUSE_MS = 3_600_000


class Message(NamedTuple):
    """One announcement."""

    id: str
    url: str
    secret: str
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

    def due(self, source: str | None = None, at_ms: int | None = None) -> list[Message]:
        """Return what is to be sent now, oldest first."""
        rows = self._ledger.rows(
            "SELECT id, url, secret, body, attempts FROM outbox WHERE sent_at_ms IS NULL AND eligible_at_ms <= ?1"
            " AND (?2 IS NULL OR source = ?2) ORDER BY rowid",
            (now_ms() if at_ms is None else at_ms, source),
        )
        return [Message(*row) for row in rows]

    def deliver(self, post: Post, source: str | None = None) -> tuple[int, int]:
        """Send what is due; return how many were taken, and not taken. After three in a row that were not, stop."""
        taken = refused = in_a_row = 0
        for message in self.due(source):
            try:
                post(message)
            except NotTaken as error:
                refused, in_a_row = refused + 1, in_a_row + 1
                self._again(message, str(error))
                if in_a_row == 3:
                    break
            else:
                taken, in_a_row = taken + 1, 0
                self._sent(message)
        return taken, refused

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
