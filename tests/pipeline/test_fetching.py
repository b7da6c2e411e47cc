"""One file back from the server, asked for over the local API: bit by bit, and never over anything else."""

import asyncio
import base64
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pair import Pair, noise, write
from pydantic import TypeAdapter

from pp_assist import disk
from pp_assist.api.answers import ANSWERS
from pp_assist.api.app import create_app
from pp_assist.restore import restore
from pp_assist.restore.folder import Folder, temporary_name
from pp_assist.restore.large import LargeFile
from pp_assist.restore.wanted import Wanted
from pp_assist.serving import doors_of, services_of
from pp_assist.state import open_state
from pp_assist.supervisor import Supervisor
from pp_server.wire.chunks import MIB

ENDED = ("done", "failed", "cancelled")


@pytest.fixture
async def http(pair: Pair) -> AsyncIterator[httpx.AsyncClient]:
    """The local API of the daemon, whose fetches are made."""
    assert pair.daemon
    with contextlib.closing(open_state(pair.settings.state_dir)) as state:
        stages = Supervisor([*pair.daemon.stages, pair.daemon.fetches])
        services = services_of(pair.daemon, state, os.path.join(state.path, "pp_assist.toml"), stages)

        async def ours(_: object) -> bool:
            return True

        app = create_app(services, doors_of(services, state, pair.settings.api, lambda: 8765), ours)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
        working = asyncio.create_task(pair.daemon.fetches.run())
        try:
            headers = {"Authorization": f"Bearer {state.token}"}
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8765", headers=headers) as on:
                yield on
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)


async def fetched(http: httpx.AsyncClient, **order: Any) -> dict[str, Any]:
    """What became of *order* in the end."""
    begun = await http.post("/fetch", json=order)
    assert begun.status_code == 200, begun.text
    async with asyncio.timeout(30):
        while (job := (await http.get(f"/fetch/{begun.json()['id']}")).json())["state"] not in ENDED:
            await asyncio.sleep(0.01)
    return dict(job)


def left_over(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.startswith(".pp-get")]


@pytest.mark.parametrize("size", [0, 1, 1000, 3 * MIB + 17])
async def test_what_was_lost_is_there_again(pair: Pair, http: httpx.AsyncClient, size: int) -> None:
    path = pair.tree / "deep" / "letter.bin"
    write(path, noise(size, size))
    path.chmod(0o640)
    os.utime(path, ns=(10**18, 10**18))
    await pair.settle()
    path.rename(pair.folder / "lost")
    job = await fetched(http, path=str(path))
    assert (job["state"], job["outcome"], job["verified"], job["to"]) == ("done", "restored", "receipt", str(path)), job
    assert path.read_bytes() == noise(size, size)
    assert (path.stat().st_mode & 0o777, path.stat().st_mtime_ns) == (0o640, 10**18)
    assert job["bytes_done"] == job["size_bytes"] == size
    assert job["sha256"] == hashlib.sha256(noise(size, size)).hexdigest()
    assert not left_over(path.parent)
    await pair.assert_equal()


async def test_nothing_else_is_overwritten(pair: Pair, http: httpx.AsyncClient) -> None:
    path = pair.tree / "letter.txt"
    write(path, "as it was stored")
    await pair.settle()
    job = await fetched(http, path=str(path))
    assert (job["outcome"], job["to"]) == ("right", str(path))
    write(path, "something else")
    for number, name in ((1, "letter (from server).txt"), (2, "letter (from server).txt")):
        job = await fetched(http, path=str(path))
        assert (job["state"], job["outcome"], job["to"]) == ("done", "beside", str(pair.tree / name)), number
        assert (pair.tree / name).read_text() == "as it was stored"
    write(pair.tree / "letter (from server).txt", "mine, too")
    job = await fetched(http, path=str(path))
    assert job["to"] == str(pair.tree / "letter (from server 2).txt")
    assert path.read_text() == "something else"
    assert (pair.tree / "letter (from server).txt").read_text() == "mine, too"
    job = await fetched(http, path=str(path), overwrite=True)
    assert (job["outcome"], path.read_text()) == ("restored", "as it was stored")


async def test_it_is_brought_to_where_it_is_wanted(pair: Pair, http: httpx.AsyncClient) -> None:
    path, elsewhere = pair.tree / "a.txt", pair.folder / "elsewhere"
    write(path, "content")
    elsewhere.mkdir()
    await pair.settle()
    row = (await http.get("/files")).json()["files"][0]
    for to, place in ((elsewhere, elsewhere / "a.txt"), (elsewhere / "b.txt", elsewhere / "b.txt")):
        job = await fetched(http, id=row["id"], to=str(to))
        assert (job["state"], job["to"], place.read_text()) == ("done", str(place), "content")
    (pair.folder / "link").symlink_to(pair.state)
    (pair.folder / "around").symlink_to(pair.folder)
    for to in (
        pair.folder / "nowhere" / "x", "relative", pair.state, pair.state / "new", pair.folder / "link",
        pair.folder / "link" / "new", pair.folder / "around" / "link", pair.folder / "around" / pair.state.name / "new",
    ):  # fmt: skip
        assert (await http.post("/fetch", json={"path": str(path), "to": str(to)})).status_code == 400, to


async def test_names_that_are_no_text(pair: Pair, http: httpx.AsyncClient) -> None:
    path = os.path.join(os.fsencode(pair.tree), b"caf\xe9 <b>\n.txt")
    with open(path, "wb") as file:
        file.write(b"odd")
    await pair.settle()
    os.unlink(path)
    job = await fetched(http, path_b64=base64.b64encode(path).decode())
    assert job["state"] == "done" and "filepath_b64" in job and "to_b64" in job
    with open(path, "rb") as file:
        assert file.read() == b"odd"


async def test_an_older_version_and_a_deleted_file(pair: Pair, http: httpx.AsyncClient) -> None:
    path = pair.tree / "a.txt"
    for text in ("first", "second"):
        write(path, text)
        await pair.settle()
    for size in (3, 2 * MIB):
        old = noise(size, 5)
        write(path, old)
        await pair.settle()
        write(path, "newest")
        await pair.settle()
        job = await fetched(http, path=str(path), version=hashlib.sha256(old).hexdigest(), to=str(pair.folder / "old"))
        assert (job["state"], job["verified"], job["size_bytes"]) == ("done", "digest", size), job
        assert (pair.folder / "old").read_bytes() == old
        (pair.folder / "old").unlink()
    digest = hashlib.sha256(b"newest").hexdigest()
    path.unlink()
    await pair.assert_equal()
    gone = await fetched(http, path=str(path))
    assert (gone["state"], gone["problem"]["code"]) == ("failed", "not_on_server")
    job = await fetched(http, path=str(path), version=digest)
    assert (job["state"], path.read_text()) == ("done", "newest")
    assert (await fetched(http, path=str(path), version="0" * 64))["problem"]["code"] == "not_on_server"


@pytest.mark.parametrize("size", [3, 2 * MIB])
async def test_an_older_version_is_as_private_as_the_file_is(pair: Pair, http: httpx.AsyncClient, size: int) -> None:
    path = pair.tree / "key"
    for content in (noise(size, 5), b"newest"):
        write(path, content)
        path.chmod(0o600)
        await pair.settle()
    version = hashlib.sha256(noise(size, 5)).hexdigest()
    old = pair.folder / "old"
    assert (await fetched(http, path=str(path), version=version, to=str(old)))["state"] == "done"
    assert old.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    await pair.settle()
    assert (await fetched(http, path=str(path), version=version, overwrite=True))["outcome"] == "restored"
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (noise(size, 5), 0o640)


@pytest.mark.parametrize("size", [3, 2 * MIB])
async def test_what_the_server_has_no_mode_of_is_like_what_lies_there_or_private(
    pair: Pair, http: httpx.AsyncClient, size: int
) -> None:
    path = pair.tree / "key"
    write(path, noise(size, 5))
    await pair.settle()
    path.unlink()
    await pair.assert_equal()
    version = hashlib.sha256(noise(size, 5)).hexdigest()
    assert (await fetched(http, path=str(path), version=version))["state"] == "done"
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(b"mine")
    path.chmod(0o660)
    job = await fetched(http, path=str(path), version=version)
    assert job["outcome"] == "beside" and os.stat(job["to"]).st_mode & 0o777 == 0o660
    job = await fetched(http, path=str(path), version=version, overwrite=True)
    assert job["outcome"] == "restored" and path.stat().st_mode & 0o777 == 0o660


async def test_what_is_right_already_is_not_touched(pair: Pair, http: httpx.AsyncClient) -> None:
    path = pair.tree / "letter"
    write(path, "as it was stored")
    path.chmod(0o644)
    await pair.settle()
    path.chmod(0o600)
    os.utime(path, ns=(10**18, 10**18))
    before = path.stat()
    for more in ({}, {"overwrite": True}):
        assert (await fetched(http, path=str(path), **more))["outcome"] == "right"
        after = path.stat()
        assert (after.st_mode, after.st_mtime_ns, after.st_ctime_ns) == (
            before.st_mode, before.st_mtime_ns, before.st_ctime_ns,
        )  # fmt: skip


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("size", [0, 1000, 3 * MIB])
async def test_a_file_has_its_name_only_once_it_is_whole_and_durable(
    pair: Pair, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, size: int, overwrite: bool
) -> None:
    """Neither who is killed in between nor who loses power afterwards finds a part of it in a watched folder."""
    path = pair.tree / "folder" / "a"
    write(path, noise(size, 1))
    await pair.settle()
    path.unlink()
    if overwrite:
        path.write_bytes(b"another one")
    else:
        path.parent.rmdir()
    synced: list[tuple[int, int | None]] = []
    before = path.stat().st_ino if overwrite else None
    fsync = os.fsync

    def noted(fd: int) -> None:
        named = path.stat().st_ino if path.exists() else None
        synced.append((os.fstat(fd).st_ino, named))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", noted)
    job = await fetched(http, path=str(path), overwrite=overwrite)
    monkeypatch.undo()
    assert (job["state"], job["outcome"]) == ("done", "restored"), job
    assert path.read_bytes() == noise(size, 1)
    made = path.stat().st_ino
    assert synced.index((made, before)) < synced.index((path.parent.stat().st_ino, made))
    assert overwrite or (pair.tree.stat().st_ino, None) in synced  # has the folder


async def test_what_there_is_of_a_large_file_is_not_stored(pair: Pair, http: httpx.AsyncClient) -> None:
    place = Wanted(b"letter.bin", "file", 3 * MIB, "0" * 64, None, None, None, None, None)
    partial = pair.tree / os.fsdecode(temporary_name(place))
    write(partial, noise(MIB, 1))
    write(pair.tree / "letter.bin", "stored")
    await pair.settle()
    assert set(await pair.live()) == {os.fsencode(pair.tree / "letter.bin")}
    why = (await http.get(f"/explain?path={partial}")).json()
    assert (why["verdict"], why["reason"]["code"]) == ("excluded", "coming_back"), why


async def test_links_come_back_and_folders_do_not(pair: Pair, http: httpx.AsyncClient) -> None:
    write(pair.tree / "folder" / "a", "x")
    (pair.tree / "link").symlink_to("folder/a")
    await pair.settle()
    (pair.tree / "link").unlink()
    assert (await fetched(http, path=str(pair.tree / "link")))["state"] == "done"
    assert os.readlink(pair.tree / "link") == "folder/a"
    assert (await fetched(http, path=str(pair.tree / "folder")))["problem"]["code"] == "not_a_file"
    assert (await http.post("/fetch", json={"path": str(pair.tree)})).json()["code"] == "not_a_file"


async def test_no_link_leads_a_fetch_out_of_its_folder(pair: Pair, http: httpx.AsyncClient) -> None:
    write(pair.tree / "folder" / "a", "x")
    await pair.settle()
    outside = pair.folder / "outside"
    outside.mkdir()
    (pair.tree / "folder").rename(pair.folder / "aside")
    (pair.tree / "folder").symlink_to(outside)
    job = await fetched(http, path=str(pair.tree / "folder" / "a"))
    assert (job["state"], job["problem"]["code"]) == ("failed", "not_written")
    assert list(outside.iterdir()) == []


async def test_errors_are_clear(pair: Pair, http: httpx.AsyncClient) -> None:
    write(pair.tree / "a", "x")
    await pair.settle()
    for body, status in (
        ({}, 422), ({"path": "/a", "id": 1}, 422), ({"path": "relative"}, 400), ({"id": 999}, 404), ({"id": -1}, 422),
        ({"path": "/somewhere/else"}, 422), ({"path": "/a\0"}, 422),
        ({"path": str(pair.tree / "a"), "version": "x"}, 422),
        ({"path": str(pair.tree / "a"), "to_b64": "!"}, 422), ({"path": str(pair.tree / "a"), "x": 1}, 422),
    ):  # fmt: skip
        answer = await http.post("/fetch", json=body)
        assert answer.status_code == status, (body, answer.text)
    assert (await http.get("/fetch/77")).status_code == (await http.post("/fetch/77/cancel")).status_code == 404
    assert (await fetched(http, path=str(pair.tree / "never")))["problem"]["code"] == "not_on_server"
    pair.weather.forecast = ["lost_request"] * 3
    (pair.tree / "a").unlink()
    assert (await fetched(http, path=str(pair.tree / "a")))["problem"]["code"] == "server_unreachable"
    pair.weather.forecast = []
    pair.tree.rename(pair.folder / "away")
    answer = await http.post("/fetch", json={"path": str(pair.tree / "a")})
    assert (answer.status_code, answer.json()["code"]) == (409, "root_unhealthy")
    pair.tree.mkdir()
    answer = await http.post("/fetch", json={"path": str(pair.tree / "a")})
    assert (answer.status_code, answer.json()["code"]) == (409, "root_unhealthy")


TROUBLE = {
    "500": "server_trouble", "503": "server_unavailable", "401": "needs_login", "403": "not_allowed",
    "404": "not_on_server", "409": "refused", "html": "server_nonsense", "lost": "server_unreachable",
}  # fmt: skip


@pytest.mark.parametrize("size", [5, 2 * MIB])
@pytest.mark.parametrize("word", TROUBLE)
async def test_a_server_that_cannot_be_asked_is_not_taken_for_a_folder_that_cannot_be_written_to(
    pair: Pair, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, word: str, size: int
) -> None:
    path = pair.tree / "a"
    write(path, noise(size, 1))
    await pair.settle()
    path.unlink()
    inner = pair.weather.inner
    assert inner is not None

    class NoContents(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if not request.url.path.startswith(("/api/contents", "/api/files/")):
                return await inner.handle_async_request(request)
            if word == "lost":
                raise httpx.ConnectError("nobody there", request=request)
            if word == "html":
                login = httpx.ByteStream(b"<html>Please log in to this WiFi</html>")
                return httpx.Response(200, stream=login, request=request)
            return httpx.Response(int(word), json={"detail": "no", "code": "made_up"}, request=request)

    monkeypatch.setattr(restore, "TRIES", 1)
    pair.weather.inner = NoContents()
    job = await fetched(http, path=str(path))
    assert (job["state"], job["problem"]["code"]) == ("failed", TROUBLE[word]), job
    assert os.listdir(pair.tree) == []


async def test_a_file_that_somebody_else_brings_back_says_so(pair: Pair, http: httpx.AsyncClient) -> None:
    path = pair.tree / "a"
    write(path, noise(2 * MIB, 1))
    await pair.settle()
    path.unlink()
    digest = hashlib.sha256(noise(2 * MIB, 1)).hexdigest()
    wanted = Wanted(b"a", "file", 2 * MIB, digest, None, None, None, None, None)
    tree = Folder(os.fsencode(pair.tree), overwrite=False, owners=False)
    with contextlib.closing(tree), contextlib.closing(LargeFile(tree, wanted)):
        job = await fetched(http, path=str(path))
    assert (job["state"], job["problem"]["code"]) == ("failed", "being_made"), job


async def test_what_came_from_a_drop_folder_does_not_go_back_there(pair: Pair, http: httpx.AsyncClient) -> None:
    assert pair.daemon
    spool, url = pair.folder / "spool", "sftp://me@files.example.org/in"
    spool.mkdir()
    resolved, identity = disk.resolve(os.fsencode(spool))
    await pair.daemon.roots.add(resolved, url.encode(), True, identity, 1, "archive")
    answer = await http.post("/fetch", json={"path": f"{url}/a.pdf"})
    assert (answer.status_code, answer.json()["detail"]) == (
        422, "to: is needed, this file came from a folder on an SFTP server, where nothing is written",
    )  # fmt: skip
    answer = await http.post("/fetch", json={"path": "/somewhere/else"})
    assert answer.json()["detail"] == "to: is needed, this path is in no watched folder of this machine"
    assert (await fetched(http, path=f"{url}/a.pdf", to=str(pair.folder)))["problem"]["code"] == "not_on_server"


@pytest.mark.parametrize("is_elsewhere", [False, True])
async def test_nothing_is_written_into_another_folder_than_the_one_that_was_there(
    pair: Pair, http: httpx.AsyncClient, is_elsewhere: bool
) -> None:
    write(pair.tree / "a", "x")
    folder = pair.folder / "elsewhere" if is_elsewhere else pair.tree
    folder.mkdir(exist_ok=True)
    await pair.settle()
    (pair.tree / "a").unlink()
    asked, go_on = asyncio.Event(), asyncio.Event()
    inner = pair.weather.inner
    assert inner is not None

    class Slow(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path == "/api/tree":
                asked.set()
                await go_on.wait()
            return await inner.handle_async_request(request)

    for comes_back in (True, False):
        pair.weather.inner = Slow()
        asked.clear()
        go_on.clear()
        order = {"path": str(pair.tree / "a")} | ({"to": str(folder)} if is_elsewhere else {})
        fetching = asyncio.create_task(fetched(http, **order))
        async with asyncio.timeout(10):
            await asked.wait()
        folder.rename(pair.folder / "away")
        if comes_back:
            folder.mkdir()  # the bare mount point
        go_on.set()
        job = await fetching
        assert (job["state"], job["problem"]["code"]) == ("failed", "root_unhealthy"), job
        if comes_back:
            assert os.listdir(folder) == []
            folder.rmdir()
        assert not folder.exists()
        (pair.folder / "away").rename(folder)
        assert not (folder / "a").exists()


async def test_content_that_is_not_what_the_receipt_promised_is_not_written(
    pair: Pair, http: httpx.AsyncClient
) -> None:
    path = pair.tree / "a.txt"
    write(path, "right")
    await pair.settle()
    path.unlink()
    inner = pair.weather.inner
    assert inner is not None

    class Lying(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            response = await inner.handle_async_request(request)
            if not request.url.path.startswith(("/api/contents", "/api/files/")):
                return response
            content = (await response.aread()).replace(b"right", b"wrong")
            return httpx.Response(response.status_code, stream=httpx.ByteStream(content), request=request)

    pair.weather.inner = Lying()
    job = await fetched(http, path=str(path))
    assert job["state"] == "failed" and "not the content" in job["problem"]["text"], job
    assert not path.exists() and not left_over(pair.tree)


async def test_one_is_cancelled_and_each_is_told(pair: Pair, http: httpx.AsyncClient) -> None:
    assert pair.daemon
    path = pair.tree / "large"
    write(path, noise(5 * MIB, 1))
    await pair.settle()
    path.unlink()
    begun_at = pair.daemon.bus.last_id
    stopped = asyncio.Event()
    inner = pair.weather.inner
    assert inner is not None

    class Stuck(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/content"):
                stopped.set()
                await asyncio.Event().wait()
            return await inner.handle_async_request(request)

    pair.weather.inner = Stuck()
    job = (await http.post("/fetch", json={"path": str(path)})).json()
    async with asyncio.timeout(10):
        await stopped.wait()
    assert (await http.get(f"/fetch/{job['id']}")).json()["state"] == "running"
    assert (await http.post(f"/fetch/{job['id']}/cancel")).json()["state"] == "cancelled"
    pair.weather.inner = inner
    done = await fetched(http, path=str(path))
    assert done["state"] == "done" and path.read_bytes() == noise(5 * MIB, 1)
    listed = (await http.get("/fetch")).json()
    assert [each["state"] for each in listed["fetches"]] == ["done", "cancelled"] and listed["total"] == 2
    told = [each for each in pair.daemon.bus.after(begun_at) or () if each.event.startswith("fetch_")]
    kinds = [each.event.value for each in told if each.event != "fetch_progress"]
    assert kinds == ["fetch_started", "fetch_failed", "fetch_started", "fetch_complete"]
    assert {each.details["id"] for each in told} == {job["id"], done["id"]}


async def test_every_version_is_listed_and_an_older_or_deleted_one_comes_back(
    pair: Pair, http: httpx.AsyncClient
) -> None:
    path = pair.tree / "deep" / "letter.txt"
    for content in (b"first", b"second, longer"):
        write(path, content)
        await pair.settle()
    write(pair.tree / "deep" / "letter.txt.more", b"another path")
    path.unlink()
    await pair.settle()
    asked = await http.get("/versions", params={"path": str(path)})
    assert asked.status_code == 200, asked.text
    answer = TypeAdapter(ANSWERS["GET /versions"]).validate_python(asked.json())
    assert answer["filepath"] == str(path)
    first, second = (hashlib.sha256(each).hexdigest() for each in (b"first", b"second, longer"))
    assert [(each["status"], each["sha256"]) for each in answer["versions"]] == [
        ("deleted", second),
        ("superseded", second),
        ("superseded", first),
    ]
    job = await fetched(http, path=str(path), version=first)
    assert (job["state"], path.read_bytes()) == ("done", b"first"), job
    nothing = (await http.get("/versions", params={"path": str(pair.tree / "never")})).json()
    assert (nothing["versions"], nothing["total"]) == ([], 0)
    assert (await http.get("/versions")).status_code == 422
    assert (await http.get("/versions", params={"path": "relative"})).status_code == 400
    assert (await http.get("/versions", params={"path": f"{path.parent}/./{path.name}/"})).json()["total"] == 3


async def test_versions_of_a_server_that_is_away(pair: Pair, http: httpx.AsyncClient) -> None:
    await pair.stop_server()
    answer = await http.get("/versions", params={"path": str(pair.tree / "x")})
    assert (answer.status_code, answer.json()["code"]) == (503, "server_unreachable"), answer.text
