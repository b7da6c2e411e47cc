"""The time, as an argument: tests bring their own."""

import sys
import time


class Clock:
    """Wall time for what people see and what files carry; monotonic time for waiting."""

    def now_ms(self) -> int:
        """Return milliseconds since 1970, UTC."""
        return time.time_ns() // 1_000_000

    def mono_ms(self) -> int:
        """Return milliseconds since some moment; never goes back."""
        return time.monotonic_ns() // 1_000_000

    def asleep_ms(self) -> int:
        """Return a number that jumps by the time for which the machine was asleep, and does not change otherwise.

        Where the system does not count that, setting the clock makes it jump, too.
        """
        if sys.platform == "linux":
            return (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()) // 1_000_000
        return self.now_ms() - self.mono_ms()
