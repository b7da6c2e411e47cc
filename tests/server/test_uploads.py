"""Uploading, as a client sees it."""

import asyncio
import base64
import hashlib
import json

import pytest
from serving import CHUNK, Client, Server, content, sha


async def test_a_file_arrives_and_comes_back_equal(client: Client, server: Server) -> None:
    data = content(2 * CHUNK + 5)
    started = await client.initiate("/docs/a.txt", data, mtime_ns=1_700_000_000_123_456_789, mode=0o640)
    answer = started.json()
    assert answer["chunk_size"] == CHUNK
    assert answer["total_chunks"] == 3
    assert answer["missing"] == [[0, 2]]
    assert answer["chunk_urls"][2] == f"/api/uploads/{answer['upload_id']}/chunk/2"
    chunk = await client.put(answer["upload_id"], 2, data[2 * CHUNK :])
    assert chunk.json() == {
        "chunk_num": 2,
        "etag": sha(data[2 * CHUNK :]),
        "received_bytes": 5,
        "uploaded_chunks": 1,
        "total_chunks": 3,
    }
    await client.put(answer["upload_id"], 0, data[:CHUNK])
    await client.put(answer["upload_id"], 1, data[CHUNK : 2 * CHUNK])
    done = (await client.complete(answer["upload_id"])).json()
    assert done["status"] == "completed"
    assert done["storage_location"] == f"sha256:{sha(data)}"
    assert done["receipt"] | {"server_id": "", "stored_at": ""} == {
        "server_id": "",
        "owner": "bob",
        "host_id": "laptop",
        "filepath": "/docs/a.txt",
        "filepath_b64": None,
        "gen": 1,
        "sha256": sha(data),
        "size": len(data),
        "stored_at": "",
        "kind": "file",
        "status": "active",
        "sequence": 1,
        "proof": done["receipt"]["proof"],
    }
    listed = (await client.http.get("/api/files")).json()
    assert listed["total"] == 1
    assert listed["files"][0]["mtime_ns"] == 1_700_000_000_123_456_789
    assert listed["files"][0]["mode"] == 0o640
    assert listed["files"][0]["mtime"] == "2023-11-14T22:13:20.123Z"
    assert (await client.download(sha(data))).content == data
    assert server.staged() == []
    stats = await server.stats()
    assert (stats["files"], stats["bytes_stored"], stats["bytes_received"]) == (1, len(data), len(data))
    assert stats["chunks_received"] == 3
    assert stats["fsyncs"] > 0


async def test_an_empty_file_needs_no_chunk(client: Client) -> None:
    started = (await client.initiate("/empty", b"")).json()
    assert (started["total_chunks"], started["missing"]) == (0, [])
    assert (await client.complete(started["upload_id"], parts=[])).status_code == 200
    assert (await client.download(sha(b""))).content == b""


async def test_an_empty_file_may_send_one_empty_chunk(client: Client) -> None:
    started = (await client.initiate("/empty", b"", total_chunks=1, chunk_size=...)).json()
    assert started["missing"] == [[0, 0]]
    assert (await client.put(started["upload_id"], 0, b"")).status_code == 200
    assert (await client.complete(started["upload_id"])).status_code == 200


async def test_names_are_bytes(client: Client) -> None:
    for name in (b"/caf\xe9/\xff\n", b"/a\xf0\x9f\x98\x80 %_'\"", b"/x" * 2000):
        encoded = base64.b64encode(name).decode()
        receipt = await client.upload("shown", b"data", filepath_b64=encoded)
        files = (await client.http.get("/api/files", params={"limit": 1000})).json()["files"]
        shown = {base64.b64decode(f["filepath_b64"]) if f["filepath_b64"] else f["filepath"].encode() for f in files}
        assert name in shown
        assert receipt["filepath_b64"] in (None, encoded)


@pytest.mark.parametrize("path", ["", "a\0b", "\ud800", "x" * 4096])
async def test_impossible_names_are_refused(client: Client, path: str) -> None:
    body = b'{"filepath": %s, "file_size": 0}' % json.dumps(path).encode()
    answer = await client.http.post("/api/uploads/initiate", content=body)
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_request"
    assert answer.json()["errors"][0]["message"]


async def test_initiate_again_is_the_same_upload_with_what_is_missing(client: Client) -> None:
    data = content(3 * CHUNK)
    upload_id = await client.begin("/a", data, gen=4)
    await client.put(upload_id, 1, data[CHUNK : 2 * CHUNK])
    again = (await client.initiate("/a", data, gen=4)).json()
    assert again["upload_id"] == upload_id
    assert again["missing"] == [[0, 0], [2, 2]]
    assert await client.begin("/a", data, gen=5) != upload_id
    assert await client.begin("/a", content(3 * CHUNK, 1), gen=4) != upload_id
    assert await client.begin("/b", data, gen=4) != upload_id


async def test_a_chunk_sent_twice_counts_once(client: Client, server: Server) -> None:
    data = content(2 * CHUNK)
    upload_id = await client.begin("/a", data)
    first = await client.put(upload_id, 0, data[:CHUNK])
    again = await client.put(upload_id, 0, data[:CHUNK])
    assert first.json()["etag"] == again.json()["etag"]
    assert (first.json()["received_bytes"], again.json()["received_bytes"]) == (CHUNK, 0)
    assert again.json()["uploaded_chunks"] == 1
    stats = await server.stats()
    assert (stats["bytes_received"], stats["bytes_duplicate"]) == (CHUNK, CHUNK)


async def test_another_body_for_a_recorded_chunk_changes_nothing(client: Client) -> None:
    data = content(CHUNK)
    upload_id = await client.begin("/a", data)
    await client.put(upload_id, 0, data)
    conflict = await client.put(upload_id, 0, content(CHUNK, 1))
    assert (conflict.status_code, conflict.json()["code"]) == (422, "chunk_conflict")
    assert (await client.complete(upload_id)).status_code == 200


@pytest.mark.parametrize("size", [CHUNK - 1, CHUNK + 1, 0, 3 * CHUNK])
@pytest.mark.parametrize("announced", [True, False])
async def test_a_chunk_of_the_wrong_length_is_not_recorded(client: Client, size: int, announced: bool) -> None:
    upload_id = await client.begin("/a", content(2 * CHUNK))
    body = content(size)

    async def pieces():  # without a length, httpx sends it chunked
        for start in range(0, size, 100):
            yield body[start : start + 100]

    answer = await client.http.put(f"/api/uploads/{upload_id}/chunk/0", content=body if announced else pieces())
    assert (answer.status_code, answer.json()["code"]) == (400, "chunk_wrong_length")
    assert (await client.http.get(f"/api/uploads/{upload_id}")).json()["missing"] == [[0, 1]]


async def test_a_body_sent_without_length_is_fine(client: Client) -> None:
    data = content(CHUNK)
    upload_id = await client.begin("/a", data)

    async def pieces():
        yield data[:10]
        yield data[10:]

    answer = await client.http.put(f"/api/uploads/{upload_id}/chunk/0", content=pieces())
    assert answer.status_code == 200


async def test_a_chunk_larger_than_a_piece_arrives_whole(client: Client) -> None:
    data = content(3 * 1024 * 1024 + 17)
    upload_id = await client.begin("/big", data, chunk_size=4 * 1024 * 1024)

    async def pieces():
        for start in range(0, len(data), 65_536):
            yield data[start : start + 65_536]

    answer = await client.http.put(f"/api/uploads/{upload_id}/chunk/0", content=pieces())
    assert answer.json()["etag"] == sha(data)
    assert (await client.complete(upload_id)).status_code == 200


@pytest.mark.parametrize("number", [2, -1, 10**9])
async def test_a_chunk_number_outside_is_refused(client: Client, number: int) -> None:
    upload_id = await client.begin("/a", content(2 * CHUNK))
    answer = await client.put(upload_id, number, b"x")
    assert (answer.status_code, answer.json()["code"]) == (400, "chunk_out_of_range")


async def test_a_wrong_content_digest_is_refused_and_nothing_recorded(client: Client) -> None:
    data = content(CHUNK)
    upload_id = await client.begin("/a", data)
    digest = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    answer = await client.put(upload_id, 0, data, **{"Content-Digest": f"sha-256=:{digest}:"})
    assert answer.status_code == 422
    right = base64.b64encode(hashlib.sha256(data).digest()).decode()
    answer = await client.put(upload_id, 0, data, **{"Content-Digest": f"sha-256=:{right}:"})
    assert answer.json()["uploaded_chunks"] == 1


async def test_chunks_may_arrive_all_at_once(client: Client) -> None:
    data = content(40 * CHUNK)
    upload_id = await client.begin("/a", data)
    answers = await asyncio.gather(
        *(client.put(upload_id, n, data[n * CHUNK : (n + 1) * CHUNK]) for n in reversed(range(40)))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert (await client.complete(upload_id)).status_code == 200
    assert (await client.download(sha(data))).content == data


async def test_the_same_chunk_many_times_at_once_is_one_chunk(client: Client, server: Server) -> None:
    data = content(CHUNK)
    upload_id = await client.begin("/a", data)
    answers = await asyncio.gather(*(client.put(upload_id, 0, data) for _ in range(16)))
    assert {answer.status_code for answer in answers} <= {200, 423}
    assert (await server.stats())["chunks_received"] == 1
    assert (await client.complete(upload_id)).status_code == 200


async def test_a_newer_request_for_a_chunk_takes_over_from_a_stuck_one(client: Client) -> None:
    data = content(2 * CHUNK)
    upload_id = await client.begin("/a", data)
    stuck, reached = asyncio.Event(), asyncio.Event()

    async def pieces():
        yield b"wrong" * 10
        reached.set()
        await stuck.wait()
        yield b"never"

    old = asyncio.create_task(client.http.put(f"/api/uploads/{upload_id}/chunk/0", content=pieces()))
    await reached.wait()
    new = await client.put(upload_id, 0, data[:CHUNK])
    assert new.status_code == 200
    answer = await old
    assert (answer.status_code, answer.json()["code"]) == (423, "chunk_superseded")
    assert answer.headers["Retry-After"]
    await client.put(upload_id, 1, data[CHUNK:])
    assert (await client.complete(upload_id)).status_code == 200
    assert (await client.download(sha(data))).content == data


async def test_an_incomplete_upload_says_what_is_missing(client: Client) -> None:
    data = content(5 * CHUNK)
    upload_id = await client.begin("/a", data)
    await client.put(upload_id, 2, data[2 * CHUNK : 3 * CHUNK])
    answer = await client.complete(upload_id)
    assert (answer.status_code, answer.json()["code"]) == (400, "not_all_chunks_uploaded")
    assert answer.json()["missing"] == [[0, 1], [3, 4]]
    assert "not all chunks uploaded" in answer.json()["detail"].lower()


async def test_content_other_than_announced_is_refused_and_the_upload_ends(client: Client) -> None:
    upload_id = await client.begin("/a", content(CHUNK))
    await client.put(upload_id, 0, content(CHUNK, 1))
    answer = await client.complete(upload_id)
    assert (answer.status_code, answer.json()["code"]) == (400, "sha256_mismatch")
    assert "sha256 mismatch" in answer.json()["detail"].lower()
    for gone in (await client.complete(upload_id), await client.put(upload_id, 0, content(CHUNK))):
        assert (gone.status_code, gone.json()["code"]) == (410, "upload_aborted")
    assert await client.listed() == []
    await client.upload("/a", content(CHUNK))


async def test_parts_are_checked(client: Client) -> None:
    data = content(2 * CHUNK)
    upload_id = await client.begin("/a", data)
    await client.send(upload_id, data)
    etags = [sha(data[:CHUNK]), sha(data[CHUNK:])]
    wrong = await client.complete(upload_id, parts=[{"chunk_num": 0, "etag": etags[1]}])
    assert (wrong.status_code, wrong.json()["code"]) == (400, "etag_mismatch")
    unknown = await client.complete(upload_id, parts=[{"chunk_num": 7, "etag": etags[1]}])
    assert (unknown.status_code, unknown.json()["code"]) == (400, "unknown_chunk")
    right = await client.complete(upload_id, parts=[{"chunk_num": n, "etag": etags[n]} for n in (0, 1)])
    assert right.status_code == 200


async def test_complete_needs_no_body(client: Client) -> None:
    data = content(10)
    upload_id = await client.begin("/a", data)
    await client.send(upload_id, data)
    assert (await client.http.post(f"/api/uploads/{upload_id}/complete")).status_code == 200


async def test_complete_many_times_at_once_gives_one_receipt(client: Client, server: Server) -> None:
    data = content(4 * CHUNK)
    upload_id = await client.begin("/a", data)
    await client.send(upload_id, data)
    answers = await asyncio.gather(*(client.complete(upload_id) for _ in range(16)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert (await client.complete(upload_id)).text == answers[0].text
    assert (await server.stats())["uploads_completed"] == 1


async def test_the_same_content_completed_by_many_at_once_is_one_blob(client: Client, server: Server) -> None:
    data = content(4 * CHUNK)
    receipts = await asyncio.gather(*(client.upload(f"/copy/{n}", data) for n in range(12)))
    assert len({receipt["sequence"] for receipt in receipts}) == 12
    assert (await server.stats())["blobs"] == 1
    assert server.staged() == []


async def test_content_the_owner_has_needs_no_bytes(client: Client, server: Server) -> None:
    data = content(3 * CHUNK)
    await client.upload("/a", data)
    started = (await client.initiate("/b", data)).json()
    assert started["missing"] == []
    assert (await client.complete(started["upload_id"])).status_code == 200
    assert await client.listed() == ["/a", "/b"]
    assert (await server.stats())["bytes_received"] == len(data)


async def test_a_client_that_sends_known_content_all_the_same_is_served(client: Client) -> None:
    data = content(2 * CHUNK)
    await client.upload("/a", data)
    upload_id = await client.begin("/b", data)
    await client.send(upload_id, data)
    parts = [{"chunk_num": n, "etag": sha(data[n * CHUNK : (n + 1) * CHUNK])} for n in range(2)]
    assert (await client.complete(upload_id, parts=parts)).status_code == 200


async def test_known_content_that_is_gone_is_asked_for_again(server_of_files: Server) -> None:
    server = server_of_files
    client = await server.client()
    data = content(2 * CHUNK)
    await client.upload("/a", data)
    early = (await client.initiate("/early", data)).json()
    server.blob(sha(data)).unlink()
    refused = await client.complete(early["upload_id"])
    assert refused.json()["missing"] == [[0, 1]]
    await client.send(early["upload_id"], data)
    assert (await client.complete(early["upload_id"])).status_code == 200
    assert (await client.download(sha(data))).content == data


async def test_a_streaming_client_gives_the_digest_at_complete(client: Client) -> None:
    data = content(2 * CHUNK)
    upload_id = await client.begin("/a", data, sha256=None)
    await client.send(upload_id, data)
    needed = await client.complete(upload_id)
    assert needed.status_code == 422
    assert (await client.complete(upload_id, sha256=sha(data))).json()["sha256"] == sha(data)


async def test_complete_may_not_change_the_digest(client: Client) -> None:
    upload_id = await client.begin("/a", b"x")
    await client.send(upload_id, b"x")
    assert (await client.complete(upload_id, sha256=sha(b"y"))).status_code == 422
    assert (await client.complete(upload_id, sha256=sha(b"x"))).status_code == 200


async def test_abort_removes_what_arrived_and_may_be_repeated(client: Client, server: Server) -> None:
    data = content(2 * CHUNK)
    upload_id = await client.begin("/a", data)
    await client.put(upload_id, 0, data[:CHUNK])
    first = await client.http.delete(f"/api/uploads/{upload_id}")
    assert first.json() == {"upload_id": upload_id, "status": "aborted", "chunks_uploaded": 1, "chunks_deleted": 1}
    assert server.staged() == []
    assert (await client.http.delete(f"/api/uploads/{upload_id}")).status_code == 200
    assert (await client.put(upload_id, 1, data[CHUNK:])).status_code == 410
    assert (await client.http.get(f"/api/uploads/{upload_id}")).json()["status"] == "aborted"
    assert await client.begin("/a", data) != upload_id


async def test_abort_after_completion_keeps_the_content(client: Client) -> None:
    data = content(10)
    upload_id = await client.begin("/a", data)
    await client.send(upload_id, data)
    await client.complete(upload_id)
    answer = await client.http.delete(f"/api/uploads/{upload_id}")
    assert (answer.status_code, answer.json()["code"]) == (409, "already_completed")
    assert (await client.download(sha(data))).content == data


async def test_abort_against_complete_is_one_or_the_other(client: Client, server: Server) -> None:
    for n in range(10):
        data = content(2 * CHUNK, n)
        upload_id = await client.begin(f"/{n}", data)
        await client.send(upload_id, data)
        aborted, completed = await asyncio.gather(
            client.http.delete(f"/api/uploads/{upload_id}"), client.complete(upload_id)
        )
        assert (aborted.status_code, completed.status_code) in {(200, 410), (409, 200)}
        assert (f"/{n}" in await client.listed(limit=100)) == (completed.status_code == 200)
    assert server.staged() == []


async def test_abort_ends_a_chunk_that_is_still_arriving(client: Client, server: Server) -> None:
    upload_id = await client.begin("/a", content(2 * CHUNK))
    stuck, reached = asyncio.Event(), asyncio.Event()

    async def pieces():
        yield b"x"
        reached.set()
        await stuck.wait()

    old = asyncio.create_task(client.http.put(f"/api/uploads/{upload_id}/chunk/0", content=pieces()))
    await reached.wait()
    assert (await client.http.delete(f"/api/uploads/{upload_id}")).status_code == 200
    assert (await old).json()["code"] == "upload_aborted"
    assert server.staged() == []


async def test_the_status_shows_where_an_upload_stands(client: Client) -> None:
    data = content(2 * CHUNK)
    upload_id = await client.begin("/a", data)
    url = f"/api/uploads/{upload_id}"
    assert (await client.http.get(url)).json()["status"] == "initiated"
    await client.put(upload_id, 1, data[CHUNK:])
    shown = (await client.http.get(url + "?chunks=1")).json()
    assert (shown["status"], shown["uploaded_count"], shown["missing"]) == ("uploading", 1, [[0, 0]])
    assert [(c["chunk_num"], c["etag"]) for c in shown["uploaded_chunks"]] == [(1, sha(data[CHUNK:]))]
    await client.put(upload_id, 0, data[:CHUNK])
    await client.complete(upload_id)
    shown = (await client.http.get(url)).json()
    assert (shown["status"], shown["storage_location"]) == ("completed", f"sha256:{sha(data)}")
    assert shown["completed_at"].endswith("Z")


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"chunk_size": 1023}, 413, "too_large"),
        ({"chunk_size": 64 * 1024 * 1024 + 1}, 413, "too_large"),
        ({"file_size": 200_001 * 1024}, 413, "too_large"),
        ({"file_size": 5000, "total_chunks": 3}, 422, "geometry"),
        ({"file_size": 0, "total_chunks": 2}, 422, "geometry"),
        ({"kind": "dir"}, 422, "unsupported_kind"),
        ({"kind": "fifo"}, 422, "invalid_request"),
        ({"sha256": "A" * 64}, 422, "invalid_request"),
        ({"sha256": "a" * 64 + "\n"}, 422, "invalid_request"),
        ({"file_size": -1}, 422, "invalid_request"),
        ({"file_size": 2**53}, 422, "invalid_request"),
        ({"file_size": "5"}, 422, "invalid_request"),
        ({"filepath_b64": "!!"}, 422, "invalid_request"),
        ({"hostname": "h" * 256}, 422, "invalid_request"),
    ],
)
async def test_what_cannot_be_is_refused(client: Client, more: dict, status: int, code: str) -> None:
    answer = await client.initiate("/a", b"x", **more)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_geometry_is_the_clients_where_it_states_one(client: Client) -> None:
    size = 20 * 1024 * 1024

    async def shape(**more) -> tuple[int, int]:
        answer = (await client.initiate(f"/{more}", b"", file_size=size, **({"chunk_size": ...} | more))).json()
        return answer["chunk_size"], answer["total_chunks"]

    mib = 1024 * 1024
    assert await shape() == (2 * mib, 10)
    assert await shape(total_chunks=10) == (2 * mib, 10)
    assert await shape(chunk_size=5 * mib) == (5 * mib, 4)
    assert await shape(max_chunk_size=64 * mib) == (4 * mib, 5)
    assert await shape(max_chunk_size=3 * mib) == (3 * mib, 7)


KIB = 1024


@pytest.mark.parametrize(
    "again", [{"max_chunk_size": 2 * KIB}, {"max_chunk_size": 64 * KIB}, {"max_chunk_size": 4 * KIB}, {}]
)
@pytest.mark.parametrize("digest", [{}, {"sha256": None}], ids=["digest", "no digest"])
async def test_another_proposal_loses_no_progress(client: Client, again: dict, digest: dict) -> None:
    data = content(10 * KIB)
    same = {"gen": 3, "chunk_size": ...} | digest
    begun = (await client.initiate("/a", data, **same, max_chunk_size=4 * KIB)).json()
    assert (begun["chunk_size"], begun["missing"]) == (4 * KIB, [[0, 2]])
    await client.put(begun["upload_id"], 1, data[4 * KIB : 8 * KIB])
    resumed = (await client.initiate("/a", data, **same, **again)).json()
    assert resumed["upload_id"] == begun["upload_id"]
    assert (resumed["chunk_size"], resumed["total_chunks"], resumed["missing"]) == (4 * KIB, 3, [[0, 0], [2, 2]])
    await client.put(begun["upload_id"], 0, data[: 4 * KIB])
    await client.put(begun["upload_id"], 2, data[8 * KIB :])
    assert (await client.complete(begun["upload_id"], sha256=sha(data))).status_code == 200
    assert (await client.download(sha(data))).content == data


@pytest.mark.parametrize(
    "other",
    [
        {"gen": 4},
        {"gen": ...},
        {"file_size": 9 * KIB},
        {"sha256": "a" * 64},
        {"hostname": "another"},
        {"filepath": "/b"},
        {"chunk_size": 2 * KIB},
        {"total_chunks": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("digest", [{}, {"sha256": None}], ids=["digest", "no digest"])
async def test_only_the_same_version_goes_on(client: Client, other: dict, digest: dict) -> None:
    data = content(10 * KIB)
    same = {"gen": 3, "chunk_size": ..., "max_chunk_size": 4 * KIB} | digest
    begun = (await client.initiate("/a", data, **same)).json()
    await client.put(begun["upload_id"], 0, data[: 4 * KIB])
    another = await client.initiate("/a", data, **(same | other))
    assert another.status_code == 201, another.text
    assert another.json()["upload_id"] != begun["upload_id"]


async def test_without_digest_and_generation_nothing_says_that_it_is_the_same(client: Client) -> None:
    data = content(10 * KIB)
    begun = (await client.initiate("/a", data, sha256=None)).json()
    await client.put(begun["upload_id"], 0, data[:CHUNK])
    assert (await client.initiate("/a", data, sha256=None)).json()["upload_id"] != begun["upload_id"]


async def test_other_content_under_the_same_generation_is_never_mixed(client: Client) -> None:
    """A client that gives no digest and breaks its word about the generation gets no receipt."""
    data, other = content(2 * CHUNK), content(2 * CHUNK, seed=1)
    begun = (await client.initiate("/a", data, sha256=None, gen=3)).json()
    await client.put(begun["upload_id"], 0, data[:CHUNK])
    again = (await client.initiate("/a", other, sha256=None, gen=3)).json()
    assert again["upload_id"] == begun["upload_id"]
    await client.put(again["upload_id"], 1, other[CHUNK:])
    refused = await client.complete(again["upload_id"], sha256=sha(other))
    assert (refused.status_code, refused.json()["code"]) == (400, "sha256_mismatch")


async def test_an_upload_of_which_nothing_arrived_takes_the_new_proposal(client: Client) -> None:
    data = content(10 * KIB)
    begun = (await client.initiate("/a", data, chunk_size=..., max_chunk_size=4 * KIB)).json()
    again = (await client.initiate("/a", data, chunk_size=..., max_chunk_size=2 * KIB)).json()
    assert (again["chunk_size"], again["upload_id"] != begun["upload_id"]) == (2 * KIB, True)
    same = (await client.initiate("/a", data, chunk_size=..., max_chunk_size=2 * KIB)).json()
    assert same["upload_id"] == again["upload_id"]


async def test_long_uploads_list_no_urls(client: Client) -> None:
    answer = (await client.initiate("/a", b"", file_size=1001 * CHUNK)).json()
    assert answer["chunk_urls"] == []
    assert answer["missing"] == [[0, 1000]]


async def test_requests_of_older_clients_are_understood(client: Client) -> None:
    """No hostname, extra fields, no content type, no chunk size."""
    body = b'{"filepath": "/old", "sha256": "%s", "file_size": 3, "total_chunks": 1, "ip_address": "::1", "x": 1}'
    answer = await client.http.post("/api/uploads/initiate", content=body % sha(b"abc").encode())
    assert answer.status_code == 201
    await client.put(answer.json()["upload_id"], 0, b"abc")
    assert (await client.complete(answer.json()["upload_id"])).status_code == 200
    assert (await client.http.get("/api/files")).json()["files"][0]["host_id"] == ""
