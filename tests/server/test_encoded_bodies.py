"""Bodies that come as frames of zstd: what they hold is what counts, however it came and however it lies."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import Client, Server, client_put, content, sha

from pp_server import offline
from pp_server.settings import Settings
from pp_server.wire.batch import MAX_BATCH_BYTES, MAX_HEAD_BYTES
from pp_server.wire.frames import MAX_FRAME_BYTES, Encoder, zstd

ZSTD = {"Content-Encoding": "zstd"}


def text(size: int, seed: int) -> bytes:
    rng = random.Random(seed)
    words = [b"%x" % rng.getrandbits(32) for _ in range(50)]
    return b" ".join(rng.choice(words) for _ in range(size // 5))[:size]


def head_of(*operations: dict[str, Any], **more: Any) -> bytes:
    asked = [{name: value for name, value in each.items() if name != "data"} for each in operations]
    return json.dumps({"hostname": "laptop", "operations": asked} | more).encode() + b"\n"


def body_of(*operations: dict[str, Any]) -> bytes:
    encoder = Encoder()
    contents = [encoder.frame(each["data"]) for each in operations if each.get("data")]
    return b"".join([*encoder.frames(head_of(*operations)), *contents])


async def post(client: Client, body: bytes, **headers: str) -> httpx.Response:
    return await client.http.post("/api/batch", content=body, headers=ZSTD | headers)


async def stored(client: Client, *operations: dict[str, Any]) -> None:
    answer = await post(client, body_of(*operations))
    assert answer.status_code == 200, answer.text
    assert {each["status"] for each in answer.json()["results"]} == {"stored"}


async def extent_of(server: Server, digest: str) -> Any:
    (extent,) = (await server.app.state.services.files._metadata.find_blobs([digest]))[digest].location
    return extent


async def contents_of(client: Client, digests: list[str]) -> dict[str, bytes | None]:
    answer = await client.http.post("/api/contents", json={"sha256": digests})
    rest, found = answer.content, {}
    while b'"contents"' not in rest.split(b"\n", 1)[0]:
        line, rest = rest.split(b"\n", 1)
        head = json.loads(line)
        size = head["size"]
        found[head["sha256"]], rest = (None, rest) if size is None else (rest[:size], rest[size:])
    return found


async def test_it_is_announced(server: Server) -> None:
    assert "zstd" in (await server.http().get("/api/version")).json()["features"]


async def test_what_comes_in_frames_lies_in_frames_and_comes_back_plain(server: Server) -> None:
    client = await server.client()
    files = {f"/{n}": text(100 + 997 * n, n) for n in range(60)} | {"/noise": content(5000), "/empty": b""}
    await stored(client, *(client_put(path, data, gen=1) for path, data in files.items()))
    for data in filter(None, files.values()):
        extent = await extent_of(server, sha(data))
        assert extent.encoding == ("plain" if data == files["/noise"] else "zstd")
        assert (extent.stored_bytes < extent.size_bytes) == (extent.encoding == "zstd")
        assert (await client.download(sha(data))).content == data
    (pack,) = (server.data_dir / "packs").iterdir()
    assert pack.stat().st_size < sum(map(len, files.values())) * 0.7
    assert await contents_of(client, [sha(data) for data in files.values()]) == {sha(d): d for d in files.values()}
    data = files["/50"]
    for first, last in ((0, 0), (10, 999), (len(data) - 1, len(data) - 1)):
        answer = await client.download(sha(data), Range=f"bytes={first}-{last}")
        assert (answer.status_code, answer.content) == (206, data[first : last + 1])
    verified = await client.http.post("/api/files/verify", json={"sha256": [sha(data)]})
    assert verified.json()["results"][0]["status"] == "intact"
    found = await server.app.state.admin.run("check", {})
    assert (found["damaged"], found["blobs"]) == ([], len(files))


async def test_a_body_may_be_in_any_frames_and_in_any_pieces(server: Server) -> None:
    """Frames that hold several contents, or parts of them, are read as well; they lie plain."""
    client = await server.client()
    puts = [client_put(f"/{n}", text(3000, n), gen=1) for n in range(20)]
    whole = head_of(*puts) + b"".join(put["data"] for put in puts)
    encoder = Encoder()
    body = b"".join(encoder.frame(whole[at : at + 7001]) for at in range(0, len(whole), 7001))

    async def dripping() -> Any:
        for at in range(0, len(body), 333):
            yield body[at : at + 333]
            await asyncio.sleep(0)

    answer = await client.http.post("/api/batch", content=dripping(), headers=ZSTD)
    assert {each["status"] for each in answer.json()["results"]} == {"stored"}, answer.text
    for put in puts:
        assert (await extent_of(server, put["sha256"])).encoding == "plain"
        assert (await client.download(put["sha256"])).content == put["data"]


async def test_content_that_came_plain_lies_plain_and_is_the_same(server: Server) -> None:
    client = await server.client()
    data = text(9000, 1)
    assert (await client.batch(client_put("/a", data, gen=1))).json()["results"][0]["status"] == "stored"
    await stored(client, client_put("/b", data, gen=1))
    assert (await extent_of(server, sha(data))).encoding == "plain"
    assert (await client.download(sha(data))).content == data


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd, gzip", "x", "deflate"])
async def test_any_other_encoding_is_refused(server: Server, encoding: str) -> None:
    client = await server.client()
    headers = {"Content-Encoding": encoding}
    for answer in (
        await client.http.post("/api/batch", content=b"x", headers=headers),
        await client.http.put("/api/uploads/x/chunk/0", content=b"x", headers=headers),
    ):
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_encoding")


async def test_nothing_but_batches_and_chunks_comes_encoded(server: Server) -> None:
    client = await server.client()
    frame = Encoder().frame(b"{}")
    for path in ("/api/uploads/initiate", "/api/uploads/x/complete", "/api/files/held", "/api/contents"):
        answer = await client.http.post(path, content=frame, headers=ZSTD)
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_encoding")


def a_bomb() -> bytes:
    return zstd.compress(bytes(1 << 30), 3)


GOOD = client_put("/good", b"good" * 100, gen=1)


@pytest.mark.parametrize(
    "body",
    [
        b"no frames",
        body_of(GOOD)[:-5],
        body_of(GOOD) + b"\0\0\0\0",
        Encoder().frame(head_of(GOOD)) + Encoder().frame(b""),
        a_bomb(),
        Encoder().frame(head_of(GOOD)) + a_bomb(),
    ],
    ids=["junk", "cut", "junk behind", "an empty frame", "bomb", "bomb behind the head"],
)
async def test_what_is_not_made_of_frames_is_refused_and_changes_nothing(server: Server, body: bytes) -> None:
    client = await server.client()
    answer = await post(client, body)
    assert (answer.status_code, answer.json()["code"]) == (400, "body_damaged"), answer.text
    assert await client.listed() == []
    assert server.app.state.services.budget.used_bytes == 0
    await stored(client, GOOD)


async def test_many_frames_that_hold_too_much_together_are_refused(server: Server) -> None:
    client = await server.client()
    frame = Encoder().frame(bytes(MAX_FRAME_BYTES))
    line = await post(client, frame * (MAX_HEAD_BYTES // MAX_FRAME_BYTES + 1))
    assert (line.status_code, line.json()["code"]) == (413, "too_large")
    contents = await post(client, body_of(GOOD) + frame * (2 * MAX_BATCH_BYTES // MAX_FRAME_BYTES))
    assert (contents.status_code, contents.json()["code"]) == (400, "body_wrong_length")


@pytest.mark.parametrize("what", ["batch", "chunk"])
async def test_half_a_frame_counts_as_memory(server: Server, what: str) -> None:
    client, budget, seen = await server.client(), server.app.state.services.budget, []
    half = Encoder().frame(content(MAX_FRAME_BYTES))[:-100]
    upload_id = await client.begin("/large", bytes(2 * MAX_FRAME_BYTES), chunk_size=2 * MAX_FRAME_BYTES)

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(half), 100_000):
            yield half[at : at + 100_000]
            seen.append(budget.used_bytes)

    url = "/api/batch" if what == "batch" else f"/api/uploads/{upload_id}/chunk/0"
    answer = await client.http.request("POST" if what == "batch" else "PUT", url, content=pieces(), headers=ZSTD)
    assert answer.json()["code"] == "body_damaged"
    assert seen[-1] - seen[0] > MAX_FRAME_BYTES / 2, "what is encoded, and what came of it"
    assert budget.used_bytes == 0


async def test_a_wrong_digest_is_refused_alone(server: Server) -> None:
    client = await server.client()
    bad, good = text(2000, 1), text(2000, 2)
    operations = [client_put("/bad", bad, gen=1) | {"sha256": sha(b"else")}, client_put("/good", good, gen=1)]
    results = (await post(client, body_of(*operations))).json()["results"]
    assert [each["status"] for each in results] == ["refused", "stored"]
    assert results[0]["code"] == "sha256_mismatch"
    assert await client.listed() == ["/good"]
    assert (await client.download(sha(good))).content == good


async def test_chunks_may_come_in_frames(server: Server) -> None:
    client = await server.client()
    data = text(2_500_000, 3) + content(600_000)
    size = 1 << 20
    upload_id = await client.begin("/large", data, chunk_size=size)
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    encoded = [b"".join(Encoder().frames(chunk)) for chunk in chunks]
    first = await client.put(upload_id, 0, encoded[0], **ZSTD)
    assert first.json() | {"etag": sha(chunks[0]), "received_bytes": size} == first.json()
    for wrong, code in (
        (encoded[1][:-1], "body_damaged"),
        (b"junk" + encoded[1], "body_damaged"),
        (a_bomb(), "body_damaged"),
        (encoded[2], "chunk_wrong_length"),
        (encoded[1] + Encoder().frame(b"x"), "chunk_wrong_length"),
    ):
        answer = await client.put(upload_id, 1, wrong, **ZSTD)
        assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert (await client.put(upload_id, 1, chunks[1])).status_code == 200, "as it is, beside encoded ones"
    assert (await client.put(upload_id, 1, encoded[1], **ZSTD)).json()["received_bytes"] == 0, "the same again"
    other = b"".join(Encoder().frames(bytes(size)))
    assert (await client.put(upload_id, 1, other, **ZSTD)).json()["code"] == "chunk_conflict"
    assert (await client.put(upload_id, 2, encoded[2], **ZSTD)).status_code == 200
    assert (await client.complete(upload_id)).status_code == 200
    extent = await extent_of(server, sha(data))
    assert extent.encoding == "zstd"
    assert server.blob(sha(data) + ".zst").stat().st_size == extent.stored_bytes < len(data)
    assert (await client.download(sha(data))).content == data
    for first, last in ((0, 9), (262_143, 262_144), (2_499_990, 2_600_000), (len(data) - 5, len(data) - 1)):
        answer = await client.download(sha(data), Range=f"bytes={first}-{last}")
        assert (answer.status_code, answer.content) == (206, data[first : last + 1])
    assert not server.staged()


async def test_a_new_version_is_made_of_compressed_content(server: Server) -> None:
    client = await server.client()
    data, size = text(3 << 20, 4), 1 << 20
    upload_id = await client.begin("/large", data, chunk_size=size)
    for number in range(3):
        await client.put(upload_id, number, data[number * size : (number + 1) * size])
    assert (await client.complete(upload_id)).status_code == 200
    new = data[:size] + content(size) + data[2 * size :]
    base = {"sha256": sha(data), "same": [[0, size - 1], [2 * size, 3 * size - 1]]}
    answer = await client.initiate("/large", new, chunk_size=size, gen=9, base=base)
    assert answer.json()["missing"] == [[1, 1]]
    await client.put(answer.json()["upload_id"], 1, new[size : 2 * size])
    assert (await client.complete(answer.json()["upload_id"])).status_code == 200
    assert (await client.download(sha(new))).content == new


async def test_damage_to_what_lies_compressed_is_found_and_mended(server: Server) -> None:
    client = await server.client()
    small, large = text(9000, 5), text(400_000, 6)
    await stored(client, client_put("/small", small, gen=1))
    upload_id = await client.begin("/large", large, chunk_size=1 << 20)
    await client.put(upload_id, 0, large)
    assert (await client.complete(upload_id)).status_code == 200
    for data in (small, large):
        extent = await extent_of(server, sha(data))
        path = server.blob(sha(data) + ".zst")
        if extent.container == "pack":
            path = server.data_dir / "packs" / f"{extent.name}.pack"
        flip(path, extent.offset + 300)
    assert await contents_of(client, [sha(small)]) == {sha(small): None}
    found = await server.app.state.admin.run("check", {})
    assert found["damaged"] == [sha(large)], "the small one was put aside already"
    assert len(list((server.data_dir / "quarantine").iterdir())) == 2
    await stored(client, client_put("/small", small, gen=2))
    assert (await client.download(sha(small))).content == small


def flip(path: Path, at: int) -> None:
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0xFF]))


async def test_records_are_made_again_from_compressed_packs_and_files(running: Any) -> None:
    small = {f"/{n}": text(500 + n, n) for n in range(30)}
    large = text(400_000, 6)
    async with running() as server:
        client = await server.client()
        await stored(client, *(client_put(path, data, gen=1) for path, data in small.items()))
        upload_id = await client.begin("/large", large, chunk_size=1 << 20)
        await client.put(upload_id, 0, large)
        assert (await client.complete(upload_id)).status_code == 200
        data_dir, api_key = server.data_dir, client.api_key
        before = {sha(data): await extent_of(server, sha(data)) for data in [*small.values(), large]}
    report = await offline.rebuild(Settings(data_dir=data_dir), force=True)
    assert (report["damaged"], report["files_without_content"], report["blobs"]) == (0, 0, 32)
    assert report["bytes"] == sum(map(len, small.values())) + len(large)
    async with running() as server:
        assert server.data_dir == data_dir
        again = Client(server.http({"Authorization": f"Bearer {api_key}"}), api_key)
        for data in [*small.values(), large]:
            assert await extent_of(server, sha(data)) == before[sha(data)]
            assert (await again.download(sha(data))).content == data


async def test_a_pack_that_is_rewritten_stays_compressed(running: Any, clock: Any) -> None:
    import os

    files = {f"/{n}": text(40_000, n) for n in range(200)}
    async with running(storage={"pack_size_mb": 1, "pack_grace_seconds": 60}) as server:
        client = await server.client()
        for start in range(0, 200, 20):
            some = list(files.items())[start : start + 20]
            await stored(client, *(client_put(path, data, gen=1) for path, data in some))
        kept = dict(list(files.items())[::5])
        metadata = server.app.state.services.files._metadata
        gone = [sha(data) for path, data in files.items() if path not in kept]
        for digest, blob in (await metadata.find_blobs(gone)).items():
            assert await metadata.distrust_content(digest, blob.location)
        before = {digest: await extent_of(server, digest) for digest in map(sha, kept.values())}
        for path in (server.data_dir / "packs").iterdir():
            os.utime(path, (0, 0))
        assert (await server.app.state.admin.run("compact", {}))["rewritten"] >= 1
        moved = 0
        for data in kept.values():
            extent = await extent_of(server, sha(data))
            moved += extent.name != before[sha(data)].name
            assert extent.encoding == "zstd"
            assert (await client.download(sha(data))).content == data
        assert moved


async def test_a_server_that_is_told_so_keeps_everything_plain(running: Any) -> None:
    async with running(storage={"compression": "never"}) as server:
        client = await server.client()
        small, large = text(9000, 5), text(400_000, 6)
        await stored(client, client_put("/small", small, gen=1))
        upload_id = await client.begin("/large", large, chunk_size=1 << 20)
        await client.put(upload_id, 0, b"".join(Encoder().frames(large)), **ZSTD)
        assert (await client.complete(upload_id)).status_code == 200
        for data in (small, large):
            assert (await extent_of(server, sha(data))).encoding == "plain"
            assert (await client.download(sha(data))).content == data
