"""Disks that fail, fill up or forget: nothing wrong is served, and everything can go on."""

import errno
import os
from pathlib import Path

import httpx
import pytest
from serving import CHUNK, Client, Server, content, sha

from pp_server.core.errors import DigestMismatch
from pp_server.durable import Durable, as_storage_error


class Failing(Durable):
    """Fails one kind of operation while told to."""

    failing: str | None = None
    error = errno.EIO

    def step(self, name: str) -> None:
        if name == f"before {self.failing}":
            if self.failing == "commit":
                raise RuntimeError("disk I/O error")
            raise as_storage_error(OSError(self.error, "injected"))


def damage(path: Path, at: int = 0) -> None:
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


async def test_damaged_staging_bytes_become_missing(client: Client, server: Server) -> None:
    data = content(3 * CHUNK)
    upload_id = await client.begin("/a", data)
    await client.put(upload_id, 1, data[CHUNK : 2 * CHUNK])
    await client.put(upload_id, 2, data[2 * CHUNK :])
    damage(server.staged()[0], CHUNK + 3)  # it is read from the front: not yet
    await client.put(upload_id, 0, data[:CHUNK])
    answer = await client.complete(upload_id)
    assert (answer.status_code, answer.json()["missing"]) == (400, [[1, 1]])
    await client.put(upload_id, 1, data[CHUNK : 2 * CHUNK])
    assert (await client.complete(upload_id)).status_code == 200
    assert (await client.download(sha(data))).content == data


async def test_lost_staging_bytes_become_missing(client: Client, server: Server) -> None:
    data = content(3 * CHUNK)
    upload_id = await client.begin("/a", data)
    await client.send(upload_id, data)
    server.staged()[0].unlink()
    assert (await client.complete(upload_id)).json()["missing"] == [[0, 2]]
    await client.send(upload_id, data)
    assert (await client.complete(upload_id)).status_code == 200


@pytest.mark.parametrize("size", [100, 3 * 1024 * 1024])  # in a pack, in a file of its own
async def test_a_damaged_blob_is_never_served_whole_and_the_next_upload_heals_it(
    client: Client, server: Server, size: int
) -> None:
    data = content(size)
    await client.upload("/a", data, chunk_size=4 * 1024 * 1024) if size <= CHUNK else await big(client, data)
    await server.damage(sha(data), size - 1)
    received = b""
    try:
        async with client.http.stream("GET", f"/api/files/{sha(data)}/content") as answer:
            async for block in answer.aiter_bytes():
                received += block
    except httpx.HTTPError:
        pass
    assert len(received) < size
    assert not await server.holds(sha(data))
    assert len(list((server.data_dir / "quarantine").iterdir())) == 1
    assert (await client.download(sha(data))).status_code == 404
    again = (await client.initiate("/b", data)).json()
    assert again["missing"]
    await client.send(again["upload_id"], data)
    assert (await client.complete(again["upload_id"])).status_code == 200
    assert (await client.download(sha(data))).content == data


async def big(client: Client, data: bytes) -> None:
    upload_id = await client.begin("/a", data, chunk_size=4 * 1024 * 1024)
    assert (await client.put(upload_id, 0, data)).status_code == 200
    assert (await client.complete(upload_id)).status_code == 200


async def test_a_blob_of_its_own_can_be_read_only(server_of_files: Server) -> None:
    client = await server_of_files.client()
    await client.upload("/a", b"data")
    assert server_of_files.blob(sha(b"data")).stat().st_mode & 0o777 == 0o440


@pytest.mark.parametrize("storage", [{"pack_up_to_kb": 0}, {}])
async def test_a_truncated_blob_is_not_served(running, storage: dict[str, int]) -> None:
    async with running(storage=storage) as server:
        await truncated_blob(await server.client(), server)


async def truncated_blob(client: Client, server: Server) -> None:
    data = content(100)
    await client.upload("/a", data)
    blob, start = await server.place(sha(data))
    blob.chmod(0o600)
    with blob.open("r+b") as file:
        file.truncate(start + 50)
    assert (await client.download(sha(data))).status_code == 503
    assert (await client.download(sha(data))).status_code == 404


async def test_junk_under_a_digest_is_put_aside(server_of_files: Server) -> None:
    """A name without a row: another size, or the same size and other bytes."""
    server = server_of_files
    client = await server.client()
    for n, junk in enumerate((b"junk", content(100, 9))):
        data = content(100, n)
        blob = server.blob(sha(data))
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(junk)
        await client.upload(f"/{n}", data)
        assert (await client.download(sha(data))).content == data
    assert len(list((server.data_dir / "quarantine").iterdir())) == 2


@pytest.mark.parametrize(
    ("operation", "kb"),
    [("write", 0), ("sync", 0), ("link", 0), ("sync_dir", 0), ("mkdir", 0), ("write", 256), ("datasync", 256)],
)
@pytest.mark.parametrize(("error", "status"), [(errno.EIO, 503), (errno.ENOSPC, 507), (errno.EDQUOT, 507)])
async def test_a_failing_disk_acknowledges_nothing_and_recovers(
    running, operation: str, kb: int, error: int, status: int
) -> None:
    durable = Failing()
    async with running(durable, storage={"pack_up_to_kb": kb}) as server:
        client = await server.client()
        data = content(2 * CHUNK)
        upload_id = await client.begin("/a", data)
        durable.failing, durable.error = operation, error
        answers = [await client.put(upload_id, n, data[n * CHUNK : (n + 1) * CHUNK]) for n in range(2)]
        answers.append(await client.complete(upload_id))
        assert status in {answer.status_code for answer in answers}
        assert answers[-1].status_code != 200
        assert await client.listed() == []
        durable.failing = None
        again = (await client.initiate("/a", data)).json()
        assert again["upload_id"] == upload_id
        for first, last in again["missing"]:
            for n in range(first, last + 1):
                await client.put(upload_id, n, data[n * CHUNK : (n + 1) * CHUNK])
        assert (await client.complete(upload_id)).status_code == 200
        assert (await client.download(sha(data))).content == data


async def test_a_full_disk_leaves_no_trace(running) -> None:
    durable = Failing()
    async with running(durable) as server:
        client = await server.client()
        upload_id = await client.begin("/a", content(CHUNK))
        durable.failing, durable.error = "write", errno.ENOSPC
        answer = await client.put(upload_id, 0, content(CHUNK))
        assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
        assert server.staged() == []


async def test_after_a_failed_sync_all_chunks_are_sent_again(running) -> None:
    """What the file holds on disk is unknown then, and syncing it again would not tell."""

    class SyncFails(Durable):
        failing = False

        def sync(self, fd: int) -> None:
            if self.failing:
                os.close(os.dup(fd))
                from pp_server.core.errors import SyncFailed

                raise SyncFailed("injected")
            super().sync(fd)

    durable = SyncFails()
    async with running(durable, storage={"pack_up_to_kb": 0}) as server:
        client = await server.client()
        data = content(3 * CHUNK)
        upload_id = await client.begin("/a", data)
        await client.send(upload_id, data)
        durable.failing = True
        assert (await client.complete(upload_id)).json()["code"] == "storage_failed"
        durable.failing = False
        assert server.staged() == []
        assert (await client.complete(upload_id)).json()["missing"] == [[0, 2]]
        await client.send(upload_id, data)
        assert (await client.complete(upload_id)).status_code == 200


async def test_a_failed_commit_acknowledges_nothing_and_the_next_one_works(running) -> None:
    durable = Failing()
    async with running(durable) as server:
        client = await server.client()
        data = content(CHUNK)
        upload_id = await client.begin("/a", data)
        durable.failing = "commit"
        assert (await client.put(upload_id, 0, data)).status_code == 503
        durable.failing = None
        assert (await client.complete(upload_id)).json()["code"] == "not_all_chunks_uploaded"
        assert (await client.put(upload_id, 0, data)).json()["received_bytes"] == CHUNK
        durable.failing = "commit"
        assert (await client.complete(upload_id)).status_code == 503
        durable.failing = None
        assert (await client.complete(upload_id)).status_code == 200


def test_errors_of_the_disk_are_no_errors_of_the_client() -> None:
    assert not issubclass(type(as_storage_error(OSError(errno.EIO, "x"))), DigestMismatch)
