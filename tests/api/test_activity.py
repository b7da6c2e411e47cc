"""What happened, told once to everybody: listed, streamed, resumed, and never in anybody's way."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from asking import Api, running_api

from pp_assist.activity.bus import RING, Bus
from pp_assist.api.server import Api as ApiComponent
from pp_assist.api.server import listen
from pp_assist.core.events import Event
from pp_assist.store.activity import MOST_KEPT

DEADLINE_S = 60.0


def bus_of(count: int) -> Bus:
    bus = Bus(lambda: 0)
    for number in range(count):
        bus.tell(Event.UPLOAD_COMPLETE, b"/f", number=number)
    return bus


def test_the_ring_gives_what_comes_after() -> None:
    bus = bus_of(10)
    assert [each.id for each in bus.after(7) or ()] == [8, 9, 10]
    assert [each.id for each in bus.after(0, 2) or ()] == [1, 2]
    assert bus.after(10) == bus.after(99) == ()
    full = bus_of(RING + 5)
    assert full.after(4) is None
    assert len(full.after(5) or ()) == RING
    assert Bus(lambda: 0, first_id=50).after(3) is None  # of an earlier start: kept elsewhere


async def test_it_is_listed_newest_first_and_after_an_event(api: Api) -> None:
    for number in range(5):
        api.daemon.bus.tell(Event.UPLOAD_COMPLETE, b"/caf\xe9", number=number)
    api.daemon.bus.tell(Event.UPLOAD_PROGRESS, b"/passing")
    api.daemon.bus.tell(Event.FILE_DELETED, b"/gone", count=3)
    answer = (await api.http.get("/activity", params={"limit": 3})).json()
    events = answer["events"]
    assert answer["has_more"] is True
    assert [each["event_type"] for each in events] == ["file_deleted", "upload_complete", "upload_complete"]
    assert events[0]["count"] == 3 and "filepath_b64" in events[1]
    every = (await api.http.get("/activity", params={"event_type": "upload_complete"})).json()["events"]
    first = every[-1]["id"]
    after = (await api.http.get("/activity", params={"since_id": first, "limit": 2})).json()
    assert [each["details"]["number"] for each in after["events"]] == [2, 1]
    assert after["has_more"] is True
    for query in ({"limit": 0}, {"limit": 501}, {"event_type": "nonsense"}, {"since_id": -1}):
        assert (await api.http.get("/activity", params=query)).status_code == 422  # type: ignore[arg-type]


async def test_many_may_ask_at_once_while_much_happens(api: Api) -> None:
    async def ask(number: int) -> int:
        api.daemon.bus.tell(Event.UPLOAD_COMPLETE, number=number)
        return (await api.http.get("/activity")).status_code

    for _ in range(5):
        assert set(await asyncio.gather(*map(ask, range(20)))) == {200}
    kept = await api.daemon.db.value("SELECT COUNT(*) FROM activity WHERE event = 'upload_complete'")
    assert kept == 100


async def test_what_a_cancelled_writer_has_written_is_written_once(api: Api) -> None:
    """It does not know whether its commit was the last thing that happened."""
    api.daemon.bus.tell(Event.STEERED, message="once")
    written_id = api.daemon.journal._written_id
    await api.daemon.journal.write()
    api.daemon.journal._written_id = written_id
    await api.daemon.journal.write()
    assert await api.daemon.db.value("SELECT COUNT(*) FROM activity WHERE event = 'steered'") == 1


async def test_what_is_kept_is_bounded(api: Api) -> None:
    for _ in range(3):
        for number in range(MOST_KEPT // 2):
            api.daemon.bus.tell(Event.UPLOAD_COMPLETE, number=number)
        await api.daemon.journal.write()
    assert await api.daemon.db.value("SELECT COUNT(*) FROM activity") == MOST_KEPT


async def test_ids_grow_over_restarts_and_a_stream_goes_on(tmp_path: Path) -> None:
    async with running_api(tmp_path, use_filesystem_events=False) as api:
        api.daemon.bus.tell(Event.STEERED, message="before")
        last_id = api.daemon.bus.last_id
        api.daemon.bus.tell(Event.STEERED, message="missed")
    (tmp_path / "files").rmdir()
    async with running_api(tmp_path, use_filesystem_events=False) as api:
        assert api.daemon.bus.last_id > last_id
        api.daemon.bus.tell(Event.STEERED, message="after")
        found = await api.daemon.journal.after(last_id, frozenset({Event.STEERED}), 100)
        assert [each.message for each in found] == ["missed", "after"]


# -- over the network


@asynccontextmanager
async def served(api: Api) -> AsyncIterator[str]:
    """Where the API of *api* listens."""
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    serving = asyncio.create_task(ApiComponent(api.app_on(lambda: port), listener).run())
    try:
        yield f"127.0.0.1:{port}"
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def read_stream(
    url: str, token: str, until: int, last_id: int | None = None, ready: asyncio.Event | None = None
) -> list[dict[str, Any]]:
    """Listen until the event with the details `number` = *until*."""
    headers = {"Authorization": f"Bearer {token}"}
    if last_id is not None:
        headers["Last-Event-ID"] = str(last_id)
    found: list[dict[str, Any]] = []
    async with (
        asyncio.timeout(DEADLINE_S),
        httpx.AsyncClient(timeout=None, trust_env=False) as http,
        http.stream("GET", f"http://{url}/activity/stream", headers=headers) as answer,
    ):
        assert answer.status_code == 200
        async for line in answer.aiter_lines():
            if line == "event: connected" and ready is not None:
                ready.set()
            if line.startswith("data: ") and "event_type" in line:
                found.append(json.loads(line.removeprefix("data: ")))
                if found[-1]["details"].get("number") == until:
                    return found
    raise AssertionError("the stream ended")


async def test_sixteen_listen_one_stands_still_and_nobody_misses_anything(api: Api) -> None:
    events = 4_000
    async with served(api) as url:
        ready = [asyncio.Event() for _ in range(15)]
        tasks = [asyncio.create_task(read_stream(url, api.token, events - 1, ready=each)) for each in ready]
        reader, writer = await asyncio.open_connection(*url.split(":"))
        writer.write(
            f"GET /activity/stream HTTP/1.1\r\nHost: {url}\r\nAuthorization: Bearer {api.token}\r\n\r\n".encode()
        )
        await reader.readline()  # and never reads again
        for each in ready:
            await each.wait()
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {api.token}"}, trust_env=False) as http:
            full = await http.get(f"http://{url}/activity/stream")
        assert (full.status_code, full.json()["code"]) == (503, "too_many_listeners")
        for number in range(events):
            api.daemon.bus.tell(Event.UPLOAD_COMPLETE, b"/some/file", number=number)
            if number % 50 == 0:
                await asyncio.sleep(0.005)
        for found in await asyncio.gather(*tasks):
            numbers = [each["details"]["number"] for each in found if each["event_type"] == "upload_complete"]
            assert numbers == list(range(events))
        writer.close()


async def test_no_more_than_sixteen_listen_however_many_come_at_once(api: Api) -> None:
    async def status(http: httpx.AsyncClient, leave: asyncio.Event) -> int:
        async with http.stream("GET", "/activity/stream") as answer:
            came.release()
            await leave.wait()
            return answer.status_code

    came, leave = asyncio.Semaphore(0), asyncio.Event()
    token = {"Authorization": f"Bearer {api.token}"}
    async with served(api) as url, asyncio.timeout(DEADLINE_S):
        async with httpx.AsyncClient(base_url=f"http://{url}", timeout=None, trust_env=False, headers=token) as http:
            listening = [asyncio.create_task(status(http, leave)) for _ in range(40)]
            for _ in listening:
                await came.acquire()
            leave.set()
            found = await asyncio.gather(*listening)
        assert sorted(found) == [200] * 16 + [503] * 24
        for _ in range(16):  # and each gives its place back
            assert len(await one_event(url, api)) == 1


async def one_event(url: str, api: Api) -> list[dict[str, Any]]:
    ready = asyncio.Event()
    listening = asyncio.create_task(read_stream(url, api.token, 1, ready=ready))
    await ready.wait()
    api.daemon.bus.tell(Event.UPLOAD_COMPLETE, number=1)
    return await listening


async def test_a_stream_that_was_cut_goes_on_where_it_was(api: Api) -> None:
    async with served(api) as url:
        ready = asyncio.Event()
        first = asyncio.create_task(read_stream(url, api.token, 4, ready=ready))
        await ready.wait()
        for number in range(5):
            api.daemon.bus.tell(Event.UPLOAD_COMPLETE, number=number)
        last_id = (await first)[-1]["id"]
        for number in range(5, 3000):  # more than fit into one page
            api.daemon.bus.tell(Event.UPLOAD_COMPLETE, number=number)
        found = await read_stream(url, api.token, 2999, last_id)
        assert [each["details"]["number"] for each in found] == list(range(5, 3000))
        ready = asyncio.Event()
        later = asyncio.create_task(
            read_stream(url, api.token, 9, last_id=10**17, ready=ready)
        )  # no id of ours: from now
        await ready.wait()
        api.daemon.bus.tell(Event.UPLOAD_COMPLETE, number=9)
        assert len(await later) == 1


async def test_the_socket_tells_the_six_kinds(api: Api) -> None:
    async with served(api) as url:
        headers = {"Authorization": f"Bearer {api.token}"}
        async with websockets.connect(f"ws://{url}/ws/progress", additional_headers=headers) as socket:
            await asyncio.sleep(0.1)
            api.daemon.bus.tell(Event.SCAN_STARTED)
            api.daemon.bus.tell(Event.FILE_DISCOVERED, b"/a")
            api.daemon.bus.tell(Event.SHA256_COMPLETE, b"/a", sha256="0" * 64)
            api.daemon.bus.tell(Event.UPLOAD_STARTED, b"/a")
            api.daemon.bus.tell(Event.UPLOAD_PROGRESS, b"/a", progress_percent=50)
            api.daemon.bus.tell(Event.UPLOAD_COMPLETE, b"/a")
            api.daemon.bus.tell(Event.FILE_DELETED, b"/a")
            told = [json.loads(await asyncio.wait_for(socket.recv(), 10)) for _ in range(6)]
        assert [each["type"] for each in told] == [
            "file_discovered", "checksum_calculated", "upload_started", "upload_progress", "upload_completed",
            "file_deleted",
        ]  # fmt: skip
        assert told[1]["sha256"] == "0" * 64 and told[3]["progress"] == 50
        assert {each["filepath"] for each in told} == {"/a"}


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Origin": "http://evil.test", "Authorization": "TOKEN"}]
)
async def test_no_socket_for_strangers(api: Api, headers: dict[str, str]) -> None:
    said = {name: value.replace("TOKEN", f"Bearer {api.token}") for name, value in headers.items()}
    async with served(api) as url:
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with websockets.connect(f"ws://{url}/ws/progress", additional_headers=said):
                pass
    assert refused.value.response.status_code == 403


async def test_a_cookie_opens_the_socket_only_for_a_page_of_ours(api: Api) -> None:
    async with served(api) as url:
        async with httpx.AsyncClient(base_url=f"http://{url}", trust_env=False) as http:
            token = {"Authorization": f"Bearer {api.token}"}
            ticket = (await http.post("/session/ticket", headers=token)).json()["ticket"]
            entered = await http.post("/session", json={"ticket": ticket})
        cookie = {"Cookie": entered.headers["set-cookie"].split(";")[0]}
        async with websockets.connect(
            f"ws://{url}/ws/progress", additional_headers={**cookie, "Origin": f"http://{url}"}
        ):
            pass
        for origin in ({}, {"Origin": "http://evil.test"}):
            with pytest.raises(websockets.InvalidStatus):
                async with websockets.connect(f"ws://{url}/ws/progress", additional_headers={**cookie, **origin}):
                    pass


async def test_a_stream_that_was_cut_before_anything_happened_goes_on_where_it_began(api: Api) -> None:
    api.daemon.bus.tell(Event.STEERED, message="before")
    async with served(api) as url:
        headers = {"Authorization": f"Bearer {api.token}"}
        async with (
            asyncio.timeout(DEADLINE_S),
            httpx.AsyncClient(timeout=None, trust_env=False, headers=headers) as http,
            http.stream("GET", f"http://{url}/activity/stream") as answer,
        ):
            said = answer.aiter_lines()
            assert await anext(said) == "event: connected"
            began = json.loads((await anext(said)).removeprefix("data: "))["last_event_id"]
            assert began == api.daemon.bus.last_id
        api.daemon.bus.tell(Event.UPLOAD_COMPLETE, number=1)
        found = await read_stream(url, api.token, 1, last_id=began)
        assert [each["details"]["number"] for each in found] == [1]
