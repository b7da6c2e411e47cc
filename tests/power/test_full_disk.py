"""A disk that is filled to the last byte under a running server, and emptied again."""

import asyncio
import hashlib
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


async def test_below_the_reserve_what_has_arrived_is_completed_and_space_is_noticed(
    tmp_path: Path, disk: LoopDisk
) -> None:
    """5 % of this disk are kept: nothing new may use them, everything else may."""
    server = Server(tmp_path)
    server.use_data(disk.mount / "data")
    with closing(server):
        server.start()
        key = {"Authorization": f"Bearer {server.key}"}
        async with httpx.AsyncClient(base_url=server.url, headers=key, timeout=30, trust_env=False) as http:
            arrived, data = await begun(http, "/arrived"), contents(2, MIB)
            assert (await http.put(f"{arrived}/chunk/0", content=data)).status_code == 200
            ballast = disk.mount / "ballast"
            free = os.statvfs(disk.mount).f_bavail * os.statvfs(disk.mount).f_frsize
            with open(ballast, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, free - MIB)
            await eventually(http, 507)
            assert (await http.post(f"{arrived}/complete")).status_code == 200
            listed = (await http.get("/api/files")).json()["files"]
            [digest] = [file["sha256"] for file in listed if file["filepath"] == "/arrived"]
            assert (await http.get(f"/api/files/{digest}/content")).content == data
            assert (await http.delete(f"/api/files/{digest}")).status_code == 200
            ballast.unlink()
            await eventually(http, 201)
        assert server.stop() == 0


async def begun(http: httpx.AsyncClient, path: str) -> str:
    wanted = {"filepath": path, "hostname": "full", "sha256": hashlib.sha256(contents(2, MIB)).hexdigest()}
    answer = await http.post("/api/uploads/initiate", json={**wanted, "file_size": MIB, "max_chunk_size": MIB})
    assert answer.status_code == 201, answer.text
    return f"/api/uploads/{answer.json()['upload_id']}"


async def eventually(http: httpx.AsyncClient, status: int) -> None:
    """Ask until that is the answer to something new: the disk is not looked at for every request."""
    async with asyncio.timeout(20):
        while True:
            answer = await http.post(
                "/api/uploads/initiate", json={"filepath": "/new", "hostname": "full", "file_size": 10}
            )
            if answer.status_code == status:
                return
            await asyncio.sleep(0.1)
