"""One server's health as seen from here: closed (send), open (wait), half open (let one try)."""

from pp_assist.core.backoff import delay_ms

FAILURES_THAT_OPEN = 3
LONGEST_OPEN_S = 30.0


class Breaker:
    """Counts consecutive server-wide failures, and says until when to leave the server alone.

    Pure: times (monotonic, in ms) and jitter are arguments. One success closes it.
    """

    def __init__(self) -> None:
        self.failures = 0
        self.open_until_ms = 0
        self.reason: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether the server counts as in trouble, even if it is time to try it again."""
        return self.reason is not None

    def succeeded(self) -> None:
        """Close: the server works."""
        self.failures, self.open_until_ms, self.reason = 0, 0, None

    def failed(
        self, now_ms: int, reason: str, jitter: float, certain: bool, retry_after_s: float | None = None
    ) -> None:
        """Note a failure; *certain* ones (nobody answers) open at once, others (a 500) at the third in a row."""
        if now_ms < self.open_until_ms:
            return  # a request that was under way when it opened tells us nothing new
        self.failures += 1
        if certain or self.failures >= FAILURES_THAT_OPEN:
            self.reason = reason
            wait_ms = delay_ms(min(self.failures, 8), jitter, retry_after_s, longest_s=LONGEST_OPEN_S)
            self.open_until_ms = now_ms + wait_ms

    def wait_ms(self, now_ms: int) -> int:
        """Return how long to leave the server alone; 0 means try."""
        return max(0, self.open_until_ms - now_ms)
