"""A server that stands alone, on the folder of a test."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from chunk_sender import KEY, Asking, Serving

from pp_server.indexedcp import IndexedCPServer


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Serving]:
    """A function that makes a server on this test's folder; again: the same folder after a restart."""
    asking: list[Asking] = []

    def make(**options: Any) -> Asking:
        for before in asking:
            before.server.close()
        options = {"upload_dir": tmp_path / "uploads", "api_keys": [KEY, "other-key"]} | options
        asking.append(Asking(IndexedCPServer(**options), options.pop("key", KEY)))
        return asking[-1]

    yield make
    for each in asking:
        await each.http.aclose()
        each.server.close()
        each.server._executor.shutdown()
