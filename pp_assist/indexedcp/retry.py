"""When to try again, and what is noted about an attempt that failed. Pure."""

from collections.abc import Callable
from typing import Any

RetryStrategy = str | Callable[[int], float]
"""``exponential``, ``linear``, or a function from the number of failures to the seconds to wait."""

ERRORS_KEPT = 5


def delay_s(strategy: RetryStrategy, failures: int, initial: float, multiplier: float, longest: float) -> float:
    """Return the seconds to wait after failure number *failures*.

    Raises:
        ValueError: there is no such strategy.
    """
    if callable(strategy):
        return max(0.0, min(float(strategy(failures)), longest))
    if strategy == "exponential":
        return float(min(initial * multiplier ** min(failures - 1, 60), longest))
    if strategy == "linear":
        return min(initial * failures, longest)
    raise ValueError(f"Unknown retry_strategy: {strategy!r} (exponential, linear, or a callable)")


def fresh(now_ms: int) -> dict[str, Any]:
    """Return the metadata of a chunk that was never tried."""
    return {"retryCount": 0, "lastAttempt": None, "nextRetry": now_ms, "errors": []}


def after_failure(metadata: dict[str, Any], now_ms: int, delay_ms: int, message: str) -> dict[str, Any]:
    """Return the metadata of a chunk after one more failure."""
    errors = [*metadata.get("errors", ()), {"timestamp": now_ms, "message": message}]
    return {
        "retryCount": metadata.get("retryCount", 0) + 1,
        "lastAttempt": now_ms,
        "nextRetry": now_ms + delay_ms,
        "errors": errors[-ERRORS_KEPT:],
    }
