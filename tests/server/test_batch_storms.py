"""Batches that are repeated, doubled and in each other's way: applied once, wholly, and by generation."""

import asyncio
import json
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest
from serving import Client, Server, content, sha
from settled import left_over

Running = Callable[..., AbstractAsyncContextManager[Server]]

PATHS = 12
SEEDS = range(4)
Operations = list[tuple[dict[str, Any], bytes]]


def puts(seed: int, first_gen: int) -> Operations:
    """The same paths for everybody, other contents and generations for each seed."""
    made = []
    for n in range(PATHS):
        data = content(100 * n + seed + 1, 1000 * seed + n)
        asked = {"op": "put", "filepath": f"/{n}", "gen": first_gen + n, "content": "inline"}
        made.append((asked | {"sha256": sha(data), "file_size": len(data)}, data))
    return made


async def send(client: Client, operations: Operations) -> httpx.Response:
    head = {"hostname": client.host, "operations": [asked for asked, _ in operations]}
    body = json.dumps(head).encode() + b"\n" + b"".join(data for _, data in operations)
    return await client.http.post("/api/batch", content=body)


def receipts(answer: httpx.Response) -> list[dict[str, Any]]:
    """What the answer acknowledges; proofs aside, which are signed anew each time."""
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert {result["status"] for result in results} <= {"stored", "deleted"}, results
    return [{k: v for k, v in result["receipt"].items() if k != "proof"} for result in results]


async def exactly(server: Server, client: Client, operations: Operations) -> None:
    """The host has these versions and no other live ones; their contents can be read."""
    wanted = {asked["filepath"]: (asked["gen"], asked["sha256"]) for asked, _ in operations}
    listed = (await client.http.get("/api/files")).json()["files"]
    assert {f["filepath"]: (f["gen"], f["sha256"]) for f in listed} == wanted
    for asked, data in operations:
        assert (await client.download(asked["sha256"])).content == data
    assert await left_over(server) == []


async def test_the_same_batch_sixteen_times_at_once_happens_once(server: Server, client: Client) -> None:
    operations = puts(1, 1)
    answers = await asyncio.gather(*(send(client, operations) for _ in range(16)))
    given = [receipts(answer) for answer in answers]
    assert all(each == given[0] for each in given)
    assert len({receipt["sequence"] for receipt in given[0]}) == PATHS
    stats = await server.stats()
    assert (stats["files"], stats["blobs"]) == (PATHS, PATHS)
    await exactly(server, client, operations)


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_batch_whose_answer_is_lost_is_repeated(running: Running, seed: int) -> None:
    """The caller goes away at any moment; asked again, the answer is that of the one time it happened."""
    rng = random.Random(seed)
    async with running() as server:
        client = await server.client()
        for turn in range(6):
            operations = puts(10 * seed + turn, 100 * (turn + 1))
            lost = asyncio.create_task(send(client, operations))
            for _ in range(rng.randrange(80)):
                await asyncio.sleep(0)
            lost.cancel()
            first = receipts(await send(client, operations))
            assert receipts(await send(client, operations)) == first
            await asyncio.gather(lost, return_exceptions=True)
            await exactly(server, client, operations)


@pytest.mark.parametrize("seed", SEEDS)
async def test_two_batches_for_the_same_paths_race(running: Running, seed: int) -> None:
    """The newer one is what stays. The older one came first and was stored, or came second and is stale: as a whole."""
    rng = random.Random(seed)
    async with running() as server:
        client = await server.client()
        for turn in range(6):
            old, new = puts(10 * seed + turn, 200 * turn + 1), puts(500 + 10 * seed + turn, 200 * turn + 101)

            async def later(operations: Operations) -> httpx.Response:
                for _ in range(rng.randrange(40)):
                    await asyncio.sleep(0)
                return await send(client, operations)

            older, newer, again = await asyncio.gather(later(old), later(new), later(new))
            assert receipts(newer) == receipts(again)
            became = {result["status"] for result in older.json()["results"]}
            assert became in ({"stored"}, {"stale"}), became
            await exactly(server, client, new)


@pytest.mark.parametrize("seed", SEEDS)
async def test_moves_and_deletions_of_one_batch_do_not_come_apart(running: Running, seed: int) -> None:
    """While others look: a file that is moved to and fro is at one of its places, never at both and never at none."""
    rng = random.Random(seed)
    data = content(5000, seed)
    async with running() as server:
        client = await server.client()
        await client.upload("/a", data, gen=1)
        seen: set[tuple[str, ...]] = set()
        over = asyncio.Event()

        async def look() -> None:
            while not over.is_set():
                seen.add(tuple(await client.listed()))

        async def move() -> None:
            for gen in range(2, 22):
                source, target = ("/a", "/b") if gen % 2 == 0 else ("/b", "/a")
                asked = {"op": "move", "filepath": target, "source": source, "gen": gen, "sha256": sha(data)}
                operations: Operations = [(asked, b"")]
                for answer in await asyncio.gather(*(send(client, operations) for _ in range(rng.randint(1, 3)))):
                    assert answer.json()["results"][0]["status"] == "stored", answer.text
            over.set()

        await asyncio.gather(look(), look(), move())
        assert seen <= {("/a",), ("/b",)}
        assert len(seen) == 2
        assert await client.listed() == ["/a"]
