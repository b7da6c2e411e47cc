"""IndexedCP within the server: what arrives becomes files of the key's owner."""

import asyncio
import contextlib
import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from pp_server.app import create_app
from pp_server.core.errors import StorageFailed
from pp_server.core.model import DEFAULT_SCOPES, Scope
from pp_server.settings import IndexedCPSettings, Settings

Serving = Callable[..., Any]


@pytest.fixture
def serving(tmp_path: Path) -> Serving:
    @contextlib.asynccontextmanager
    async def run(**indexedcp: Any) -> AsyncIterator[Any]:
        settings = Settings(data_dir=tmp_path / "data", indexedcp=IndexedCPSettings(**indexedcp))
        app = create_app(settings)
        async with app.router.lifespan_context(app):
            yield app

    return run


async def client(app: Any, owner: str, scopes: tuple[Scope, ...] = DEFAULT_SCOPES) -> httpx.AsyncClient:
    _, key = await app.state.services.keys.create(owner, None, scopes, None)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://s", headers={"Authorization": f"Bearer {key}"})


async def send(http: httpx.AsyncClient, name: str, *chunks: bytes, total: bool = True) -> list[dict[str, Any]]:
    answers = []
    for n, chunk in enumerate(chunks):
        headers = {"X-File-Name": name, "X-Chunk-Index": str(n)}
        if total:
            headers["X-Total-Chunks"] = str(len(chunks))
        answer = await http.post("/upload", content=chunk, headers=headers)
        assert answer.status_code == 200, answer.text
        answers.append(answer.json())
    return answers


async def listed(http: httpx.AsyncClient, count: int) -> dict[str, bytes]:
    for _ in range(2000):
        found = (await http.get("/api/files")).json()["files"]
        if len(found) >= count:
            break
        await asyncio.sleep(0.01)
    return {f["filepath"]: (await http.get(f"/api/files/{f['sha256']}/content")).content for f in found}


async def test_whole_files_become_versions_of_their_owner(serving: Serving, tmp_path: Path) -> None:
    big = [bytes([n]) * 200_000 for n in range(3)]
    async with serving(path_mode="allow-paths") as app:
        bob, eve = await client(app, "bob"), await client(app, "eve")
        await send(bob, "docs/a.txt", b"one", b"two")
        await send(bob, "big", *big)
        await send(bob, "empty", b"")
        await send(eve, "docs/a.txt", b"eve's")
        assert await listed(bob, 3) == {"/docs/a.txt": b"onetwo", "/big": b"".join(big), "/empty": b""}
        assert await listed(eve, 1) == {"/docs/a.txt": b"eve's"}
        [first] = (await bob.get("/api/files", params={"path_prefix": "/docs"})).json()["files"]
        await send(bob, "docs/a.txt", b"a newer one")
        for _ in range(1000):
            [now] = (await bob.get("/api/files", params={"path_prefix": "/docs"})).json()["files"]
            if now["sha256"] != first["sha256"]:
                break
            await asyncio.sleep(0.01)
        assert now["gen"] > first["gen"] and now["host_id"] == "indexedcp"
        assert (await bob.get(f"/api/files/{first['sha256']}/content")).content == b"onetwo"
        for http in (bob, eve):
            await http.aclose()
    assert [path for path in (tmp_path / "data" / "indexedcp").rglob("files/**/*") if path.is_file()] == []


async def test_an_upload_that_ends_by_itself_arrives_and_one_that_runs_does_not(serving: Serving) -> None:
    async with serving(path_mode="sanitize", idle_seconds=0.1) as app:
        bob = await client(app, "bob")
        await send(bob, "left-alone", b"x" * 10, total=False)
        await bob.post("/upload", content=b"half", headers={"X-File-Name": "half", "X-Total-Chunks": "2"})
        assert await listed(bob, 1) == {"/left-alone": b"x" * 10}
        await bob.aclose()


async def test_what_was_whole_when_it_was_killed_arrives_at_the_next_start(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: Any) -> None:
        await asyncio.sleep(3600)

    async with serving(path_mode="sanitize") as app:
        bob = await client(app, "bob")
        app.state.services.indexedcp._keep = never
        await send(bob, "f", b"one", b"two")
        assert await listed_now(bob) == 0
    async with serving(path_mode="sanitize") as app:
        again = await client(app, "bob")
        assert await listed(again, 1) == {"/f": b"onetwo"}
        for http in (bob, again):
            await http.aclose()
    async with serving(path_mode="sanitize") as app:
        again = await client(app, "bob")
        assert await listed_now(again) == 1
        await again.aclose()


async def test_an_arrival_whose_file_is_gone_is_noted_once(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pp_server.indexedcp.mounted.AGAIN_S", 0.01)
    sha256 = {"X-File-Name": "f", "X-Total-Chunks": "1", "X-File-SHA256": hashlib.sha256(b"one").hexdigest()}
    for already in range(2):
        async with serving(path_mode="sanitize") as app:
            bob = await client(app, "bob")
            mounted = app.state.services.indexedcp
            if not already:
                keep, mounted._keep = mounted._keep, gone(tmp_path)
                assert (await bob.post("/upload", content=b"one", headers=sha256)).json()["complete"]
                for _ in range(1000):
                    if "is gone" in caplog.text:
                        break
                    await asyncio.sleep(0.01)
                mounted._keep = keep
            await asyncio.sleep(0.1)
            assert caplog.text.count("is gone") == 1 and "could not be stored" not in caplog.text
            if already:
                assert (await bob.post("/upload", content=b"one", headers=sha256)).json()["duplicate"] is False
                assert await listed(bob, 1) == {"/f": b"one"}
            await bob.aclose()


def gone(tmp_path: Path) -> Callable[..., Any]:
    async def keep(*_: Any) -> None:
        for path in (tmp_path / "data" / "indexedcp").rglob("files/f"):
            path.unlink()
        raise StorageFailed("An arrival cannot be read")

    return keep


def arriving(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "data" / "indexedcp").rglob("files/**/*") if path.is_file())


async def begin(http: httpx.AsyncClient, name: str, index: int = 0, total: int | None = 2) -> httpx.Response:
    announced = {} if total is None else {"X-Total-Chunks": str(total)}
    return await http.post(
        "/upload", content=b"x", headers={"X-File-Name": name, "X-Chunk-Index": str(index)} | announced
    )


async def test_an_unfinished_upload_is_over_after_its_time_also_after_a_restart(
    serving: Serving, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(path_mode="sanitize") as app:
        bob = await client(app, "bob")
        for name, total in (("old", 2), ("fresh", 2), ("silent", None)):
            assert (await begin(bob, name, 0, total)).status_code == 200
        assert (await begin(bob, "silent", 2, None)).status_code == 200, "chunk 1 is missing"
        key = bob.headers["Authorization"]
        await bob.aclose()
    assert arriving(tmp_path)[-3:] == ["fresh", "old", "silent"]
    for path in (tmp_path / "data" / "indexedcp").rglob("files/*"):
        if path.name in ("old", "silent"):
            os.utime(path, (0, time.time() - 8 * 86400))
    async with serving(path_mode="sanitize") as app:
        bob = await client(app, "bob")
        bob.headers["Authorization"] = key
        status = {}
        for name in ("old", "fresh", "silent"):
            status[name] = (await bob.get("/upload/status", params={"filename": name})).json()["receivedChunks"]
        assert status == {"old": [], "fresh": [0], "silent": []}
        assert arriving(tmp_path)[-2:] == ["fresh", "silent"], "who may have nothing left of it loses nothing"
        assert "ends without some of its chunks" in caplog.text
        assert (await begin(bob, "old")).json()["duplicate"] is False
        assert (await begin(bob, "old", 1)).json()["complete"] and (await begin(bob, "fresh", 1)).json()["complete"]
        assert await listed(bob, 2) == {"/old": b"xx", "/fresh": b"xx"}
        await bob.aclose()


async def test_an_owner_has_a_limited_number_of_unfinished_uploads(serving: Serving) -> None:
    async with serving(path_mode="sanitize", max_unfinished_per_owner=2) as app:
        bob, eve = await client(app, "bob"), await client(app, "eve")
        for name in ("a", "b"):
            assert (await begin(bob, name)).status_code == 200
        for refused in (await begin(bob, "c"), await begin(bob, "c", 1, None)):
            assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
            assert refused.json()["code"] == "rate_limited" and "unfinished" in refused.json()["message"]
        assert (await begin(eve, "c")).status_code == 200, "others are not concerned"
        assert (await begin(bob, "small", 0, 1)).json()["complete"], "nor is what is whole at once"
        assert (await begin(bob, "a", 1)).json()["complete"]
        assert (await begin(bob, "c")).status_code == 200
        for http in (bob, eve):
            await http.aclose()


async def listed_now(http: httpx.AsyncClient) -> int:
    return int((await http.get("/api/files")).json()["total"])


async def test_refusals_are_in_the_words_of_indexedcp(serving: Serving) -> None:
    async with serving(path_mode="sanitize") as app:
        bob, reader = await client(app, "bob"), await client(app, "bob", (Scope.READ,))
        nobody = await bob.post("/upload", content=b"x", headers={"Authorization": "Bearer wrong"})
        assert nobody.status_code == 401 and nobody.json()["error"] == "Invalid or missing API key"
        assert nobody.json()["detail"] == "Invalid or missing API key"
        assert (await reader.post("/upload", content=b"x")).status_code == 403
        bad = await bob.post("/upload", content=b"x", headers={"X-File-Name": "../x"})
        assert bad.status_code == 400 and bad.json()["error"] == "Invalid filename"
        headers = {"X-File-Name": "f", "X-Total-Chunks": "2", "X-Upload-Id": "u"}
        assert (await bob.post("/upload", content=b"x", headers=headers)).status_code == 200
        status = await bob.get("/upload/status", params={"filename": "f"}, headers={"X-Upload-Id": "u"})
        assert status.json()["receivedChunks"] == [0] and status.json()["uploadId"] == "u"
        for http in (bob, reader):
            await http.aclose()
