"""Versions of files that never came to rest are marked, and stay so until a version comes that is whole."""

from pathlib import Path
from typing import Any

import pytest
from serving import CHUNK, Client, client_put, content, sha

from pp_server import offline
from pp_server.settings import Settings
from pp_server.wire.receipts import Receipt, ReceiptKey, check
from pp_server.wire.trees import Entry, tree_digest


async def marks(client: Client) -> dict[str, bool]:
    files = (await client.http.get("/api/files")).json()["files"]
    return {file["filepath"]: file["inconsistent"] for file in files}


async def applied(client: Client, *operations: dict[str, Any]) -> None:
    answer = await client.batch(*operations)
    assert {result["status"] for result in answer.json()["results"]} == {"stored"}, answer.text


@pytest.mark.parametrize("size", [0, 1, CHUNK, 2 * CHUNK + 5])
async def test_a_snapshot_is_streamed_with_its_digest_at_the_end(client: Client, size: int) -> None:
    data = content(size)
    for gen, marked in ((1, True), (2, False), (3, True)):
        begun = await client.initiate("/busy", data, sha256=None, gen=gen, inconsistent=marked)
        assert begun.status_code == 201, begun.text
        await client.send(begun.json()["upload_id"], data)
        done = await client.complete(begun.json()["upload_id"], sha256=sha(data))
        assert done.status_code == 200, done.text
        assert (await client.complete(begun.json()["upload_id"], sha256=sha(data))).json()["receipt"]["gen"] == gen
        assert await marks(client) == {"/busy": marked}
    assert (await client.download(sha(data))).content == data


async def test_the_mark_stays_with_the_content_and_a_version_that_is_whole_has_none(client: Client) -> None:
    await applied(client, client_put("/a", b"a", 1, inconsistent=True), client_put("/b", b"b", 1))
    assert await marks(client) == {"/a": True, "/b": False}
    await applied(client, {"op": "attributes", "filepath": "/a", "gen": 2, "mode": 0o600})
    await applied(client, {"op": "move", "filepath": "/t/a", "source": "/a", "gen": 3})
    known = {"count": 1, "digest": tree_digest([Entry(b"a", "file", sha(b"a"), 1)])}
    await applied(client, {"op": "move_tree", "filepath": "/u", "source": "/t", "gen": 4, **known})
    assert await marks(client) == {"/b": False, "/u/a": True}
    held = {"op": "put", "filepath": "/u/a", "gen": 5, "sha256": sha(b"a"), "file_size": 1, "content": "held"}
    await applied(client, held)
    assert await marks(client) == {"/b": False, "/u/a": False}


async def test_an_upload_that_is_resumed_is_marked_as_it_is_now(client: Client) -> None:
    await client.begin("/a", b"data", gen=1, inconsistent=True)
    await client.upload("/a", b"data", gen=1)
    assert await marks(client) == {"/a": False}


async def test_the_receipt_does_not_say_it_and_a_rebuild_keeps_it(running, tmp_path: Path) -> None:
    async with running() as server:
        client = await server.client()
        key = ReceiptKey.model_validate((await client.http.get("/api/receipts/key")).json()["keys"][0])
        receipt = Receipt.model_validate(await client.upload("/a", b"a", gen=1, inconsistent=True, uid=0))
        check(receipt, key)
        await applied(client, client_put("/b", b"b", 2))
        before = await marks(client)
        tree = (await client.http.get("/api/tree")).text
    await offline.rebuild(Settings(data_dir=tmp_path / "data"), force=True)
    async with running() as server:
        client = await server.client()
        assert await marks(client) == before == {"/a": True, "/b": False}
        assert (await client.http.get("/api/tree")).text == tree
        assert ('"uid":0' in tree, tree.count('"inconsistent":true')) == (True, 1)


@pytest.mark.parametrize("value", [1, "true", None, 0])
async def test_the_mark_is_true_or_false(client: Client, value: object) -> None:
    assert (await client.initiate("/a", b"a", inconsistent=value)).status_code == 422
    assert (await client.batch(client_put("/a", b"a", inconsistent=value))).status_code == 422
    folder = {"op": "put", "kind": "dir", "filepath": "/d", "inconsistent": True}
    assert (await client.batch(folder)).status_code == 422
