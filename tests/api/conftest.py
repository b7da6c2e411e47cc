"""The local API of a real daemon, asked in process."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from asking import PORT, Api

from pp_assist.api.app import create_app
from pp_assist.daemon import build, services_of
from pp_assist.settings import Settings
from pp_assist.state import open_state
from pp_assist.supervisor import Supervisor
from pp_assist.uploader.way import Host


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    folder = tmp_path / "files"
    folder.mkdir()
    settings = Settings(
        state_dir=str(tmp_path / "state"), scanner={"use_filesystem_events": False, "quiet_seconds": 0.0}
    )
    with contextlib.closing(open_state(settings.state_dir)) as state:
        host = Host(state.host_id, "laptop")
        async with build(settings, state.database, host, (os.fsencode(state.path),)) as daemon:
            stages = Supervisor(daemon.stages)
            services = services_of(daemon, state, os.path.join(state.path, "pp_assist.toml"), stages)
            stop = asyncio.Event()
            running = asyncio.create_task(stages.run_until(stop))
            try:
                yield Api(create_app(services, state.token, lambda: PORT), daemon, state.token, folder)
            finally:
                stop.set()
                await running
