"""Chunks that are not sent, because the owner has their bytes in another version: copied, and believed by nobody."""

import asyncio
from typing import Any

import pytest
from serving import CHUNK, Client, Server, content, sha

SIZE = 4 * CHUNK + 100
OLD = content(SIZE, 1)
NEW = OLD[: CHUNK + 10] + b"changed" + OLD[CHUNK + 17 :]


def same(*spans: tuple[int, int], sha256: str = sha(OLD)) -> dict[str, Any]:
    return {"sha256": sha256, "same": [list(span) for span in spans]}


ALL_BUT_ONE = same((0, CHUNK + 9), (CHUNK + 17, SIZE - 1))


async def offered(client: Client, data: bytes, base: dict[str, Any], path: str = "/a", **more: Any) -> dict[str, Any]:
    answer = await client.initiate(path, data, chunk_size=CHUNK, base=base, **more)
    assert answer.status_code == 201, answer.text
    result: dict[str, Any] = answer.json()
    return result


async def test_only_what_changed_is_sent(client: Client, server: Server) -> None:
    await client.upload("/a", OLD)
    upload = await offered(client, NEW, ALL_BUT_ONE)
    assert upload["missing"] == [[1, 1]]
    await client.put(upload["upload_id"], 1, NEW[CHUNK : 2 * CHUNK])
    assert (await client.complete(upload["upload_id"])).status_code == 200
    assert (await client.download(sha(NEW))).content == NEW
    assert (await client.download(sha(OLD))).content == OLD


async def test_a_shorter_version_shares_what_is_left(client: Client) -> None:
    await client.upload("/a", OLD)
    shorter = OLD[: 2 * CHUNK + 5]
    upload = await offered(client, shorter, same((0, len(shorter) - 1)))
    assert upload["missing"] == []
    assert (await client.complete(upload["upload_id"])).status_code == 200
    assert (await client.download(sha(shorter))).content == shorter


async def test_a_longer_version_needs_what_was_added(client: Client) -> None:
    await client.upload("/a", OLD)
    longer = OLD + b"more"
    upload = await offered(client, longer, same((0, 2**40)))  # says too much: the base ends before
    assert upload["missing"] == [[4, 4]]
    await client.put(upload["upload_id"], 4, longer[4 * CHUNK :])
    assert (await client.complete(upload["upload_id"])).status_code == 200
    assert (await client.download(sha(longer))).content == longer


async def test_what_is_not_the_same_is_missing_after_all(client: Client) -> None:
    await client.upload("/a", OLD)
    upload = await offered(client, NEW, same((0, SIZE - 1)))
    assert upload["missing"] == []
    answer = await client.complete(upload["upload_id"])
    assert (answer.status_code, answer.json()["missing"]) == (400, [[0, 4]])
    await client.send(upload["upload_id"], NEW)
    assert (await client.complete(upload["upload_id"])).status_code == 200
    assert (await client.download(sha(NEW))).content == NEW


async def test_a_damaged_base_costs_its_chunks_and_nothing_else(client: Client, server: Server) -> None:
    await client.upload("/a", OLD)
    await server.damage(sha(OLD), 3 * CHUNK)
    upload = await offered(client, NEW, ALL_BUT_ONE)
    await client.put(upload["upload_id"], 1, NEW[CHUNK : 2 * CHUNK])
    answer = await client.complete(upload["upload_id"])
    assert (answer.status_code, answer.json()["missing"]) == (400, [[0, 0], [2, 4]])
    await client.send(upload["upload_id"], NEW)
    assert (await client.complete(upload["upload_id"])).status_code == 200
    assert (await client.download(sha(NEW))).content == NEW
    assert not await server.holds(sha(OLD))  # put aside


@pytest.mark.parametrize("stored_by", ["nobody", "somebody else"])
async def test_content_of_others_is_as_if_it_were_not_there(client: Client, server: Server, stored_by: str) -> None:
    if stored_by == "somebody else":
        await (await server.client("alice")).upload("/a", OLD)
    upload = await offered(client, NEW, ALL_BUT_ONE)
    assert upload["missing"] == [[0, 4]]


async def test_after_a_restart_they_are_missing_until_it_is_said_again(running: Any) -> None:
    async with running() as server:
        client = await server.client()
        await client.upload("/a", OLD)
        upload = await offered(client, NEW, ALL_BUT_ONE, gen=7)
        await client.put(upload["upload_id"], 1, NEW[CHUNK : 2 * CHUNK])
    async with running() as server:
        client = await server.client()
        answer = await client.complete(upload["upload_id"])
        assert (answer.status_code, answer.json()["missing"]) == (400, [[0, 0], [2, 4]])
        again = await offered(client, NEW, ALL_BUT_ONE, gen=7)
        assert (again["upload_id"], again["missing"]) == (upload["upload_id"], [])
        assert (await client.complete(again["upload_id"])).status_code == 200
        assert (await client.download(sha(NEW))).content == NEW


async def test_a_copied_chunk_that_is_sent_is_a_repeat_or_a_conflict(client: Client) -> None:
    await client.upload("/a", OLD)
    upload_id = (await offered(client, NEW, ALL_BUT_ONE))["upload_id"]
    await client.put(upload_id, 1, NEW[CHUNK : 2 * CHUNK])
    while (await client.http.get(f"/api/uploads/{upload_id}")).json()["uploaded_count"] < 5:
        await asyncio.sleep(0)
    assert (await client.put(upload_id, 0, NEW[:CHUNK])).json()["received_bytes"] == 0
    wrong = await client.put(upload_id, 3, bytes(CHUNK))
    assert (wrong.status_code, wrong.json()["code"]) == (422, "chunk_conflict")
    assert (await client.complete(upload_id)).status_code == 200
    assert (await client.download(sha(NEW))).content == NEW


async def test_an_upload_that_is_given_up_while_it_is_copied_leaves_nothing(client: Client, server: Server) -> None:
    await client.upload("/a", OLD)
    upload = await offered(client, NEW, ALL_BUT_ONE)
    assert (await client.http.delete(f"/api/uploads/{upload['upload_id']}")).status_code == 200
    assert server.staged() == []


@pytest.mark.parametrize("spans", [[(5, 4)], [(0, 9), (5, 20)], [(0, 9), (10, 20)], [(10, 20), (0, 5)], [(-1, 5)]])
async def test_spans_that_do_not_ascend_are_refused(client: Client, spans: list[tuple[int, int]]) -> None:
    answer = await client.initiate("/a", NEW, base=same(*spans))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
