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

from pp_server.wire.trees import Entry, tree_digest

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


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_directory_that_moves_to_and_fro_is_whole_at_one_of_its_places(running: Running, seed: int) -> None:
    """While others look, put things into it, and ask twice."""
    rng = random.Random(seed)
    names = sorted(f"{n}" for n in range(PATHS))
    async with running() as server:
        client = await server.client()
        for asked, data in puts(seed, 1):
            asked["filepath"] = "/a" + asked["filepath"]
            assert receipts(await send(client, [(asked, data)]))
        digests = {asked["filepath"]: asked["sha256"] for asked, _ in puts(seed, 1)}
        entries = [Entry(name.encode(), "file", digests["/" + name], 0) for name in names]
        seen: set[tuple[str, ...]] = set()
        over = asyncio.Event()

        async def look() -> None:
            while not over.is_set():
                seen.add(tuple(path for path in await client.listed() if not path.endswith("late")))

        async def disturb() -> None:
            """Uploads that begin with a generation that is over by the time they end."""
            while not over.is_set():
                gen = (await client.http.get("/api/hosts/laptop")).json()["highest_gen"]
                begun = await client.initiate(rng.choice(["/a/late", "/b/late"]), b"late", gen=gen)
                if begun.status_code == 201:
                    upload_id = begun.json()["upload_id"]
                    await client.put(upload_id, 0, b"late")
                    await asyncio.sleep(rng.uniform(0, 0.01))
                    assert (await client.complete(upload_id)).status_code in (200, 412)

        async def move() -> None:
            place, gen = "/a", 100
            known = {"count": PATHS, "digest": tree_digest(entries)}
            for _ in range(15):
                gen += 10
                target = "/b" if place == "/a" else "/a"
                asked = {"op": "move_tree", "filepath": target, "source": place, "gen": gen, **known}
                answers = await asyncio.gather(*(send(client, [(asked, b"")]) for _ in range(rng.randint(1, 3))))
                results = [answer.json()["results"][0] for answer in answers]
                if results[0]["status"] == "stored":
                    place = target
                else:  # somebody's late file is in it, or in the way
                    late = {"op": "delete", "gen": gen + 1}
                    await send(client, [(late | {"filepath": f"{each}/late"}, b"") for each in ("/a", "/b")])
                assert {result["status"] for result in results} <= {"stored", "conflict", "stale"}
            over.set()

        await asyncio.gather(look(), look(), disturb(), move())
        assert seen == {tuple(f"/a/{n}" for n in names), tuple(f"/b/{n}" for n in names)}
