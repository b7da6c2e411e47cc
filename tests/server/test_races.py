"""Two things at once, on purpose: what is done late must not touch what somebody else owns by then."""

import asyncio
import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import CHUNK, Client, Server, content, sha

from pp_server.durable import Durable
from pp_server.staging import Staging

Running = Callable[..., AbstractAsyncContextManager[Server]]


class Slow(Durable):
    """Holds each write back just before it happens, until told otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self.holding = True

    def step(self, name: str) -> None:
        if name == "before write" and self.holding:
            self.reached.set()
            assert self.go_on.wait(10)


def test_a_write_under_way_keeps_its_file_open(tmp_path: Path) -> None:
    durable = Slow()
    file = Staging(str(tmp_path), durable).file("one")
    writing = threading.Thread(target=file.write, args=(b"late", 0, True))
    writing.start()
    assert durable.reached.wait(10)
    file.discard()
    victim = os.open(tmp_path / "victim", os.O_RDWR | os.O_CREAT)  # would get the number of a descriptor just closed
    durable.go_on.set()
    writing.join()
    assert os.fstat(victim).st_size == 0
    os.close(victim)
    before = len(os.listdir("/proc/self/fd"))
    file.close()
    assert len(os.listdir("/proc/self/fd")) == before, "the last writer closed it"


async def test_a_needless_chunk_does_not_outlive_its_completed_upload(running: Running) -> None:
    durable = Slow()
    durable.holding = False
    async with running(durable) as server:
        client = await server.client()
        data = content(CHUNK)
        await client.upload("/a", data)
        upload_id = await client.begin("/b", data)
        durable.holding = True
        late = asyncio.create_task(client.put(upload_id, 0, data))
        await asyncio.to_thread(durable.reached.wait, 10)
        completing = asyncio.create_task(client.complete(upload_id))
        await asyncio.sleep(0.1)
        durable.holding = False
        durable.go_on.set()
        assert (await completing).status_code == 200
        assert (await late).status_code in (200, 409, 423)
        assert server.staged() == []


async def test_an_upload_whose_staged_file_is_gone_begins_again(running: Running) -> None:
    data = content(3 * CHUNK)
    async with running() as server:
        client = await server.client()
        upload_id = await client.begin("/a", data)
        await client.put(upload_id, 0, data[:CHUNK])
        key = client.api_key
    shutil.rmtree(server.data_dir / "staging")
    async with running() as server:
        client = Client(server.http({"Authorization": f"Bearer {key}"}), key)
        answer = await client.initiate("/a", data)
        assert answer.json()["missing"] == [[0, 2]]
        await client.send(upload_id, data)
        assert (await client.complete(upload_id)).status_code == 200


async def test_a_chunk_sent_again_while_its_upload_completes_is_no_conflict(server: Server, client: Client) -> None:
    data = content(2 * CHUNK)
    upload_id = await client.begin("/a", data)
    await client.send(upload_id, data)
    body_began, go_on = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield data[CHUNK : CHUNK + 10]
        body_began.set()
        await go_on.wait()
        yield data[CHUNK + 10 :]

    late = asyncio.create_task(
        client.http.put(f"/api/uploads/{upload_id}/chunk/1", content=body(), headers={"Content-Length": str(CHUNK)})
    )
    await body_began.wait()
    assert (await client.complete(upload_id)).status_code == 200
    go_on.set()
    assert (await late).json()["code"] == "already_completed"


async def test_damaged_content_is_not_put_aside_between_publishing_and_recording(
    server_of_files: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = server_of_files
    client = await server.client()
    data = content(2 * CHUNK)
    digest = sha(data)
    await client.upload("/a", data)
    other = await server.client("alice")
    upload_id = await other.begin("/b", data)
    await other.send(upload_id, data)
    blob = server.blob(digest)
    metadata = server.app.state.services.files._metadata
    complete = metadata.complete_session
    reading: list[asyncio.Task[httpx.Response]] = []

    async def slowly(*args: Any) -> Any:
        reading.append(asyncio.create_task(client.download(digest)))  # finds the damage, and wants the blob put aside
        await asyncio.sleep(0.2)
        return await complete(*args)

    os.chmod(blob, 0o600)
    blob.write_bytes(b"x" * len(data))
    monkeypatch.setattr(metadata, "complete_session", slowly)
    assert (await other.complete(upload_id)).status_code == 200
    await asyncio.gather(*reading, return_exceptions=True)
    known = await server.holds(digest)
    assert known == blob.exists(), "what is recorded as present is there"
