"""How long to wait after a failure."""

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 3600.0


def delay_ms(
    attempts: int, jitter: float, retry_after_s: float | None = None, longest_s: float = LONGEST_DELAY_S
) -> int:
    """Return the wait in ms before attempt number *attempts* + 1: exponential with full jitter.

    *jitter* is a random number in [0, 1). A server's *retry_after_s* is a lower bound; it is believed up to an hour.
    ("Full jitter": M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015. Half of the delay is
    kept fixed, so that a lucky draw does not become a hot loop.)
    """
    ceiling = min(longest_s, FIRST_DELAY_S * 2 ** min(attempts, 20))
    delay_s = ceiling * (0.5 + 0.5 * jitter)
    if retry_after_s is not None:
        delay_s = max(delay_s, min(retry_after_s, LONGEST_DELAY_S))
    return int(delay_s * 1000)
