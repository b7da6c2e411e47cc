"""The daemon with a stopwatch on its event loop: `python -m tests.scale.probed FILE` and then what `pp_assist` takes.

Every 10 ms a task wants its turn; how late it gets it is written to FILE, one line each: when (monotonic seconds), how
late (milliseconds), and how long the loop's thread was computing meanwhile (milliseconds): others on the machine, who
make us late, do not count in that.
"""

import asyncio
import sys
import time
from typing import Any

from pp_assist import cli, run

EVERY_S = 0.01


async def watch(path: str) -> None:
    """Write lags until cancelled."""
    with open(path, "w", buffering=1 << 12) as file:
        while True:
            before, computed = time.monotonic(), time.thread_time()
            await asyncio.sleep(EVERY_S)
            now, computing = time.monotonic(), time.thread_time() - computed
            file.write(f"{now:.4f} {max(0.0, now - before - EVERY_S) * 1000:.2f} {computing * 1000:.2f}\n")


def main() -> None:
    """Run the command with the stopwatch beside it."""
    path, real = sys.argv[1], run.run

    async def watched(*args: Any) -> None:
        watching = asyncio.create_task(watch(path))
        try:
            await real(*args)
        finally:
            watching.cancel()

    run.run = watched  # type: ignore[assignment]
    cli.main(sys.argv[2:])


if __name__ == "__main__":
    main()
