"""Whoever is refused in the middle of an upload is told where it stands."""

import asyncio
from typing import Any

import httpx
import pytest
from serving import CHUNK, Client, Server, content, sha

DATA = content(3 * CHUNK)


def chunk(number: int) -> bytes:
    return DATA[number * CHUNK : (number + 1) * CHUNK]


def told(answer: httpx.Response) -> tuple[int, str, Any]:
    return answer.status_code, answer.json()["code"], answer.json().get("upload")


def state(status: str, missing: list[list[int]]) -> dict[str, Any]:
    count = 3 - sum(last - first + 1 for first, last in missing)
    return {"status": status, "missing": missing, "uploaded_count": count, "total_chunks": 3}


async def begun(client: Client) -> str:
    upload_id = await client.begin("/a", DATA, gen=5)
    assert (await client.put(upload_id, 1, chunk(1))).status_code == 200
    return upload_id


OPEN = state("uploading", [[0, 0], [2, 2]])


async def test_of_an_open_upload(client: Client) -> None:
    upload_id = await begun(client)
    assert told(await client.complete(upload_id)) == (400, "not_all_chunks_uploaded", OPEN)
    assert told(await client.put(upload_id, 1, chunk(0))) == (422, "chunk_conflict", OPEN)
    assert told(await client.put(upload_id, 0, b"short")) == (400, "chunk_wrong_length", OPEN)
    assert told(await client.put(upload_id, 9, chunk(0))) == (400, "chunk_out_of_range", OPEN)
    wrong = {"Content-Digest": "sha-256=:" + "A" * 43 + "=:"}
    assert told(await client.put(upload_id, 0, chunk(0), **wrong)) == (422, "sha256_mismatch", OPEN)
    assert told(await client.complete(upload_id, sha256="0" * 64)) == (422, "invalid_request", OPEN)
    part = {"chunk_num": 0, "etag": sha(chunk(0))}
    assert told(await client.complete(upload_id, parts=[part])) == (400, "unknown_chunk", OPEN)


async def test_of_a_chunk_that_somebody_newer_sends(client: Client) -> None:
    upload_id = await begun(client)
    reached = asyncio.Event()

    async def stalling():
        yield b"x"
        reached.set()
        await asyncio.Event().wait()

    first = asyncio.create_task(client.http.put(f"/api/uploads/{upload_id}/chunk/0", content=stalling()))
    await reached.wait()
    assert (await client.put(upload_id, 0, chunk(0))).status_code == 200
    status, code, upload = told(await first)
    assert (status, code) == (423, "chunk_superseded")
    assert upload["total_chunks"] == 3


async def test_of_a_completed_upload(client: Client) -> None:
    upload_id = await begun(client)
    await client.send(upload_id, DATA)
    assert (await client.complete(upload_id)).status_code == 200
    done = state("completed", [])
    assert told(await client.put(upload_id, 1, chunk(1))) == (409, "already_completed", done)
    assert told(await client.http.delete(f"/api/uploads/{upload_id}")) == (409, "already_completed", done)


async def test_of_an_aborted_upload(client: Client) -> None:
    upload_id = await begun(client)
    assert (await client.http.delete(f"/api/uploads/{upload_id}")).status_code == 200
    for answer in (await client.put(upload_id, 1, chunk(1)), await client.complete(upload_id)):
        status, code, upload = told(answer)
        assert (status, code, upload["status"]) == (410, "upload_aborted", "aborted")


async def test_of_an_expired_upload(client: Client, server: Server) -> None:
    upload_id = await begun(client)
    server.clock.pass_seconds(10_000)
    assert told(await client.put(upload_id, 0, chunk(0)))[:2] == (410, "upload_expired")
    await server.app.state.services.uploads.clean()
    for answer in (await client.complete(upload_id), await client.http.get(f"/api/uploads/{upload_id}")):
        status, code, upload = told(answer)
        assert (status, code, upload["status"]) == (410, "upload_expired", "expired")


async def test_of_an_outdated_upload(client: Client) -> None:
    upload_id = await begun(client)
    await client.send(upload_id, DATA)
    await client.upload("/a", content(10), gen=6)
    status, code, upload = told(await client.complete(upload_id))
    assert (status, code, upload["status"]) == (412, "stale", "aborted")


async def test_nothing_of_anothers_upload(client: Client, server: Server) -> None:
    upload_id = await begun(client)
    eve = await server.client("eve")
    assert told(await eve.put(upload_id, 0, chunk(0))) == (404, "upload_not_found", None)


async def test_of_very_many_gaps_only_the_first(client: Client) -> None:
    data = content(5000)
    upload_id = await client.begin("/a", data * 2048, chunk_size=1024)  # 10,000 chunks
    whole = data * 2048
    for n in range(1, 2400, 2):
        assert (await client.put(upload_id, n, whole[n * CHUNK : (n + 1) * CHUNK])).status_code == 200
    answer = (await client.complete(upload_id)).json()
    assert len(answer["missing"]) == 1201
    assert answer["upload"]["missing"] == answer["missing"][:1000]


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd, gzip", "identity, gzip"])
async def test_bodies_that_are_compressed_in_other_ways_are_refused(client: Client, encoding: str) -> None:
    upload_id = await begun(client)
    headers = {"Content-Encoding": encoding}
    assert told(await client.put(upload_id, 0, chunk(0), **headers))[:2] == (415, "unsupported_encoding")
    answer = await client.http.post("/api/files/deletions", content=b"{}", headers=headers)
    assert told(answer)[:2] == (415, "unsupported_encoding")
    assert (await client.put(upload_id, 0, chunk(0), **{"Content-Encoding": "identity"})).status_code == 200
