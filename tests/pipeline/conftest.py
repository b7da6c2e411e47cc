"""Fixtures: a server and a daemon that run."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pair import Pair, running_pair

from pp_assist import supervisor
from pp_assist.core import backoff


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same backoff, fifty times faster."""
    monkeypatch.setattr(backoff, "FIRST_DELAY_S", 0.02)
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_S", 0.02)


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    async with running_pair(tmp_path) as started:
        yield started
