"""Uploads that stand still are removed; uploads in use are not."""

import asyncio

from serving import CHUNK, Client, Clock, Server, content

TTL = 3600


async def test_one_owner_may_have_only_so_many_uploads_open(running, clock: Clock) -> None:
    async with running(max_open_per_owner=3) as server:
        client, other = await server.client(), await server.client("eve")
        begun = [await client.begin(f"/{n}", b"data", gen=1) for n in range(3)]
        refused = await client.initiate("/3", b"data", gen=1)
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert int(refused.headers["Retry-After"]) > 0
        assert await client.begin("/0", b"data", gen=1) == begun[0], "what is open goes on"
        assert (await other.initiate("/3", b"data")).status_code == 201, "of another owner"
        await client.send(begun[0], b"data")
        assert (await client.complete(begun[0])).status_code == 200
        assert (await client.initiate("/3", b"other", gen=1)).status_code == 201
        assert (await client.initiate("/4", b"other", gen=1)).status_code == 429
        clock.pass_seconds(4000)
        assert (await client.initiate("/4", b"other", gen=1)).status_code == 201, "expired, though not removed yet"


async def test_an_upload_without_activity_expires(server: Server, client: Client) -> None:
    data = content(2 * CHUNK)
    upload_id = await client.begin("/a", data)
    await client.put(upload_id, 0, data[:CHUNK])
    server.clock.pass_seconds(TTL * 1.02)
    for answer in (
        await client.put(upload_id, 1, data[CHUNK:]),
        await client.complete(upload_id),
        await client.http.get(f"/api/uploads/{upload_id}"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (410, "upload_expired")
    assert await client.begin("/a", data) != upload_id


async def test_activity_keeps_an_upload_alive(server: Server, client: Client) -> None:
    data = content(4 * CHUNK)
    upload_id = await client.begin("/a", data)
    for n in range(4):
        server.clock.pass_seconds(TTL * 0.9)
        assert (await client.put(upload_id, n, data[n * CHUNK : (n + 1) * CHUNK])).status_code == 200
        await server.app.state.services.uploads.clean()
    server.clock.pass_seconds(TTL * 0.99)
    assert (await client.complete(upload_id)).status_code == 200


async def test_initiate_again_counts_as_activity(server: Server, client: Client) -> None:
    data = content(4 * CHUNK)
    upload_id = await client.begin("/a", data)
    for _ in range(3):
        server.clock.pass_seconds(TTL * 0.9)
        assert await client.begin("/a", data) == upload_id
    assert (await client.put(upload_id, 0, data[:CHUNK])).status_code == 200


async def test_cleaning_removes_rows_and_bytes_of_expired_uploads_only(server: Server, client: Client) -> None:
    data = content(2 * CHUNK)
    old = await client.begin("/old", data)
    await client.put(old, 0, data[:CHUNK])
    done = await client.upload("/done", content(CHUNK, 5))
    server.clock.pass_seconds(TTL * 1.02)
    fresh = await client.begin("/fresh", data)
    await client.put(fresh, 0, data[:CHUNK])
    assert await server.app.state.services.uploads.clean() == 1
    assert [path.name for path in server.staged()] == [f"{fresh}.part"]
    assert (await client.http.get(f"/api/uploads/{old}")).status_code == 410
    assert (await client.download(done["sha256"])).status_code == 200


async def test_old_rows_are_dropped_in_the_end(server: Server, client: Client) -> None:
    data = content(2 * CHUNK)
    old = await client.begin("/old", data)
    done = await client.begin("/done", b"x")
    await client.send(done, b"x")
    await client.complete(done)
    clean = server.app.state.services.uploads.clean
    server.clock.pass_seconds(TTL * 1.02)
    await clean()
    server.clock.pass_seconds(2 * 86_400)
    await clean()
    assert (await client.http.get(f"/api/uploads/{old}")).status_code == 404
    assert (await client.complete(done)).status_code == 200
    server.clock.pass_seconds(7 * 86_400)
    await clean()
    assert (await client.complete(done)).status_code == 404
    assert await client.listed() == ["/done"]


async def test_a_start_cleans_up_what_expired_meanwhile_and_what_nobody_knows(running, clock) -> None:
    data = content(2 * CHUNK)
    async with running() as server:
        client = await server.client()
        await client.put(await client.begin("/a", data), 0, data[:CHUNK])
        (server.data_dir / "staging" / "unknown.part").write_bytes(b"x")
    clock.pass_seconds(TTL * 1.02)
    async with running() as server:
        async with asyncio.timeout(10):
            while server.staged():
                await asyncio.sleep(0.01)


async def test_an_upload_that_is_receiving_does_not_expire(server: Server, client: Client) -> None:
    data = content(CHUNK)
    upload_id = await client.begin("/a", data)
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def pieces():
        yield data[:1]
        reached.set()
        await go_on.wait()
        yield data[1:]

    sending = asyncio.create_task(client.http.put(f"/api/uploads/{upload_id}/chunk/0", content=pieces()))
    await reached.wait()
    server.clock.pass_seconds(TTL * 1.02)
    assert await server.app.state.services.uploads.clean() == 0
    go_on.set()
    assert (await sending).status_code == 200
    assert (await client.complete(upload_id)).status_code == 200


async def test_an_administrator_can_end_an_upload_at_once(server: Server, client: Client) -> None:
    data = content(2 * CHUNK)
    upload_id = await client.begin("/a", data)
    await client.put(upload_id, 0, data[:CHUNK])
    assert (await server.app.state.admin.run("session.expire", {"id": upload_id}))["status"] == "expired"
    assert (await client.put(upload_id, 1, data[CHUNK:])).json()["code"] == "upload_expired"
    assert server.staged() == []
