"""A few seeds of the random walk; `make prove-walk` walks for longer."""

from pathlib import Path

import pytest
from walk import walk


@pytest.mark.parametrize("seed", range(101, 107))
async def test_whatever_happens_everything_agrees_in_the_end(tmp_path: Path, seed: int) -> None:
    await walk(seed, tmp_path)
