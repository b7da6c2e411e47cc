"""Huge files are in nobody's way, neither where files are hashed nor where they are sent."""

import os
from pathlib import Path

from pair import Pair, noise, write

from pp_assist.core.model import HUGE_BYTES, FileState


def sparse(path: Path, number: int) -> None:
    """Make a file of the size from which on it counts as huge, with next to nothing in it."""
    with path.open("wb") as file:
        file.truncate(HUGE_BYTES)
        file.write(b"%d" % number)


HASHED_S = 240.0
"""For GiB to be hashed here and there by a processor that has no instructions for it, and other things to do."""


async def test_files_found_later_are_stored_before_the_last_huge_one(pair: Pair) -> None:
    for number in range(3):
        sparse(pair.tree / f"huge-{number}", number)
    await pair.scan()
    write(pair.tree / "small", noise(1000, 1))
    write(pair.tree / "large", noise(300_000, 2))
    await pair.scan()
    assert pair.daemon
    is_stored = FileState.COMPLETED, FileState.UNCHANGED
    await pair.until(lambda counts: sum(counts.files[state] for state in is_stored) == 5, HASHED_S)
    rows = await pair.daemon.db.rows("SELECT name FROM files ORDER BY stored_sequence")
    order = [os.fsdecode(row[0]) for row in rows]
    assert order.index("small") < 4
    assert order.index("large") < 4
    assert len(order) == 5
