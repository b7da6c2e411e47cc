"""The daemon, and somebody in it who tells much: `python -m tests.e2e.telling COUNT RATE`, then what `pp_assist` takes.

On SIGUSR1, COUNT uploads are told of, RATE a second, by the way that everything is told: files that are named
/told/0, /told/1 and so on. To store as many for real would take the machine longer than to tell of it.
"""

import asyncio
import signal
import sys
import time
from typing import Any

from pp_assist import cli, daemon, run
from pp_assist.activity.bus import Bus
from pp_assist.core.events import Event

EVERY_S = 0.01


async def tell(bus: Bus, count: int, rate: float) -> None:
    """Tell, as evenly as the loop has time for it: who comes late tells more at a time, but never a second's worth."""
    told, last = 0, time.monotonic()
    while told < count:
        await asyncio.sleep(EVERY_S)
        now = time.monotonic()
        for number in range(told, min(count, told + int(min(1.0, now - last) * rate) + 1)):
            bus.tell(Event.UPLOAD_COMPLETE, b"/told/%d" % number, sha256="0" * 64)
            told = number + 1
        last = now


def main() -> None:
    """Run the command, and tell once it is asked for."""
    count, rate, real, buses, telling = int(sys.argv[1]), float(sys.argv[2]), run.run, list[Bus](), list[Any]()

    class Heard(Bus):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            buses.append(self)

    async def heard(*args: Any) -> None:
        def begin() -> None:
            telling.append(asyncio.create_task(tell(buses[-1], count, rate)))

        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, begin)
        await real(*args)

    daemon.Bus = Heard  # type: ignore[misc]
    run.run = heard  # type: ignore[assignment]
    cli.main(sys.argv[3:])


if __name__ == "__main__":
    main()
