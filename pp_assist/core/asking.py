"""Whether it pays to ask a server which contents it has, before they are sent to it. Pure.

To ask costs a request, and both sides a look at each digest; not to ask costs sending what is there already, which is
stored only once all the same. While one batch after the other has nothing that the server has, and each is there in no
time, only now and then one is asked about. One that has something changes that.
"""

from dataclasses import dataclass

NEWS = 2000
"""Contents in a row that the server did not have, after which the next ones are likely to be news, too."""

ONE_IN = 8
"""Batches that are asked about all the same."""

FAST_BYTES_PER_S = 8e6
"""A way that takes less than half a second for a batch."""

BREAK_MS = 2_000
"""After a break what comes next has nothing to do with what came before."""


@dataclass(slots=True)
class Asking:
    """What the last answers of one server have taught."""

    _news: int = 0
    _unasked: int = 0
    _is_fast: bool = False
    _last_ms: int = 0

    def is_due(self, now_ms: int) -> bool:
        """Say whether to ask about the next batch."""
        if now_ms - self._last_ms > BREAK_MS:
            self._news = 0
        self._last_ms = now_ms
        if self._is_fast and self._news >= NEWS and self._unasked < ONE_IN - 1:
            self._unasked += 1
            return False
        self._unasked = 0
        return True

    def answered(self, asked: int, held: int) -> None:
        """Note that the server has *held* of the contents that were *asked* about."""
        self._news = 0 if held else self._news + asked

    def travelled(self, sent_bytes: int, took_ms: int, now_ms: int) -> None:
        """Note how long a batch took, from its first byte to its receipts."""
        self._last_ms = now_ms
        self._is_fast = sent_bytes >= FAST_BYTES_PER_S * max(took_ms, 1) / 1000
