"""A real database on a temporary path."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pp_assist.store.db import Database, open_database


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "assist.db")


@pytest.fixture
async def db(path: str) -> AsyncIterator[Database]:
    async with open_database(path) as database:
        yield database
