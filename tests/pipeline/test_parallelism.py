"""How many files are hashed and sent at a time can be changed while they are."""

import asyncio
import threading
from pathlib import Path

import httpx
import pytest
from pair import DEADLINE_S, Pair, noise, running_pair, write

from pp_assist import posix
from pp_assist.steering.places import Places

LARGE = 300_000


async def test_places_come_and_go() -> None:
    places, leave, inside = Places(1), asyncio.Event(), []

    async def work() -> None:
        async with places:
            inside.append(1)
            await leave.wait()
            inside.pop()

    async def there(count: int) -> bool:
        for _ in range(10):
            await asyncio.sleep(0)
        return len(inside) == count

    tasks = [asyncio.create_task(work()) for _ in range(5)]
    assert await there(1)
    places.resize(3)
    assert await there(3)
    places.resize(1)
    assert await there(3)  # they finish first
    tasks[-1].cancel()  # one that waits
    leave.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await there(0)
    leave.clear()
    tasks = [asyncio.create_task(work()) for _ in range(2)]
    assert await there(1)
    leave.set()
    await asyncio.gather(*tasks)


class Gate(httpx.AsyncBaseTransport):
    """Lets nothing of a large file through while it is closed, and counts what waits."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.inner = inner
        self.open = asyncio.Event()
        self.waiting = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            self.waiting += 1
            await self.open.wait()
            self.waiting -= 1
        return await self.inner.handle_async_request(request)


def change(pair: Pair, section: str, **values: int) -> tuple[set[str], set[str]]:
    """Do as `POST /config` does."""
    assert pair.daemon
    now = pair.daemon.settings
    part = getattr(now, section).model_copy(update=values)
    return pair.daemon.apply(now.model_copy(update={section: part}))


async def test_files_sent_at_a_time(tmp_path: Path) -> None:
    async with running_pair(tmp_path) as pair:
        assert pair.weather.inner
        gate = pair.weather.inner = Gate(pair.weather.inner)
        assert change(pair, "uploader", parallel_uploads=2) == ({"uploader.parallel_uploads"}, set())
        for number in range(12):
            write(pair.tree / f"{number}", noise(LARGE, number))
        await pair.scan()

        async def until_waiting(count: int) -> None:
            async with asyncio.timeout(DEADLINE_S):
                while gate.waiting != count:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
            assert gate.waiting == count

        await until_waiting(2)
        change(pair, "uploader", parallel_uploads=9)
        await until_waiting(9)
        change(pair, "uploader", parallel_uploads=1)
        gate.open.set()
        await asyncio.sleep(0)
        gate.open.clear()
        await until_waiting(1)
        gate.open.set()
        await pair.assert_equal()


async def test_files_hashed_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, opened = threading.Event(), posix.open_file

    def open_file(directory_fd: int, name: bytes) -> int:
        assert go_on.wait(DEADLINE_S)
        return opened(directory_fd, name)

    async with running_pair(tmp_path) as pair:
        assert pair.daemon
        hashing = pair.daemon.checksums.stats
        monkeypatch.setattr(posix, "open_file", open_file)
        at_once = {"checksum_calculator.parallel_workers"}
        assert change(pair, "checksum_calculator", parallel_workers=1) == (at_once, set())

        async def until_hashing(count: int, name: str) -> None:
            write(pair.tree / name, name)
            await pair.scan()
            async with asyncio.timeout(DEADLINE_S):
                while hashing.active_workers < count:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
            assert hashing.active_workers == count

        await until_hashing(1, "a")
        await until_hashing(1, "b")
        change(pair, "checksum_calculator", parallel_workers=3)
        await until_hashing(3, "c")
        await until_hashing(3, "d")
        go_on.set()
        await pair.assert_equal()
