"""The local API of a real daemon, asked in process."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from asking import Api, running_api


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path, use_filesystem_events=False, quiet_seconds=0.0) as running:
        yield running
