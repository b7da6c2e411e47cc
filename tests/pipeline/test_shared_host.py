"""A state directory was copied, and both daemons run: one of them finds out, and nothing of the other is deleted."""

import asyncio
import shutil
from pathlib import Path

import pytest
from pair import DEADLINE_S, Pair, write

from pp_assist.uploader import link


async def greeted(pair: Pair) -> None:
    """Wait until the daemon has asked the server who it is, once more."""
    before = pair.asked("/api/hosts")
    async with asyncio.timeout(DEADLINE_S):
        while pair.asked("/api/hosts") == before:
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "GREET_AGAIN_MS", 0)


async def test_the_younger_of_two_daemons_finds_out(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    one = Pair(tmp_path / "one")
    try:
        await one.start_server()
        write(one.tree / "a", "x")
        await one.start_daemon()
        await one.assert_equal()
        await one.stop_daemon()
        shutil.copytree(tmp_path / "one", tmp_path / "two")
        two = Pair(tmp_path / "two")
        two.api_key, two.weather.inner = one.api_key, one.weather.inner
        await one.start_daemon()
        assert one.daemon
        await greeted(one)
        await two.start_daemon()
        assert two.daemon
        for number in range(20):
            for pair in (one, two):
                write(pair.tree / f"{number}", "x")
                await pair.scan()
                if pair.daemon and not pair.daemon.link.host_shared.is_set():
                    await greeted(pair)
            if two.daemon.link.host_shared.is_set():
                break
        assert two.daemon.link.host_shared.is_set()
        assert not one.daemon.link.host_shared.is_set()
        assert two.daemon.link.reason == "host_shared"
    finally:
        await one.stop_daemon()
        await two.stop_daemon()
        await one.stop_server()
