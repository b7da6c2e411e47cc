"""A disk that is nearly full takes nothing new; what was taken is completed, read and deleted."""

import shutil
from pathlib import Path

import pytest
from serving import CHUNK, client_put, content, sha

from pp_server import room as room_module
from pp_server.core.errors import StorageFailed, StorageFull
from pp_server.room import Room

ALL = {"reserve_mb": 1 << 30, "reserve_percent": 100}
"""More than there is: the disk counts as full, however large it is."""


@pytest.mark.parametrize(("reserve_bytes", "percent"), [(0, 100), (1 << 60, 0), (1, 100)])
def test_the_smaller_reserve_counts(
    tmp_path: Path, reserve_bytes: int, percent: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room_module, "LOOK_SECONDS", 3600)
    room = Room(str(tmp_path), reserve_bytes, percent)
    assert room.must_look(1)
    room.look()
    assert not room.must_look(1)
    assert room.must_look(1 << 60), "a refusal needs a fresh look"
    room.check(1000)
    with pytest.raises(StorageFull):
        room.check(shutil.disk_usage(tmp_path).total + 1)


def test_a_disk_that_is_gone_is_no_full_one(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed):
        Room(str(tmp_path / "gone"), 0, 0).look()


async def test_below_the_reserve_only_what_is_new_is_refused(running) -> None:
    data, other = content(2 * CHUNK), content(2 * CHUNK, 1)
    async with running() as server:
        client = await server.client()
        await client.upload("/stored", other)
        arrived = await client.begin("/arrived", data)
        await client.send(arrived, data)
        half = await client.begin("/half", content(2 * CHUNK, 2))
        await client.put(half, 0, content(2 * CHUNK, 2)[:CHUNK])
        key = client.api_key
    async with running(limits=ALL) as server:
        client = await server.client()
        client.http.headers["Authorization"] = f"Bearer {key}"
        for answer in (
            await client.initiate("/new", content(CHUNK)),
            await client.put(half, 1, content(2 * CHUNK, 2)[CHUNK:]),
            await client.batch(client_put("/new", content(10, 3))),
        ):
            assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
            assert int(answer.headers["retry-after"]) > 0
        assert (await client.complete(arrived)).status_code == 200
        assert (await client.download(sha(other))).content == other
        assert await client.listed() == ["/arrived", "/stored"]
        gone = {"op": "delete", "filepath": "/stored", "gen": 1 << 40}
        assert (await client.batch(gone)).json()["results"][0]["status"] == "deleted"
        assert (await client.http.get(f"/api/uploads/{half}")).json()["missing"] == [[1, 1]]
    async with running() as server:
        client.http = server.http({"Authorization": f"Bearer {key}"})
        await client.put(half, 1, content(2 * CHUNK, 2)[CHUNK:])
        assert (await client.complete(half)).status_code == 200


async def test_a_file_that_cannot_fit_is_refused_before_it_is_sent(running) -> None:
    async with running() as server:
        client = await server.client()
        size = shutil.disk_usage(server.data_dir).total + 1
        answer = await client.initiate("/huge", sha256="0" * 64, file_size=size, chunk_size=64 << 20)
        assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
        assert server.staged() == []
        assert await server.app.state.services.uploads.clean() == 0
        await client.upload("/small", content(CHUNK))
