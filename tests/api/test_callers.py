"""The other ways in: a page with a ticket, a page of a named origin, and programs where no token is required."""

import asyncio
import contextlib
import json
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from asking import PORT, Api, running_api

from pp_assist import run
from pp_assist.api.server import Api as ApiComponent
from pp_assist.api.server import listen
from pp_assist.api.sessions import MOST, SESSION_S, TICKET_S, Sessions
from pp_assist.settings import ConfigError, load_settings
from pp_assist.sockets import is_our_socket, owner_of

HERE = f"http://127.0.0.1:{PORT}"
GUI = "http://localhost:3000"
CSRF = {"X-PutPlace-CSRF": "1"}


async def page_of(api: Api) -> httpx.AsyncClient:
    """A page that has shown its ticket."""
    ticket = (await api.http.post("/session/ticket")).json()["ticket"]
    page = api.client({"Origin": HERE, "Sec-Fetch-Site": "same-origin"})
    assert (await page.post("/session", json={"ticket": ticket})).json() == {"status": "entered"}
    return page


async def test_a_ticket_lets_one_page_in_once(api: Api) -> None:
    ticket = (await api.http.post("/session/ticket")).json()["ticket"]
    page = api.client()
    assert (await page.get("/status")).status_code == 401
    entered = await page.post("/session", json={"ticket": ticket})
    cookie = entered.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and ticket not in cookie
    assert (await page.get("/status")).status_code == 200
    assert (await api.client().post("/session", json={"ticket": ticket})).status_code == 401
    for wrong in ("", "x" * 500, "é", ticket[:-1]):
        assert (await api.client().post("/session", json={"ticket": wrong})).status_code in (401, 422)


async def test_a_cookie_gives_no_tickets(api: Api) -> None:
    page = await page_of(api)
    assert (await page.post("/session/ticket", json={}, headers=CSRF)).status_code == 401
    assert (await api.client().post("/session/ticket")).status_code == 401


async def test_with_the_cookie_a_change_needs_our_header_and_json(api: Api) -> None:
    page = await page_of(api)
    for method, path in (("POST", "/pause"), ("DELETE", "/paths/1"), ("POST", "/config"), ("PUT", "/paths")):
        answer = await page.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (403, "csrf")
        answer = await page.request(method, path, headers={"X-PutPlace-CSRF": "2"})
        assert answer.json()["code"] == "csrf"
    answer = await page.post("/pause", content=b"{}", headers={**CSRF, "Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["code"]) == (415, "not_json")
    assert (await page.post("/pause", json={}, headers=CSRF)).status_code == 200
    assert (await page.post("/resume", headers=CSRF)).status_code == 200


async def test_a_foreign_page_is_refused_with_a_cookie_too(api: Api) -> None:
    page = await page_of(api)
    for headers in ({"Origin": "http://evil.test"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.test"}):
        assert (await page.get("/status", headers=headers)).status_code == 403


@pytest.mark.parametrize(
    "others", ['a={"x": 1}; ', "a=b c; ", "=; ", "a; ", "\x01=\xff; ", '$a=1; a[]="; ', "a=" + "x" * 4000 + ";"]
)
async def test_the_cookies_of_other_programs_on_this_machine_do_not_matter(api: Api, others: str) -> None:
    ticket = (await api.http.post("/session/ticket")).json()["ticket"]
    entered = await api.client().post("/session", json={"ticket": ticket})
    ours = entered.headers["set-cookie"].split(";")[0]
    for sent in (others + ours, f"{ours}; {others}", f"{ours.split('=')[0]}=old; {others}{ours}"):
        answer = await api.client().get("/status", headers={"Cookie": sent.encode("latin-1")})
        assert answer.status_code == 200, sent
    assert (await api.client().get("/status", headers={"Cookie": others.encode("latin-1")})).status_code == 401


def test_sessions_end_and_do_not_pile_up() -> None:
    now = [0]
    sessions = Sessions("x", lambda: now[0])
    ticket = sessions.ticket()
    now[0] = int(TICKET_S * 1000)
    assert sessions.enter(ticket) is None
    value = sessions.enter(sessions.ticket())
    assert value is not None and sessions.knows(value)
    now[0] += int(SESSION_S * 1000)
    assert not sessions.knows(value)
    first = sessions.ticket()
    for _ in range(MOST):
        sessions.ticket()
    assert sessions.enter(first) is None


# -- a page of another site that the settings name


@pytest.fixture
async def open_to_gui(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path, api={"allowed_origins": [GUI]}, use_filesystem_events=False) as running:
        yield running


async def test_a_named_origin_comes_in_with_the_token_only(open_to_gui: Api) -> None:
    headers = {"Origin": GUI, "Sec-Fetch-Site": "cross-site"}
    for caller, status in ((open_to_gui.http, 200), (open_to_gui.client(), 401), (await page_of(open_to_gui), 401)):
        answer = await caller.get("/status", headers=headers)
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == GUI
    asked = await open_to_gui.client().options("/paths", headers=headers)
    assert asked.status_code == 204
    assert "Authorization" in asked.headers["access-control-allow-headers"]
    for origin in ("http://localhost:3001", "https://localhost:3000", f"{GUI}.evil.test", "null"):
        answer = await open_to_gui.http.get("/status", headers={"Origin": origin})
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
    rebound = await open_to_gui.client().options("/paths", headers={**headers, "Host": "evil.test"})
    assert rebound.status_code == 403
    assert "access-control-allow-origin" not in rebound.headers


@pytest.mark.parametrize("origin", ["*", "null", "http://a b", "localhost:3000", "http://x/", "http://X", "file://"])
def test_an_origin_that_is_none_is_refused(origin: str) -> None:
    with pytest.raises(ConfigError, match="allowed_origins"):
        load_settings({"api": {"allowed_origins": [origin]}}, environment={}, dotenv_file=os.devnull)


# -- no token required


@pytest.fixture
async def open_to_programs(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path, api={"require_token": False}, use_filesystem_events=False) as running:
        yield running


async def test_programs_come_in_without_a_token_and_pages_do_not(open_to_programs: Api) -> None:
    program = open_to_programs.client()
    folder = str(open_to_programs.folder)
    answer = await program.post(  # as curl -d sends it
        "/paths",
        content=json.dumps({"path": folder}).encode(),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == 200
    status = (await program.get("/status")).json()
    assert status["token_required"] is False
    assert "no_token_required" in [warning["code"] for warning in status["warnings"]]
    for headers in ({"Origin": "http://evil.test"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.test:8765"}):
        assert (await program.get("/status", headers=headers)).status_code == 403


async def test_a_program_of_somebody_else_does_not(open_to_programs: Api) -> None:
    async def nobody_is(_: Any) -> bool:
        return False

    app = open_to_programs.app_on(lambda: PORT, nobody_is)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HERE) as stranger:
        assert (await stranger.get("/status")).status_code == 401
        token = {"Authorization": f"Bearer {open_to_programs.token}"}
        assert (await stranger.get("/status", headers=token)).status_code == 200


async def test_whose_a_connection_is_is_looked_up_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's table of sockets may be long, and everybody else would wait for it."""
    seen = []
    monkeypatch.setattr(run, "is_our_socket", lambda *_: seen.append(threading.current_thread()) or True)
    assert await run._is_ours({"type": "http", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2)})
    assert threading.main_thread() not in seen
    assert not await run._is_ours({"type": "http", "client": None, "server": ("127.0.0.1", 2)})


def addresses() -> list[str]:
    """Those of this machine to itself that it has."""
    found = ["127.0.0.1"]
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        found.append("::1")
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
@pytest.mark.parametrize("host", addresses())
def test_the_owner_of_a_connection_is_found(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with (
        socket.create_server((host, 0), family=family) as listener,
        socket.create_connection(listener.getsockname()[:2]) as client,
    ):
        there, here = client.getsockname()[:2], listener.getsockname()[:2]
        assert owner_of(there, here) == os.getuid()
        assert is_our_socket(there, here)
        assert owner_of((there[0], 1), here) is None
        assert not is_our_socket((there[0], 1), here)


@pytest.mark.skipif(sys.platform != "linux" or os.getuid() != 0, reason="needs two users")
async def test_another_user_of_the_machine_stays_outside(tmp_path: Path) -> None:
    async with running_api(tmp_path, api={"require_token": False}, use_filesystem_events=False) as running:
        listener = listen("127.0.0.1", 0)
        port = listener.getsockname()[1]
        app = running.app_on(lambda: port, run._is_ours)
        serving = asyncio.create_task(ApiComponent(app, listener).run())
        seen = []
        for user in (0, 65534):
            os.seteuid(user)  # whose a socket is, is decided when it is made
            try:
                caller = socket.socket()
            finally:
                os.seteuid(0)
            with caller:
                request = f"GET /status HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()
                await asyncio.to_thread(caller.connect, ("127.0.0.1", port))
                await asyncio.to_thread(caller.sendall, request)
                seen.append((await asyncio.to_thread(caller.recv, 100)).split(b" ")[1])
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    assert seen == [b"200", b"401"]


async def test_no_socket_is_opened_for_strangers(api: Api) -> None:
    closed: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        closed.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    good = (b"host", f"127.0.0.1:{PORT}".encode())
    token = (b"authorization", f"Bearer {api.token}".encode())
    for headers in ([good], [(b"host", b"evil.test"), token], [good, token, (b"origin", b"http://evil.test")]):
        closed.clear()
        await api._app({"type": "websocket", "path": "/x", "headers": headers}, receive, send)  # type: ignore
        assert [message["type"] for message in closed] == ["websocket.close"]
