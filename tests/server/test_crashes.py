"""A server that is killed goes on where it was."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from serving import CHUNK, Clock, content, sha

from pp_server.durable import Durable

HERE = Path(__file__).parent


UPLOAD = ("write", "commit", "unlink", "datasync")  # datasync: of the receipts log, and of packs


@pytest.mark.parametrize(
    ("what", "operations", "commits"),
    [
        ("file", (*UPLOAD, "sync", "link", "mkdir", "sync_dir"), 5),
        ("base", (*UPLOAD, "sync", "link", "mkdir", "sync_dir"), 3),
        ("framed", (*UPLOAD, "sync", "link", "sync_dir", "unlink"), 5),
        ("pack", (*UPLOAD, "sync", "sync_dir"), 5),
        ("batch", ("write", "commit", "datasync", "sync", "sync_dir"), 1),
        ("tree", ("write", "commit", "datasync"), 1),
    ],
)
def test_killed_at_any_durable_step_an_upload_can_be_finished(
    tmp_path: Path, what: str, operations: tuple[str, ...], commits: int
) -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "killing.py"), str(tmp_path), what],
        capture_output=True,
        text=True,
        timeout=150,
        env={**os.environ, "PYTHONPATH": f"{HERE.parents[1]}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    steps = json.loads(done.stdout)
    for operation in operations:
        assert f"before {operation}" in steps
        assert f"after {operation}" in steps
    assert steps.count("after commit") == commits


class Unclean(Durable):
    """A server that never gets to say that it stopped in good order."""

    stopping = False

    def step(self, name: str) -> None:
        if self.stopping and name == "before commit":
            raise RuntimeError("killed")


async def unclean_stop(running, work) -> None:
    durable = Unclean()
    try:
        async with running(durable) as server:
            await work(server)
            durable.stopping = True
    except Exception:
        assert durable.stopping


async def test_after_an_unclean_stop_recorded_chunks_are_looked_at_again(running, clock: Clock) -> None:
    data = content(3 * CHUNK)
    keys: list = []

    async def half(server) -> None:
        client = await server.client()
        keys.append(client.api_key)
        upload_id = await client.begin("/a", data)
        for n in range(2):
            await client.put(upload_id, n, data[n * CHUNK : (n + 1) * CHUNK])
        with server.staged()[0].open("r+b") as file:
            file.seek(CHUNK)
            file.write(b"lost by a power cut")

    await unclean_stop(running, half)
    async with running() as server:
        client = await server.client()
        again = (await client.initiate("/a", data)).json()
        assert again["missing"] == [[1, 2]]
        for n in (1, 2):
            await client.put(again["upload_id"], n, data[n * CHUNK : (n + 1) * CHUNK])
        assert (await client.complete(again["upload_id"])).status_code == 200
        assert (await client.download(sha(data))).content == data


async def test_after_a_clean_stop_nothing_is_read_again_and_the_upload_goes_on(running) -> None:
    data = content(3 * CHUNK)
    async with running() as server:
        client = await server.client()
        upload_id = await client.begin("/a", data)
        await client.put(upload_id, 1, data[CHUNK : 2 * CHUNK])
    async with running() as server:
        client = await server.client()
        again = (await client.initiate("/a", data)).json()
        assert (again["upload_id"], again["missing"]) == (upload_id, [[0, 0], [2, 2]])


async def test_a_blob_is_never_written_to_through_its_staging_file(running) -> None:
    """Linked, but not recorded, and then found damaged: the upload begins with a new file."""
    data = content(3 * CHUNK)

    async def publish_without_recording(server) -> None:
        client = await server.client()
        upload_id = await client.begin("/a", data)
        await client.send(upload_id, data)
        blob = server.blob(sha(data))
        blob.parent.mkdir(parents=True)
        os.link(server.staged()[0], blob)
        with blob.open("r+b") as file:
            file.write(b"damaged")

    await unclean_stop(running, publish_without_recording)
    async with running() as server:
        client = await server.client()
        before = server.blob(sha(data)).read_bytes()
        again = (await client.initiate("/a", data)).json()
        assert again["missing"] == [[0, 2]]
        await client.send(again["upload_id"], data)
        assert server.blob(sha(data)).read_bytes() == before
        assert (await client.complete(again["upload_id"])).status_code == 200
        assert (await client.download(sha(data))).content == data
