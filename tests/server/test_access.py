"""Keys, scopes and owners: who may see and do what."""

import asyncio
import time

import pytest
from serving import Client, Server, content, sha

from pp_server.core.model import Scope

UNKNOWN = "00000000-0000-4000-8000-000000000000"
ROUTES = [
    ("POST", "/api/uploads/initiate"),
    ("PUT", f"/api/uploads/{UNKNOWN}/chunk/0"),
    ("GET", f"/api/uploads/{UNKNOWN}"),
    ("POST", f"/api/uploads/{UNKNOWN}/complete"),
    ("DELETE", f"/api/uploads/{UNKNOWN}"),
    ("GET", "/api/files"),
    ("GET", "/api/tree"),
    ("POST", "/api/contents"),
    ("GET", f"/api/files/{'0' * 64}/content"),
    ("DELETE", f"/api/files/{'0' * 64}"),
    ("POST", "/api/files/deletions"),
    ("GET", "/api/hosts/laptop"),
    ("POST", "/api/batch"),
    ("POST", "/api/files/held"),
    ("POST", "/api/files/verify"),
    ("GET", "/api/receipts/1"),
    ("POST", "/upload"),
    ("GET", "/upload/status"),
]


def test_the_table_of_routes_is_complete(server: Server) -> None:
    found = set()
    for route in _routes(server.app.routes):
        found |= {(method, route.path) for method in route.methods or ()}
    paths = {method + " " + path for method, path in found}
    open_to_all = {"GET /health", "GET /api/version", "GET /api/receipts/key"}
    assert len(paths - open_to_all) == len(ROUTES), paths


def _routes(routes):
    for route in routes:
        inner = getattr(route, "original_router", None) or getattr(route, "router", None)
        if inner is not None:
            yield from _routes(inner.routes)
        elif hasattr(route, "methods"):
            yield route


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_without_a_good_key_nothing_is_told(server: Server, client: Client, method: str, path: str) -> None:
    good = client.api_key
    last = "0" if good[-1] != "0" else "1"
    revoked = await server.client("other")
    await server.app.state.admin.run("key.revoke", {"id": revoked.api_key.split("_")[1]})
    bodies = set()
    for headers in (
        {},
        {"Authorization": "Bearer x"},
        {"Authorization": f"Bearer {good[:-1]}{last}"},
        {"Authorization": f"Basic {good}"},
        {"Authorization": f"Bearer {revoked.api_key}"},
        {"X-API-Key": "pp_" + "0" * 16 + "_" + "0" * 64 + "_00000000"},
    ):
        answer = await server.http().request(method, path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        bodies.add((answer.json()["detail"], answer.json()["code"]))
    assert len(bodies) == 1


async def test_a_key_may_come_in_either_header(server: Server, client: Client) -> None:
    other = server.http({"X-API-Key": client.api_key})
    assert (await other.get("/api/files")).status_code == 200


async def test_an_owner_sees_nothing_of_another(server: Server) -> None:
    bob, eve = await server.client("bob"), await server.client("eve")
    data = content(3000)
    await bob.upload("/secret", data)
    open_upload = await bob.begin("/open", content(3000, 1))

    async def same(method: str, path: str, other: str, **more) -> None:
        """Not hers looks exactly like not there."""
        mine = await eve.http.request(method, path, **more)
        nobodys = await eve.http.request(method, other, **more)
        assert mine.status_code == nobodys.status_code == 404
        assert {**mine.json(), "request_id": ""} == {**nobodys.json(), "request_id": ""}

    for method, suffix in (("GET", ""), ("DELETE", ""), ("POST", "/complete"), ("PUT", "/chunk/0")):
        await same(method, f"/api/uploads/{open_upload}{suffix}", f"/api/uploads/{UNKNOWN}{suffix}")
    await same("GET", f"/api/files/{sha(data)}/content", f"/api/files/{sha(b'?')}/content")
    await same("DELETE", f"/api/files/{sha(data)}", f"/api/files/{sha(b'?')}")
    body = {"filepath": "/secret", "hostname": "laptop"}
    await same("DELETE", f"/api/files/{sha(data)}", f"/api/files/{sha(b'?')}", json=body)
    await same("GET", "/api/hosts/laptop", "/api/hosts/nobody")
    assert await eve.listed() == []
    assert await bob.listed() == ["/secret"]


async def test_knowing_a_digest_is_not_having_the_bytes(server: Server) -> None:
    bob, eve = await server.client("bob"), await server.client("eve")
    data = content(3000)
    await bob.upload("/secret", data)
    started = (await eve.initiate("/mine", data)).json()
    assert started["missing"] == [[0, 2]]
    assert (await eve.complete(started["upload_id"])).json()["code"] == "not_all_chunks_uploaded"
    assert (await eve.download(sha(data))).status_code == 404
    await eve.send(started["upload_id"], data)
    assert (await eve.complete(started["upload_id"])).status_code == 200
    assert (await server.stats())["blobs"] == 1


async def test_deleting_ones_own_copy_leaves_the_others(server: Server) -> None:
    bob, eve = await server.client("bob"), await server.client("eve")
    await bob.upload("/a", b"data")
    await eve.upload("/a", b"data")
    assert (await eve.http.delete(f"/api/files/{sha(b'data')}")).status_code == 200
    assert (await bob.listed(), await eve.listed()) == (["/a"], [])


async def test_two_keys_of_one_owner_share_everything(server: Server) -> None:
    first, second = await server.client("bob"), await server.client("bob")
    await first.upload("/a", b"data")
    assert await second.listed() == ["/a"]


async def test_a_key_does_only_what_its_scopes_say(server: Server) -> None:
    writer = await server.client("bob", (Scope.UPLOAD,))
    reader = await server.client("bob", (Scope.READ,))
    await writer.upload("/a", b"data")
    refused = [
        await writer.http.get("/api/files"),
        await writer.download(sha(b"data")),
        await writer.http.delete(f"/api/files/{sha(b'data')}"),
        await writer.http.post("/api/files/deletions", json={"files": []}),
        await reader.initiate("/b", b"x"),
        await reader.http.delete(f"/api/files/{sha(b'data')}"),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(403, "forbidden")}
    assert await reader.listed() == ["/a"]


async def test_a_key_of_one_host_speaks_for_no_other(server: Server) -> None:
    bound = await server.client("bob", host="laptop")
    await bound.upload("/a", b"data")
    assert (await bound.initiate("/a", b"x", host_id="desktop")).status_code == 403
    body = {"files": [{"filepath": "/a", "hostname": "desktop", "sha256": sha(b"data")}]}
    assert (await bound.http.post("/api/files/deletions", json=body)).status_code == 403


async def test_a_revoked_key_ends_open_uploads_too(server: Server, client: Client) -> None:
    data = content(3000)
    upload_id = await client.begin("/a", data)
    assert (await client.put(upload_id, 0, data[:1024])).status_code == 200
    await server.app.state.admin.run("key.revoke", {"id": client.api_key.split("_")[1]})
    assert (await client.put(upload_id, 1, data[1024:2048])).status_code == 401


async def test_a_revocation_by_anybody_is_in_force_within_a_second(server: Server, client: Client) -> None:
    assert await client.listed() == []
    key_id = client.api_key.split("_")[1]
    await server.app.state.admin._metadata.revoke_key(key_id, 1)  # past the memory of this process
    started = time.monotonic()
    while (await client.http.get("/api/files")).status_code == 200:
        assert time.monotonic() - started < 1
        await asyncio.sleep(0.05)


async def test_the_secret_is_nowhere_in_the_data_directory(server: Server, client: Client) -> None:
    secret = client.api_key.split("_")[2].encode()
    assert await client.listed() == []
    files = [path for path in server.data_dir.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if secret in path.read_bytes()]


async def test_the_use_of_a_key_shows_in_the_list(server: Server, client: Client) -> None:
    assert await client.listed() == []
    [key] = (await server.app.state.admin.run("key.list", {}))["keys"]
    assert key["last_used_at"] == "2027-01-15T08:00:00.000Z"
    assert key["scopes"] == ["upload", "read", "delete"]
