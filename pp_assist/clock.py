"""The time, as an argument: tests bring their own."""

import time


class Clock:
    """Wall time for what people see and what files carry; monotonic time for waiting."""

    def now_ms(self) -> int:
        """Return milliseconds since 1970, UTC."""
        return time.time_ns() // 1_000_000

    def mono_ms(self) -> int:
        """Return milliseconds since some moment; never goes back."""
        return time.monotonic_ns() // 1_000_000
