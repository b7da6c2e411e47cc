"""A disk that is filled to the last byte under a running server, and emptied again."""

import os
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.e2e.harness import MIB, Server
from tests.oracle.customer import Customer, contents, verify
from tests.oracle.oracle import Oracle
from tests.power.loopdisk import LoopDisk, why_not

pytestmark = pytest.mark.root

LARGE = 4 * MIB


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[LoopDisk]:
    if reason := why_not():
        pytest.skip(reason)
    with closing(LoopDisk(tmp_path, mib=48)) as made:
        yield made


def fill(disk: LoopDisk) -> Path:
    """Leave no byte free."""
    ballast = disk.mount / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        for size in (MIB, 4096, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue
        os.fsync(file.fileno())
    return ballast


async def test_a_full_disk_takes_nothing_loses_nothing_and_works_again(tmp_path: Path, disk: LoopDisk) -> None:
    server = Server(tmp_path)
    server.use_data(disk.mount / "data")
    with closing(server), closing(Oracle(tmp_path / "oracle.jsonl")) as oracle:
        server.start()
        key = {"Authorization": f"Bearer {server.key}"}
        async with httpx.AsyncClient(base_url=server.url, headers=key, timeout=30, trust_env=False) as http:
            customer = Customer(http, oracle, "host", random.Random(1), lambda: False)
            await work(customer)
            for _ in range(2):
                ballast = fill(disk)
                await refused(http)
                await verify(http, oracle)
                assert not list((server.data / "staging").iterdir()), "no trace of what was refused"
                ballast.unlink()
                await work(customer)
                await verify(http, oracle)
        ballast = fill(disk)
        server.kill()
        ballast.unlink()
        server.start()
        async with httpx.AsyncClient(base_url=server.url, headers=key, timeout=30, trust_env=False) as http:
            await verify(http, oracle)
        assert server.stop() == 0


async def work(customer: Customer) -> None:
    for _ in range(10):
        await customer.act()


async def refused(http: httpx.AsyncClient) -> None:
    """Try until it has been said that the disk is full, at whatever step; a session may still fit into the database."""
    data = contents(1, LARGE)
    for n in range(3):
        begun = await http.post(
            "/api/uploads/initiate",
            json={"filepath": f"/full/{n}", "hostname": "full", "file_size": LARGE, "max_chunk_size": LARGE},
        )
        if begun.status_code != 201:
            assert (begun.status_code, begun.json()["code"]) == (507, "storage_full")
            return
        url = f"/api/uploads/{begun.json()['upload_id']}"
        answer = await http.put(f"{url}/chunk/0", content=data)
        assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
        assert int(answer.headers["Retry-After"]) > 0
