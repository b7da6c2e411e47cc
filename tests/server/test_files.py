"""Versions, listings, downloads and deletions, as a client sees them."""

import base64

import pytest
from serving import CHUNK, Client, Server, client_put, content, sha


async def test_a_new_version_replaces_the_old_one_in_the_listing(client: Client) -> None:
    await client.upload("/a", b"one", gen=1)
    receipt = await client.upload("/a", b"two", gen=5)
    [file] = (await client.http.get("/api/files")).json()["files"]
    assert (file["sha256"], file["gen"]) == (sha(b"two"), 5)
    assert receipt["sequence"] == 2
    assert (await client.download(sha(b"one"))).content == b"one"


async def test_an_older_generation_is_stale_at_initiate(client: Client) -> None:
    await client.upload("/a", b"new", gen=7)
    for more in ({"gen": 6}, {"gen": 7}, {"gen": 0}):
        answer = await client.initiate("/a", b"old", **more)
        assert (answer.status_code, answer.json()["code"], answer.json()["gen"]) == (412, "stale", 7)


async def test_an_older_generation_is_stale_at_complete_and_its_content_stays(client: Client, server: Server) -> None:
    late = await client.begin("/a", b"late", gen=1)
    await client.send(late, b"late")
    await client.upload("/a", b"new", gen=2)
    answer = await client.complete(late)
    assert (answer.status_code, answer.json()["code"], answer.json()["gen"]) == (412, "stale", 2)
    assert (await client.complete(late)).status_code == 410
    assert await server.holds(sha(b"late"))
    [file] = (await client.http.get("/api/files")).json()["files"]
    assert file["sha256"] == sha(b"new")


async def test_the_same_version_again_is_a_repeat_with_the_same_receipt(client: Client, server: Server) -> None:
    receipt = await client.upload("/a", b"data", gen=3)
    again = (await client.initiate("/a", b"data", gen=3)).json()
    assert again["missing"] == []
    assert (await client.complete(again["upload_id"])).json()["receipt"] == receipt
    assert (await server.stats())["bytes_received"] == 4


async def test_without_a_generation_the_last_to_complete_is_newest(client: Client) -> None:
    await client.upload("/other", b"x", gen=41)
    first, second = await client.begin("/a", b"first"), await client.begin("/a", b"second")
    await client.send(first, b"first")
    await client.send(second, b"second")
    gens = [(await client.complete(upload)).json()["receipt"]["gen"] for upload in (second, first)]
    assert gens == [42, 43]
    assert (await client.http.get("/api/hosts/laptop")).json()["highest_gen"] == 43


@pytest.mark.parametrize("field", ["hostname", "host_id"])
@pytest.mark.parametrize("name", ["lap\ntop", "a\0", "\x1b[2Jx", "\x7f", "\x85"])
async def test_a_host_with_control_characters_in_its_name_is_refused(client: Client, field: str, name: str) -> None:
    for answer in (
        await client.initiate("/a", b"x", **{field: name}),
        await client.batch(client_put("/a", b"x"), **{field: name}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert [each["field"] for each in answer.json()["errors"]] == [field]
        assert "control characters" in answer.json()["errors"][0]["message"]
    assert (await client.initiate("/a", b"x", **{field: "Jos\u00e9's laptop \u6587"})).status_code == 201


async def test_hosts_are_told_apart_by_id_and_hostname_is_a_label(client: Client) -> None:
    await client.upload("/a", b"1", host_id="id-1", gen=5)
    await client.upload("/a", b"2", host_id="id-2", gen=2)
    files = (await client.http.get("/api/files", params={"hostname": "laptop"})).json()["files"]
    assert [(f["host_id"], f["hostname"], f["gen"]) for f in files] == [("id-1", "laptop", 5), ("id-2", "laptop", 2)]
    assert await client.listed(host_id="id-2") == ["/a"]
    assert await client.listed(hostname="id-2") == []
    host = await client.http.get("/api/hosts/id-1")
    assert host.json() == {"host_id": "id-1", "hostname": "laptop", "highest_gen": 5, "shared": False}
    missing = await client.http.get("/api/hosts/laptop")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


PATHS = ["/a", "/a/b", "/a/b/c", "/a/b%", "/a/bc", "/a/b_", "/a_b", "/A/b", "/a0", "/a/b\n", "/a/é"]


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("/a/b", ["/a/b", "/a/b/c"]),
        ("/a/b/", ["/a/b", "/a/b/c"]),
        ("/a/b%25", ["/a/b%"]),
        ("/a/b_", ["/a/b_"]),
        ("/a/b%0A", ["/a/b\n"]),
        ("/a/%C3%A9", ["/a/é"]),
        ("/a/%C3", []),
        ("/A", ["/A/b"]),
        ("/", sorted(PATHS, key=str.encode)),
        ("", sorted(PATHS, key=str.encode)),
        ("/nothing", []),
    ],
)
async def test_a_prefix_is_the_path_itself_and_what_lies_below(client: Client, prefix: str, found: list[str]) -> None:
    for path in PATHS:
        await client.upload(path, b"x")
    answer = (await client.http.get(f"/api/files?limit=100&path_prefix={prefix}")).json()
    assert [file["filepath"] for file in answer["files"]] == found
    assert answer["total"] == len(found)


async def test_a_prefix_may_be_any_bytes(client: Client) -> None:
    name = b"/caf\xe9/x"
    await client.upload("?", b"x", filepath_b64=base64.b64encode(name).decode())
    answer = (await client.http.get("/api/files?path_prefix=/caf%E9")).json()
    assert base64.b64decode(answer["files"][0]["filepath_b64"]) == name


async def test_pages_follow_each_other_without_gap_or_repeat(client: Client) -> None:
    names = [f"/{n:03}" for n in range(25)]
    for n, name in enumerate(names):
        await client.upload(name, b"x", host_id=f"host-{n % 2}")
    by_offset = [p for start in range(0, 30, 10) for p in await client.listed(limit=10, offset=start)]
    by_cursor: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = (await client.http.get("/api/files", params={"limit": 10, **after})).json()
        assert page["total"] == 25
        by_cursor += [file["filepath"] for file in page["files"]]
        if page["next"] is None:
            break
        assert len(page["files"]) == 10
        after = {"after": page["next"]}
    assert by_cursor == by_offset == names[0::2] + names[1::2]


@pytest.mark.parametrize("query", ["limit=1001", "limit=0", "limit=x", "offset=-1", "after=nonsense", "after=W10="])
async def test_bad_listing_parameters_are_named(client: Client, query: str) -> None:
    answer = await client.http.get(f"/api/files?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["errors"][0]["field"]


async def test_downloads_carry_what_a_browser_must_not_guess(client: Client) -> None:
    await client.upload("/a.html", b"<script>")
    answer = await client.download(sha(b"<script>"))
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["etag"] == f'"{sha(b"<script>")}"'


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-0", 0, 0), ("bytes=10-", 10, 99), ("bytes=-5", 95, 99), ("bytes=90-500", 90, 99), ("bytes=-500", 0, 99)],
)
async def test_one_range_is_served(client: Client, asked: str, first: int, last: int) -> None:
    data = content(100)
    await client.upload("/a", data)
    answer = await client.download(sha(data), Range=asked)
    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes {first}-{last}/100"
    assert answer.content == data[first : last + 1]


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=-0", "bytes=200-300"])
async def test_a_range_outside_is_refused(client: Client, asked: str) -> None:
    data = content(100)
    await client.upload("/a", data)
    answer = await client.download(sha(data), Range=asked)
    assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == "bytes */100"


@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=0-1,4-5", "lines=1-2", "bytes=-", "x", "bytes=٣-"])
async def test_a_range_we_need_not_understand_gives_the_whole(client: Client, asked: str) -> None:
    data = content(100)
    await client.upload("/a", data)
    answer = await client.http.get(f"/api/files/{sha(data)}/content", headers=[(b"range", asked.encode())])
    assert (answer.status_code, answer.content) == (200, data)


@pytest.mark.parametrize("digest", ["0" * 64, "A" * 64, "..", "x", "0" * 63])
async def test_unknown_content_is_not_there(client: Client, digest: str) -> None:
    assert (await client.download(digest)).status_code == 404


# deletions


async def test_a_deletion_hides_the_file_and_keeps_the_content(client: Client) -> None:
    await client.upload("/a", b"data")
    body = {"filepath": "/a", "hostname": "laptop", "deleted_at": "2026-01-01T00:00:00Z"}
    answer = await client.http.request("DELETE", f"/api/files/{sha(b'data')}", json=body)
    assert answer.status_code == 200
    shown = {"sha256": sha(b"data"), "filepath": "/a", "hostname": "laptop", "status": "deleted"}
    assert answer.json().items() >= shown.items()
    assert await client.listed() == []
    again = await client.http.request("DELETE", f"/api/files/{sha(b'data')}", json=body)
    assert again.json() == answer.json()
    assert (await client.download(sha(b"data"))).content == b"data"


async def test_a_deletion_without_body_needs_one_live_holder(client: Client) -> None:
    url = f"/api/files/{sha(b'data')}"
    unknown = await client.http.delete(url)
    assert (unknown.status_code, unknown.json()["detail"]) == (404, "File not found on server")
    await client.upload("/a", b"data")
    await client.upload("/b", b"data")
    assert (await client.http.delete(url)).status_code == 404
    await client.http.request("DELETE", url, json={"filepath": "/b", "hostname": "laptop"})
    assert (await client.http.delete(url)).json()["filepath"] == "/a"
    assert await client.listed() == []


async def test_a_repeated_deletion_without_body_is_done_already(client: Client) -> None:
    await client.upload("/a", b"data")
    answers = [await client.http.delete(f"/api/files/{sha(b'data')}") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]


@pytest.mark.parametrize("digest", ["x", "A" * 64, "0" * 63])
async def test_a_malformed_digest_is_no_deletion(client: Client, digest: str) -> None:
    assert (await client.http.delete(f"/api/files/{digest}")).status_code == 400


async def test_a_deletion_of_other_content_than_the_current_changes_nothing(client: Client) -> None:
    await client.upload("/a", b"old", gen=1)
    await client.upload("/a", b"new", gen=2)
    body = {"filepath": "/a", "hostname": "laptop"}
    answer = await client.http.request("DELETE", f"/api/files/{sha(b'old')}", json=body)
    assert (answer.status_code, answer.json()["detail"]) == (404, "File not found on server")
    assert await client.listed() == ["/a"]


async def test_a_late_deletion_does_not_remove_what_came_back(client: Client) -> None:
    await client.upload("/a", b"data", gen=1)
    await client.upload("/a", b"data", gen=3)
    body = {"filepath": "/a", "hostname": "laptop", "gen": 2}
    answer = await client.http.request("DELETE", f"/api/files/{sha(b'data')}", json=body)
    assert (answer.status_code, answer.json()["code"], answer.json()["gen"]) == (412, "stale", 3)
    assert await client.listed() == ["/a"]


async def test_a_late_upload_does_not_bring_back_what_was_deleted(client: Client) -> None:
    await client.upload("/a", b"data", gen=1)
    body = {"files": [{"filepath": "/a", "hostname": "laptop", "sha256": sha(b"data"), "gen": 5}]}
    assert (await client.http.post("/api/files/deletions", json=body)).json()["deleted"] == 1
    for gen in (2, 5):
        assert (await client.initiate("/a", b"data", gen=gen)).json()["gen"] == 5
    await client.upload("/a", b"data", gen=6)
    assert await client.listed() == ["/a"]


async def test_a_batch_of_deletions_answers_each(client: Client) -> None:
    await client.upload("/a", b"1", gen=1)
    await client.upload("/b", b"2", gen=9)
    name = base64.b64encode(b"/\xff").decode()
    await client.upload("?", b"3", filepath_b64=name)

    def order(path: str, data: bytes, **more: object) -> dict[str, object]:
        return {"filepath": path, "hostname": "laptop", "sha256": sha(data), **more}

    orders = [
        order("/a", b"1", gen=2),
        order("/b", b"2", gen=3),
        order("/none", b"1"),
        order("?", b"3", filepath_b64=name),
        order("/a", b"1", gen=2),
    ]
    answer = (await client.http.post("/api/files/deletions", json={"files": orders})).json()
    assert [result["status"] for result in answer["results"]] == ["deleted", "stale", "not_found", "deleted", "deleted"]
    assert answer["results"][1]["gen"] == 9
    assert answer["results"][3]["filepath_b64"] == name
    assert (answer["deleted"], answer["not_found"]) == (3, 1)
    assert await client.listed() == ["/b"]


async def test_a_deletion_with_a_newer_generation_needs_no_digest_to_agree(client: Client) -> None:
    await client.upload("/a", b"1", gen=1)
    body = {"files": [{"filepath": "/a", "hostname": "laptop", "sha256": sha(b"unseen"), "gen": 4}]}
    assert (await client.http.post("/api/files/deletions", json=body)).json()["deleted"] == 1
    assert await client.listed() == []


async def test_more_deletions_than_allowed_are_refused(client: Client) -> None:
    files = [{"filepath": "/a", "sha256": sha(b"")}] * 1001
    assert (await client.http.post("/api/files/deletions", json={"files": files})).status_code == 422


async def test_versions_survive_a_restart(running) -> None:
    data = content(2 * CHUNK)
    async with running() as server:
        client = await server.client()
        receipt = await client.upload("/a", data, gen=1)
        server_id = receipt["server_id"]
    async with running() as server:
        client = await server.client()
        assert await client.listed() == ["/a"]
        assert (await client.download(sha(data))).content == data
        assert (await client.upload("/b", b"x"))["server_id"] == server_id
        assert (await server.stats())["bytes_received"] == len(data) + 1


async def test_a_deletion_that_overtakes_the_upload_of_its_path_wins(client: Client) -> None:
    """Nothing of the path is there yet, but an upload of an older generation is under way."""
    data = content(3000)
    upload_id = await client.begin("/late", data, gen=5, host_id="h")
    await client.send(upload_id, data)
    order = {"files": [{"filepath": "/late", "host_id": "h", "sha256": sha(data), "gen": 6}]}
    for _ in range(2):
        answer = (await client.http.post("/api/files/deletions", json=order)).json()
        assert [result["status"] for result in answer["results"]] == ["not_found"]
    late = await client.complete(upload_id)
    assert (late.status_code, late.json()["code"], late.json()["gen"]) == (412, "stale", 6)
    assert await client.listed() == []
    await client.upload("/late", data, gen=7, host_id="h")
    assert await client.listed() == ["/late"]


@pytest.mark.parametrize("way", ["deletions", "batch"])
async def test_what_arrives_after_the_deletion_of_its_path_stays_deleted(client: Client, way: str) -> None:
    """A request was held up somewhere: its sender gave up, and told of the deletion before it arrived."""
    for _ in range(2):
        if way == "batch":
            order = {"op": "delete", "filepath": "/late", "gen": 6}
            (result,) = (await client.batch(order, host_id="h")).json()["results"]
        else:
            order = {"files": [{"filepath": "/late", "host_id": "h", "sha256": sha(b"x"), "gen": 6}]}
            (result,) = (await client.http.post("/api/files/deletions", json=order)).json()["results"]
        assert result["status"] == "not_found"
    (late,) = (await client.batch(client_put("/late", b"x", gen=5), host_id="h")).json()["results"]
    assert (late["status"], late["gen"]) == ("stale", 6)
    assert await client.listed() == []
    (again,) = (await client.batch(client_put("/late", b"x", gen=7), host_id="h")).json()["results"]
    assert again["status"] == "stored"
    assert await client.listed() == ["/late"]


async def test_deletions_of_what_was_never_here_say_so_however_often_and_new(client: Client, server: Server) -> None:
    before = (await server.stats())["deletions"]
    for gen in (5, 5, 6, 6, 7, 7):
        order = {"files": [{"filepath": "/none", "host_id": "h", "sha256": sha(b"x"), "gen": gen}]}
        (result,) = (await client.http.post("/api/files/deletions", json=order)).json()["results"]
        assert result["status"] == "not_found", gen
    order["files"][0]["gen"] = 6
    (result,) = (await client.http.post("/api/files/deletions", json=order)).json()["results"]
    assert (result["status"], result["gen"]) == ("stale", 7)
    assert (await server.stats())["deletions"] == before


async def test_a_deletion_does_not_rename_its_host(client: Client) -> None:
    await client.batch(client_put("/a", b"a", gen=1), client_put("/b", b"b", gen=2), host_id="h", hostname="laptop")
    order = {"files": [{"filepath": "/a", "host_id": "h", "hostname": "laptop", "sha256": sha(b"a"), "gen": 3}]}
    (result,) = (await client.http.post("/api/files/deletions", json=order)).json()["results"]
    assert (result["status"], result["hostname"]) == ("deleted", "laptop")
    (file,) = (await client.http.get("/api/files", params={"hostname": "laptop"})).json()["files"]
    assert (file["filepath"], file["hostname"], file["host_id"]) == ("/b", "laptop", "h")


async def test_a_deletion_of_what_was_never_here_gives_nobody_content(server: Server) -> None:
    """Another owner names a digest in a deletion: that must not make its content theirs."""
    alice, mallory = await server.client("alice"), await server.client("mallory")
    data = content(2000)
    await alice.upload("/secret", data)
    await mallory.begin("/x", b"other", gen=1, host_id="h")
    order = {"files": [{"filepath": "/x", "host_id": "h", "sha256": sha(data), "gen": 2}]}
    await mallory.http.post("/api/files/deletions", json=order)
    assert (await mallory.download(sha(data))).status_code == 404
    offered = (await mallory.initiate("/y", data, gen=3, host_id="h")).json()
    assert offered["missing"] != []
