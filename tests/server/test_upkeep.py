"""Looking after the store: checking, compacting, and making lost records again."""

import asyncio
import os
from pathlib import Path

import pytest
from serving import Client, Clock, Server, client_put, content, sha

from pp_server import offline
from pp_server.core.errors import StartRefused
from pp_server.datadir import DataDirBusy
from pp_server.settings import Settings, StorageSettings
from pp_server.wire.trees import Entry, tree_digest


async def run(server: Server, command: str) -> dict:
    return await server.app.state.admin.run(command, {})


async def put(client, files: dict[str, bytes], gen: int) -> None:
    answer = await client.batch(*(client_put(path, data, gen=gen) for path, data in files.items()))
    assert {result["status"] for result in answer.json()["results"]} == {"stored"}, answer.text


async def test_check_reads_everything_and_names_what_is_damaged(server: Server) -> None:
    client = await server.client()
    small = {f"/{n}": content(1000 + n, n) for n in range(300)}
    await put(client, small, 1)
    large = content(300_000, 7)
    await one_chunk(client, large)
    sound = await run(server, "check")
    assert (sound["blobs"], sound["damaged"]) == (301, [])
    assert sound["bytes"] == sum(map(len, small.values())) + len(large)
    await server.damage(sha(small["/17"]), 5)
    await server.damage(sha(large), 299_999)
    found = await run(server, "check")
    assert set(found["damaged"]) == {sha(small["/17"]), sha(large)}
    assert (await run(server, "check"))["damaged"] == [], "they were put aside"
    assert len(list((server.data_dir / "quarantine").iterdir())) == 2
    await put(client, {"/17": small["/17"]}, 2)
    assert (await client.download(sha(small["/17"]))).content == small["/17"]


async def one_chunk(client, data: bytes) -> None:
    upload_id = await client.begin("/large", data, chunk_size=1 << 20)
    assert (await client.put(upload_id, 0, data)).status_code == 200
    assert (await client.complete(upload_id)).status_code == 200


PACKS = {"pack_size_mb": 1, "pack_grace_seconds": 60}


def packs_of(server: Server) -> list[Path]:
    return sorted((server.data_dir / "packs").iterdir())


def let_packs_settle(server: Server) -> None:
    for path in packs_of(server):
        os.utime(path, (0, 0))


async def make_dead(server: Server, digests: list[str]) -> None:
    """As if nothing needed them any more: what collecting garbage will do one day."""
    metadata = server.app.state.services.files._metadata
    for digest, blob in (await metadata.find_blobs(digests)).items():
        assert await metadata.distrust_content(digest, blob.location)


async def test_a_mostly_dead_pack_is_rewritten_and_later_removed(running, clock: Clock) -> None:
    files = {f"/{n}": content(10_000, n) for n in range(480)}
    async with running(storage=PACKS) as server:
        client = await server.client()
        for start in range(0, 480, 20):
            await put(client, dict(list(files.items())[start : start + 20]), 1)
        full = packs_of(server)
        assert len(full) >= 3
        let_packs_settle(server)
        assert await run(server, "compact") == {"rewritten": 0, "dropped": 0, "freed_bytes": 0}
        kept = dict(list(files.items())[::4])
        await make_dead(server, [sha(data) for path, data in files.items() if path not in kept])
        report = await run(server, "compact")
        assert report["rewritten"] == len(full) - 1, "the current pack is left alone"
        assert report["freed_bytes"] > 1_000_000
        for data in kept.values():
            assert (await client.download(sha(data))).content == data
        assert set(full) <= set(packs_of(server)), "somebody may still be reading them"
        clock.pass_seconds(61)
        assert (await run(server, "compact"))["dropped"] == len(full) - 1
        assert len(packs_of(server)) < len(full)
    async with running(storage=PACKS) as server:
        client = await server.client()
        assert (await run(server, "check"))["damaged"] == []
        for data in kept.values():
            assert (await client.download(sha(data))).content == data


async def test_reading_goes_on_while_packs_are_rewritten(running, clock: Clock) -> None:
    async with running(storage=PACKS) as server:
        client = await server.client()
        files = {f"/{n}": content(50_000, n) for n in range(60)}
        for start in range(0, 60, 10):
            await put(client, dict(list(files.items())[start : start + 10]), 1)
        let_packs_settle(server)
        kept = dict(list(files.items())[::3])
        await make_dead(server, [sha(data) for path, data in files.items() if path not in kept])

        async def read() -> None:
            for data in kept.values():
                assert (await client.download(sha(data))).content == data

        await asyncio.gather(run(server, "compact"), *(read() for _ in range(4)))


async def test_a_damaged_entry_keeps_its_pack_from_going(running, clock: Clock) -> None:
    async with running(storage=PACKS) as server:
        client = await server.client()
        files = {f"/{n}": content(100_000, n) for n in range(12)}
        for path, data in files.items():
            await put(client, {path: data}, 1)
        await make_dead(server, [sha(data) for data in list(files.values())[2:10]])
        await server.damage(sha(files["/0"]))
        let_packs_settle(server)
        await run(server, "compact")
        assert not await server.holds(sha(files["/0"]))
        assert (await client.download(sha(files["/1"]))).content == files["/1"]
        assert len(list((server.data_dir / "quarantine").iterdir())) == 1


@pytest.mark.parametrize("kb", [0, 256])
async def test_lost_records_are_made_again(running, tmp_path: Path, kb: int) -> None:
    """All files, versions and tombstones of all owners and hosts; only the keys must be made anew."""
    storage = {"pack_up_to_kb": kb}
    settings = Settings(data_dir=tmp_path / "data", storage=StorageSettings(**storage))
    async with running(storage=storage) as server:
        bob, eve = await server.client("bob"), await server.client("eve")
        await put(bob, {f"/{n}": content(n * 100, n) for n in range(20)}, 1)
        bob.host = "other"
        await put(bob, {"/0": b"the same path of another host"}, 1)
        bob.host = "laptop"
        await bob.upload("/big", content(300, 5) * 1, gen=2)
        changes = [
            {"op": "delete", "filepath": "/3", "gen": 3},
            {"op": "move", "filepath": "/moved", "source": "/4", "gen": 4},
            {"op": "attributes", "filepath": "/5", "gen": 5, "mode": 0o600},
            client_put("/6", b"a second version", gen=6),
            {"op": "put", "kind": "symlink", "filepath": "/link", "gen": 7, "link_target": "6"},
        ]
        assert (await bob.batch(*changes)).status_code == 200
        tree = [Entry(b"%d" % n, "file", sha(b"%d" % n), 1) for n in range(5)]
        await put(bob, {f"/tree/{n}": b"%d" % n for n in range(5)}, 8)
        moving = {"op": "move_tree", "source": "/tree", "filepath": "/moved tree", "gen": 9}
        moving |= {"count": 5, "digest": tree_digest(tree)}
        assert (await bob.batch(moving)).json()["results"][0]["status"] == "stored"
        await put(eve, {"/e": b"eve's", "/0": b"another owner"}, 1)
        before = {owner: await everything(client) for owner, client in (("bob", bob), ("eve", eve))}
        stats = await server.stats()
        with pytest.raises(DataDirBusy):
            await offline.rebuild(settings, force=True)
    with pytest.raises(StartRefused, match="in order"):
        await offline.rebuild(settings, force=False)
    for part in (tmp_path / "data" / "meta").glob("pp.db*"):
        part.unlink()
    with pytest.raises(StartRefused, match="rebuild"):
        async with running(storage=storage):
            pass
    report = await offline.rebuild(settings, force=False)
    assert (report["damaged"], report["unreadable_lines"], report["files_without_content"]) == (0, 0, 0)
    async with running(storage=storage) as server:
        bob, eve = await server.client("bob"), await server.client("eve")
        assert {owner: await everything(client) for owner, client in (("bob", bob), ("eve", eve))} == before
        after = await server.stats()
        assert (after["files"], after["blobs"], after["bytes_stored"]) == (
            *(stats["files"], stats["blobs"], stats["bytes_stored"]),
        )
        late = await bob.batch(client_put("/3", b"late", gen=2), client_put("/new", b"new", gen=10))
        assert [result["status"] for result in late.json()["results"]] == ["stale", "stored"]
        assert late.json()["results"][1]["receipt"]["sequence"] == report["versions"] + 1


async def everything(client) -> list:
    """Every live file with its facts and its bytes."""
    files = (await client.http.get("/api/files", params={"limit": 1000})).json()["files"]
    return [(file, sha((await client.download(file["sha256"])).content) == file["sha256"]) for file in files]


async def test_a_damaged_database_is_refused_and_can_be_made_again(running, tmp_path: Path) -> None:
    async with running() as server:
        await put(await server.client(), {f"/{n}": content(100, n) for n in range(200)}, 1)
    database = tmp_path / "data" / "meta" / "pp.db"
    with database.open("r+b") as file:
        for page in range(3, database.stat().st_size // 4096, 2):
            file.seek(page * 4096)
            file.write(os.urandom(4096))
    with pytest.raises(StartRefused, match=r"rebuild|cannot be used"):
        async with running():
            pass
    report = await offline.rebuild(Settings(data_dir=tmp_path / "data"), force=False)
    assert report["versions"] == 200
    assert Path(report["previous_database"]).exists(), "nothing is thrown away"
    async with running() as server:
        client = await server.client()
        assert len(await everything(client)) == 200


async def test_a_torn_pack_and_a_torn_log_give_back_what_is_whole(running, tmp_path: Path) -> None:
    async with running() as server:
        client = await server.client()
        for n in range(10):
            await put(client, {f"/{n}": content(1000, n)}, n + 1)
        for path, lost in ((packs_of(server)[0], 500), (next((server.data_dir / "receipts").iterdir()), 100)):
            with path.open("r+b") as file:
                file.truncate(path.stat().st_size - lost)
        with packs_of(server)[0].open("r+b") as file:  # and a head in the middle is damaged
            file.seek(8 + 3 * 1052)
            file.write(b"\0" * 10)
    report = await offline.rebuild(Settings(data_dir=tmp_path / "data"), force=True)
    assert (report["blobs"], report["versions"], report["unreadable_lines"]) == (8 + 1, 9, 1)
    assert report["files_without_content"] == 1
    async with running() as server:
        client = await server.client()
        for n in (0, 1, 2, 4, 5, 6, 7, 8):
            assert (await client.download(sha(content(1000, n)))).content == content(1000, n)


async def test_a_lost_key_is_not_replaced_in_silence(running, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    async with running() as server:
        await put(await server.client(), {"/a": b"a"}, 1)
    (tmp_path / "data" / "meta" / "receipts.key").unlink()
    with pytest.raises(StartRefused, match="new-key"):
        async with running():
            pass
    made = await offline.new_receipts_key(settings)
    assert made["previous_key_id"] is None
    again = await offline.new_receipts_key(settings)
    assert again["previous_key_id"] == made["key_id"]
    async with running() as server:
        client = await server.client()
        assert (await client.http.get("/api/receipts/key")).json()["keys"][0]["key_id"] == again["key_id"]
    assert (await offline.rebuild(settings, force=True))["unproven_lines"] == 0


async def test_a_database_put_back_from_a_copy_is_refused_and_made_again(running, tmp_path: Path) -> None:
    """Else versions would get numbers that clients have receipts for, and those would be lost."""
    async with running() as server:
        client = await server.client()
        await put(client, {"/a": b"a"}, 1)
    meta = tmp_path / "data" / "meta"
    copy = (meta / "pp.db").read_bytes()
    async with running() as server:
        client = Client(server.http({"Authorization": f"Bearer {client.api_key}"}), client.api_key)
        await put(client, {"/b": b"b"}, 2)
    for part in meta.glob("pp.db*"):
        part.unlink()
    (meta / "pp.db").write_bytes(copy)
    with pytest.raises(StartRefused, match="rebuild"):
        async with running():
            pass
    report = await offline.rebuild(Settings(data_dir=tmp_path / "data"), force=True)
    assert (report["versions"], report["api_keys"]) == (2, 1)
    async with running() as server:
        client = Client(server.http({"Authorization": f"Bearer {client.api_key}"}), client.api_key)
        assert await client.listed() == ["/a", "/b"], "with the same key"
        await put(client, {"/c": b"c"}, 3)


async def test_a_deletion_does_not_overtake_a_batch_that_is_under_way(server: Server, monkeypatch) -> None:
    """A client that gave up waiting for its batch, and finds the file gone."""
    client = await server.client()
    content_store = server.app.state.services.batches._context.content
    storing, go_on = asyncio.Event(), asyncio.Event()
    real = content_store.put_many

    async def slowly(*contents):
        storing.set()
        await go_on.wait()
        return await real(*contents)

    monkeypatch.setattr(content_store, "put_many", slowly)
    late = asyncio.create_task(client.batch(client_put("/a", b"a", gen=1)))
    await storing.wait()
    order = {"filepath": "/a", "hostname": "laptop", "sha256": sha(b"a"), "gen": 2}
    told = await client.http.post("/api/files/deletions", json={"files": [order]})
    assert told.json()["results"][0]["status"] == "not_found"
    go_on.set()
    assert (await late).json()["results"][0]["status"] == "stale"
    assert await client.listed() == []
