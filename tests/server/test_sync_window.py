"""Staged bytes are synced now and then; once that failed, the file is never trusted, written or synced again."""

import asyncio
import os
from collections import Counter

import pytest
from serving import CHUNK, content, sha

from pp_server import staging
from pp_server.core.errors import SyncFailed
from pp_server.durable import Durable


class Disk(Durable):
    """Counts syncs per file, and fails the next one on request."""

    def __init__(self) -> None:
        super().__init__()
        self.synced: Counter[int] = Counter()
        self.fails = False
        self.lost: set[int] = set()
        self.kept: list[int] = []
        self.asked_again = False

    def datasync(self, fd: int) -> None:
        inode = os.fstat(fd).st_ino
        self.asked_again |= inode in self.lost
        self.synced[inode] += 1
        if self.fails:
            self.fails = False
            self.lost.add(inode)
            self.kept.append(os.dup(fd))  # else its number may soon be another file's
            raise SyncFailed("injected")
        super().datasync(fd)

    def check(self) -> None:
        """One file was lost, and nobody asked again for it."""
        for fd in self.kept:
            os.close(fd)
        assert len(self.lost) == 1
        assert not self.asked_again

    def sync(self, fd: int) -> None:
        self.asked_again |= os.fstat(fd).st_ino in self.lost
        super().sync(fd)


@pytest.mark.parametrize(
    ("window_bytes", "window_s", "syncs"), [(3 * CHUNK, 3600, 2), (1 << 30, 0, 7), (1 << 30, 3600, 0)]
)
async def test_a_write_syncs_what_has_become_too_much_or_too_old(
    running, monkeypatch: pytest.MonkeyPatch, window_bytes: int, window_s: float, syncs: int
) -> None:
    monkeypatch.setattr(staging, "SYNC_BYTES", window_bytes)
    monkeypatch.setattr(staging, "SYNC_SECONDS", window_s)
    disk, data = Disk(), content(7 * CHUNK)
    async with running(disk) as server:
        client = await server.client()
        upload_id = await client.begin("/a", data)
        await client.send(upload_id, data)
        assert disk.synced.total() == syncs
        assert (await client.complete(upload_id)).status_code == 200


async def test_a_failed_sync_loses_all_chunks_and_the_file(running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "SYNC_BYTES", 3 * CHUNK)
    disk, data = Disk(), content(7 * CHUNK)
    async with running(disk) as server:
        client = await server.client()
        upload_id = await client.begin("/a", data)
        for n in (0, 1):
            assert (await client.put(upload_id, n, data[n * CHUNK : (n + 1) * CHUNK])).status_code == 200
        disk.fails = True
        answer = await client.put(upload_id, 2, data[2 * CHUNK : 3 * CHUNK])
        assert (answer.status_code, answer.json()["code"]) == (503, "storage_failed")
        assert answer.headers["retry-after"]
        assert server.staged() == []
        assert (await client.http.get(f"/api/uploads/{upload_id}")).json()["missing"] == [[0, 6]]
        assert (await client.complete(upload_id)).json()["missing"] == [[0, 6]]
        await client.send(upload_id, data)
        assert (await client.complete(upload_id)).status_code == 200
        assert (await client.download(sha(data))).content == data
        disk.check()


async def test_nothing_of_a_lost_file_counts_although_many_write_at_once(
    running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "SYNC_BYTES", 9 * CHUNK)
    disk, data = Disk(), content(40 * CHUNK)
    async with running(disk) as server:
        client = await server.client()
        upload_id = await client.begin("/a", data)

        async def send(n: int) -> None:
            while (await client.put(upload_id, n, data[n * CHUNK : (n + 1) * CHUNK])).status_code != 200:
                await asyncio.sleep(0.01)

        disk.fails = True
        await asyncio.gather(*(send(n) for n in range(40)))
        answer = await client.complete(upload_id)
        assert (answer.status_code, answer.json()["code"]) == (400, "not_all_chunks_uploaded")
        for first, last in answer.json()["missing"]:
            for n in range(first, last + 1):
                await send(n)
        assert (await client.complete(upload_id)).status_code == 200
        assert (await client.download(sha(data))).content == data
        disk.check()
