"""Everybody at once: whatever the order of things turns out to be, the end is exact and known.

`test_races` sets up one collision each; here many run into each other, seeded, with as many turns of the event loop
between them as chance gives.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import httpx
import pytest
from serving import CHUNK, Client, Server, content, sha
from settled import left_over

Running = Callable[..., AbstractAsyncContextManager[Server]]

CONNECTIONS = 16
SEEDS = range(4)


async def staggered(rng: random.Random, work: Awaitable[httpx.Response], most_turns: int = 30) -> httpx.Response:
    """Do it after some turns of the event loop."""
    for _ in range(rng.randrange(most_turns)):
        await asyncio.sleep(0)
    return await work


def piece(data: bytes, n: int) -> bytes:
    return data[n * CHUNK : (n + 1) * CHUNK]


async def exactly(server: Server, client: Client, path: str, data: bytes, gen: int) -> None:
    """The path is stored in this version, once, and nothing half-done is left."""
    answer = (await client.http.get("/api/files")).json()
    assert [(f["filepath"], f["gen"], f["sha256"]) for f in answer["files"]] == [(path, gen, sha(data))]
    assert (await client.download(sha(data))).content == data
    assert await left_over(server) == []


@pytest.mark.parametrize("seed", SEEDS)
async def test_sixteen_connections_send_the_same_chunks_in_any_order(running: Running, seed: int) -> None:
    """Duplicates, everywhere, while one of them completes again and again: bytes are counted once."""
    rng = random.Random(seed)
    data = content(40 * CHUNK + 17, seed)
    async with running() as server:
        client = await server.client()
        answers: list[httpx.Response] = []

        async def connection() -> None:
            begun = (await client.initiate("/a", data, gen=1)).json()
            order = list(range(begun["total_chunks"]))
            rng.shuffle(order)
            answers.extend([await staggered(rng, client.put(begun["upload_id"], n, piece(data, n)), 5) for n in order])

        first = (await client.initiate("/a", data, gen=1)).json()
        working = [asyncio.create_task(connection()) for _ in range(CONNECTIONS)]
        while not (done := await client.complete(first["upload_id"])).is_success:
            assert done.json()["code"] == "not_all_chunks_uploaded"
            await asyncio.sleep(0.005)
        await asyncio.gather(*working)
        said = {(a.status_code, a.json().get("code")) for a in answers}
        assert said <= {(200, None), (423, "chunk_superseded"), (409, "already_completed"), (410, "upload_aborted")}
        assert done.json()["receipt"] == (await client.complete(first["upload_id"])).json()["receipt"]
        stats = await server.stats()
        assert stats["bytes_received"] == len(data), "no byte was recorded twice"
        assert (stats["blobs"], stats["files"]) == (1, 1)
        await finish_open(client, data)
        await exactly(server, client, "/a", data, 1)


async def finish_open(client: Client, data: bytes) -> None:
    """Complete what repeated initiates after the completion have opened: sessions without a byte to send."""
    again = (await client.initiate("/a", data, gen=1)).json()
    assert again["missing"] == []
    assert (await client.complete(again["upload_id"])).status_code == 200


@pytest.mark.parametrize("seed", SEEDS)
async def test_complete_races_the_last_chunk(running: Running, seed: int) -> None:
    """Either the chunk was in time, or complete names it; it never completes without it, and never loses it."""
    rng = random.Random(seed)
    async with running() as server:
        client = await server.client()
        for turn in range(8):
            data = content(4 * CHUNK, 100 * seed + turn)
            upload_id = await client.begin("/a", data, gen=turn + 1)
            for n in range(3):
                await client.put(upload_id, n, piece(data, n))
            chunk, *completes = await asyncio.gather(
                staggered(rng, client.put(upload_id, 3, piece(data, 3))),
                *(staggered(rng, client.complete(upload_id)) for _ in range(4)),
            )
            for answer in completes:
                assert answer.is_success or answer.json()["missing"] == [[3, 3]], answer.text
            assert chunk.is_success or chunk.json()["code"] == "already_completed", chunk.text
            assert (await client.complete(upload_id)).status_code == 200
            await exactly(server, client, "/a", data, turn + 1)


async def test_sixteen_completes_give_one_receipt(server: Server, client: Client) -> None:
    data = content(5 * CHUNK)
    upload_id = await client.begin("/a", data, gen=1)
    await client.send(upload_id, data)
    answers = await asyncio.gather(*(client.complete(upload_id) for _ in range(CONNECTIONS)))
    assert {a.status_code for a in answers} == {200}
    assert len({a.text for a in answers}) == 1
    assert (await server.stats())["uploads_completed"] == 1
    await exactly(server, client, "/a", data, 1)


async def test_sixteen_uploads_of_one_content_store_it_once(server: Server, client: Client) -> None:
    """The same bytes for sixteen paths, completed in the same moment."""
    data = content(3 * CHUNK)
    ids = await asyncio.gather(*(client.begin(f"/{n}", data, gen=n + 1) for n in range(CONNECTIONS)))
    await asyncio.gather(*(client.send(upload_id, data) for upload_id in ids))
    answers = await asyncio.gather(*(client.complete(upload_id) for upload_id in ids))
    assert {a.status_code for a in answers} == {200}
    assert len({a.json()["receipt"]["sequence"] for a in answers}) == CONNECTIONS
    stats = await server.stats()
    assert (stats["blobs"], stats["bytes_stored"], stats["files"]) == (1, len(data), CONNECTIONS)
    assert (await client.download(sha(data))).content == data
    assert await left_over(server) == []


@pytest.mark.parametrize("seed", SEEDS)
async def test_abort_and_expiry_race_complete(running: Running, seed: int) -> None:
    """Whoever wins, all agree: either a receipt and the file, or neither, and then it can be sent anew."""
    rng = random.Random(seed)
    won = set()
    async with running(cleanup_interval_seconds=86400, session_ttl_seconds=60) as server:
        client = await server.client()
        uploads = server.app.state.services.uploads

        async def expire(upload_id: str) -> None:
            for _ in range(rng.randrange(60)):
                await asyncio.sleep(0)
            if rng.random() < 0.5:
                await uploads.expire(upload_id)
            else:
                server.clock.pass_seconds(3600)
                await uploads.clean()

        for turn in range(12):
            data, path = content(3 * CHUNK, 100 * seed + turn), f"/{turn}"
            upload_id = await client.begin(path, data, gen=turn + 1)
            await client.send(upload_id, data)
            late = client.put(upload_id, rng.randrange(3), piece(data, 0))
            rivals = [expire(upload_id)] if turn % 3 != 0 else []
            aborts = [staggered(rng, client.http.delete(f"/api/uploads/{upload_id}"), 60)] if turn % 3 != 1 else []
            completes = [staggered(rng, client.complete(upload_id), 60) for _ in range(2)]
            answers = await asyncio.gather(*completes, *aborts, *rivals, late)
            done = [a for a in answers[:2] if a.is_success]
            listed = path in await client.listed()
            assert listed == bool(done), [(a.status_code, a.text) for a in answers if a is not None]
            for answer in answers[:2]:
                assert answer.is_success or answer.json()["code"] in ("upload_aborted", "upload_expired"), answer.text
            if aborts and answers[2].is_success:
                assert not listed, "what was aborted is not stored"
            won.add(listed)
            if not listed:
                await client.upload(path, data, gen=turn + 1)
            assert (await client.download(sha(data))).content == data
            assert await left_over(server) == []
    assert won == {True, False} or seed, "the first seed has seen both ends"


@pytest.mark.parametrize("seed", SEEDS)
async def test_versions_and_deletions_of_one_path_race(running: Running, seed: int) -> None:
    """Generations decide, not arrival: the highest one asked for is what the path is in the end.

    A deletion counts also where it comes first, of what the server does not have yet.
    """
    rng = random.Random(seed)
    async with running() as server:
        client = await server.client()
        gens = list(range(1, CONNECTIONS + 1))
        tombstones = set(rng.sample(gens, 4))
        acked: set[int] = set()

        async def one(gen: int) -> None:
            for _ in range(rng.randrange(40)):
                await asyncio.sleep(0)
            data = content(2 * CHUNK, gen)
            if gen in tombstones:
                order = {"filepath": "/a", "hostname": client.host, "sha256": sha(data), "gen": gen}
                answer = await client.http.post("/api/files/deletions", json={"files": [order]})
                status = answer.json()["results"][0]["status"]
                assert status in ("deleted", "stale", "not_found")
                if status != "stale":
                    acked.add(gen)
                return
            begun = await client.initiate("/a", data, gen=gen)
            if begun.status_code == 412:
                assert begun.json()["gen"] > gen
                return
            await client.send(begun.json()["upload_id"], data)
            done = await client.complete(begun.json()["upload_id"])
            assert done.is_success or (done.json()["code"] == "stale" and done.json()["gen"] > gen), done.text
            if done.is_success:
                acked.add(gen)

        await asyncio.gather(*(one(gen) for gen in gens))
        highest = max(acked)
        answer = (await client.http.get("/api/files")).json()["files"]
        assert [f["gen"] for f in answer] == ([] if highest in tombstones else [highest])
        if answer:
            assert answer[0]["sha256"] == sha(content(2 * CHUNK, highest))
        for gen in acked - tombstones:
            assert (await client.download(sha(content(2 * CHUNK, gen)))).status_code == 200
        assert await left_over(server) == []
