"""Who may call: every route, known or not, behind Host, Origin and token."""

import json
import re
from typing import Any

import pytest
from asking import PORT, Api

FOREIGN_HOSTS = [
    "", " ", "evil.test", f"evil.test:{PORT}", f"127.0.0.1.evil.test:{PORT}", f"localhost.evil.test:{PORT}",
    f"evil.localhost:{PORT}",
    "localhost", "127.0.0.1", "[::1]", "127.0.0.1:80", "127.0.0.1:", f"127.0.0.1:0{PORT}", f"127.0.0.1:+{PORT}",
    f"127.0.0.1:{PORT}0",
    f"127.0.0.1:{PORT}.", f"127.0.0.1:{PORT}/", f"127.0.0.1:{PORT} ", f" 127.0.0.1:{PORT}",
    f"127.0.0.1:{PORT}:{PORT}", f"127.0.0.1 :{PORT}",
    f"127.0.0.1.:{PORT}", f"localhost.:{PORT}", f"127.1:{PORT}", f"127.0.0.2:{PORT}", f"0:{PORT}",
    f"0.0.0.0:{PORT}", f"2130706433:{PORT}",
    f"0x7f000001:{PORT}", f"0177.0.0.1:{PORT}", f"[::]:{PORT}", f"::1:{PORT}", f"[0:0:0:0:0:0:0:1]:{PORT}",
    f"[::ffff:127.0.0.1]:{PORT}",
    f"[::1%25lo]:{PORT}", f"user@localhost:{PORT}", f"localhost:{PORT}@evil.test", f"evil.test,127.0.0.1:{PORT}",
    f"127.0.0.1:{PORT},evil.test", f"http://127.0.0.1:{PORT}", f"loc\u0430lhost:{PORT}", f"localhost\t:{PORT}",
    "a" * 5000, f"127.0.0.1:{PORT}\0",
]  # fmt: skip
"""Names that a page could be shown under, or that mean us to somebody and not to us."""

FOREIGN_ORIGINS = [
    "", "null", "http://evil.test", f"http://evil.test:{PORT}", f"https://127.0.0.1:{PORT}", "http://127.0.0.1",
    "http://localhost:1", "file://",
    f"http://127.0.0.1:{PORT}.evil.test", f"http://127.0.0.1:{PORT}/", f"http://user@127.0.0.1:{PORT}",
    f"http://localhost.:{PORT}",
    f"http://127.0.0.1:{PORT} http://evil.test", f"http://127.0.0.1:{PORT}, http://evil.test",
    "chrome-extension://abc", "*",
]  # fmt: skip


def every_route(api: Api) -> list[tuple[str, str]]:
    """Every route and socket of the application, from its own table, with a number for whatever is in braces."""
    app = api._app._app  # type: ignore[attr-defined]
    return sorted(
        {
            (method, re.sub(r"{[\w:]+}", "1", route.path))
            for route in _routes(app)
            for method in getattr(route, "methods", None) or ("WEBSOCKET",)
        }
    )


def _routes(app: object) -> list[Any]:
    found: list[Any] = []
    for route in app.routes:  # type: ignore[attr-defined]
        inner = getattr(route, "original_router", None) or getattr(route, "router", None)
        found += _routes(inner) if inner is not None else [route]
    return found


Sent = list[tuple[str, str]]


async def asked(api: Api, method: str, path: str, headers: Sent, body: bytes = b"{}") -> tuple[int, str]:
    """Ask with just these headers, however odd they are, as whatever speaks HTTP could; return status and code.

    Of a socket that is closed before it was accepted, the status is 403, as uvicorn answers.
    """
    is_socket = method == "WEBSOCKET"
    scope = {
        "type": "websocket" if is_socket else "http", "path": path, "raw_path": path.encode(), "query_string": b"",
        "root_path": "",
        "scheme": "ws" if is_socket else "http", "http_version": "1.1", "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", PORT),
        "headers": [(name.lower().encode("latin-1"), value.encode()) for name, value in headers],
        **({"subprotocols": []} if is_socket else {"method": method}),
    }  # fmt: skip
    coming: list[Any] = [
        {"type": "websocket.connect"} if is_socket else {"type": "http.request", "body": body, "more_body": False}
    ]
    said: list[Any] = []

    async def receive() -> Any:
        return coming.pop() if coming else {"type": "websocket.disconnect" if is_socket else "http.disconnect"}

    async def send(message: Any) -> None:
        said.append(message)

    await api._app(scope, receive, send)
    first = said[0]
    if is_socket:
        return (403, str(first.get("reason"))) if first["type"] == "websocket.close" else (200, "accepted")
    assert "access-control-allow-origin" not in dict(first["headers"])
    body = b"".join(message.get("body", b"") for message in said[1:])
    return first["status"], str(json.loads(body).get("code")) if body.startswith(b"{") else ""


OPEN = {("GET", "/health"), ("HEAD", "/health"), ("POST", "/session"), ("GET", "/"), ("GET", "/ui"), ("GET", "/ui/1")}
"""Nothing is told by them: the page, which is the same for everybody, is among them."""

GOOD = ("Host", f"127.0.0.1:{PORT}")


async def test_every_route_and_socket_is_behind_host_origin_and_token(api: Api) -> None:
    """Each that there is, each with every way of being somebody else's; the token does not help a foreign page."""
    token = ("Authorization", f"Bearer {api.token}")
    routes = every_route(api)
    assert (
        len(routes) >= 50
        and set(OPEN) - {("HEAD", "/health")} <= set(routes)
        and ("WEBSOCKET", "/ws/progress") in routes
    )
    assert len(FOREIGN_HOSTS) >= 40
    beside = [
        ("GET", "/nowhere"), ("WEBSOCKET", "/nowhere"), ("OPTIONS", "/paths"), ("PUT", "/status"), ("TRACE", "/status"),
        ("GET", "//paths"), ("GET", "/docs"), ("GET", "/redoc"), ("GET", "/uix"), ("GET", "/ui2/x"), ("POST", "/ui"),
        ("PUT", "/ui/1"),
        ("HEAD", "/ui"), ("GET", "//ui"), ("GET", "/UI"), ("GET", "/x/../ui"), ("WEBSOCKET", "/ui"),
    ]  # fmt: skip
    for method, path in [*routes, *beside]:
        for host in FOREIGN_HOSTS:
            for rest in ([], [token], [token, ("Origin", f"http://{host}")]):
                assert await asked(api, method, path, [("Host", host), *rest]) == (403, "forbidden_host"), host
        for hosts in ([], [GOOD, GOOD], [GOOD, ("Host", "evil.test")], [("Host", "evil.test"), GOOD]):
            assert await asked(api, method, path, [*hosts, token]) == (403, "forbidden_host"), hosts
        for origin in FOREIGN_ORIGINS:
            for rest in ([], [("Origin", f"http://127.0.0.1:{PORT}")]):
                sent = [GOOD, token, ("Origin", origin), *rest]
                assert await asked(api, method, path, sent) == (403, "forbidden_origin"), origin
        for site in ("cross-site", "same-site", "", "none, cross-site", "SAME-ORIGIN"):
            assert await asked(api, method, path, [GOOD, token, ("Sec-Fetch-Site", site)]) == (403, "forbidden_origin")
        if (method, path) in OPEN:
            continue
        for wrong in (
            [], [("Authorization", "")], [("Authorization", "Bearer ")], [("Authorization", "Bearer wrong")],
            [token, token],
            [("Authorization", f"Basic {api.token}")], [("Authorization", api.token)],
            [("Authorization", f"Bearer {api.token}x")],
            [("Authorization", f"Bearer {api.token[:-1]}")], [("Authorization", f"Bearer {api.token.upper()}\u00e9")],
            [("X-Api-Key", api.token)], [("Cookie", f"token={api.token}")],
        ):  # fmt: skip
            status, code = await asked(api, method, path, [GOOD, *wrong])
            assert (status, code) == (403 if method == "WEBSOCKET" else 401, "unauthorized"), wrong


async def test_a_page_changes_nothing_with_another_content_type(api: Api) -> None:
    """What a form of any page could send, were there no other guard: each changing route refuses it."""
    ticket = (await api.http.post("/session/ticket")).json()["ticket"]
    entered = await api.client().post("/session", json={"ticket": ticket})
    cookie = ("Cookie", entered.headers["set-cookie"].split(";")[0])
    page = [GOOD, cookie, ("Origin", f"http://127.0.0.1:{PORT}"), ("Sec-Fetch-Site", "same-origin")]
    csrf = ("X-PutPlace-CSRF", "1")
    changing = [each for each in every_route(api) if each[0] not in ("GET", "HEAD", "OPTIONS", "WEBSOCKET")]
    for method, path in changing:
        if path == "/session":
            continue
        for kind in (
            "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "",
            "application/jsonp",
            "text/plain; application/json", "text/plain, application/json",
        ):  # fmt: skip
            refused = await asked(api, method, path, [*page, csrf, ("Content-Type", kind)])
            assert refused == (415, "not_json"), (method, path, kind)
        for wrong in ([], [("X-PutPlace-CSRF", "")], [("X-PutPlace-CSRF", "0")], [csrf, csrf]):
            refused = await asked(api, method, path, [*page, *wrong, ("Content-Type", "application/json")])
            assert refused == (403, "csrf"), (method, path, wrong)


@pytest.mark.parametrize("host", [f"127.0.0.1:{PORT}", f"localhost:{PORT}", f"[::1]:{PORT}", f"LOCALHOST:{PORT}"])
async def test_our_own_names_are_answered(api: Api, host: str) -> None:
    assert (await api.http.get("/paths", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_request_from_another_site_is_refused(api: Api, site: str) -> None:
    assert (await api.http.get("/health", headers={"Sec-Fetch-Site": site})).status_code == 403


async def test_our_own_origin_is_allowed(api: Api) -> None:
    headers = {"Origin": f"http://127.0.0.1:{PORT}", "Sec-Fetch-Site": "same-origin"}
    assert (await api.http.get("/paths", headers=headers)).status_code == 200


async def test_health_without_a_token_says_nothing_else(api: Api) -> None:
    assert set((await api.client().get("/health")).json()) == {"status"}
    assert set((await api.http.get("/health")).json()) == {"status", "version", "database_ok"}


async def test_with_the_token_a_body_is_read_as_json_whatever_its_type(api: Api) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", None):
        headers = {"Content-Type": kind} if kind else {}
        answer = await api.http.post("/scan/trigger", content=b'{"force": true}', headers=headers)
        assert (answer.status_code, answer.json()["force"]) == (200, True)


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_large_body_is_refused(api: Api, chunked: bool) -> None:
    async def pieces():  # type: ignore[no-untyped-def]
        for _ in range(40):
            yield b" " * 65536

    content = pieces() if chunked else b" " * 40 * 65536
    answer = await api.http.post("/config", content=content)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_every_error_has_the_common_shape(api: Api) -> None:
    for method, path, body, status in [
        ("GET", "/nowhere", None, 404),
        ("PUT", "/paths", None, 405),
        ("GET", "/paths/77", None, 404),
        ("GET", "/paths/x", None, 422),
        ("GET", "/files?limit=0", None, 422),
        ("GET", "/files?limit=1001", None, 422),
        ("GET", "/files?status=nonsense", None, 422),
        ("POST", "/paths", {"path": ""}, 422),
        ("POST", "/paths", {"path": "/a", "recusrive": True}, 422),
        ("POST", "/paths", {"path": "a\0b"}, 422),
        ("POST", "/paths", {"path": "relative"}, 400),
        ("POST", "/paths", {"path": "/does/not/exist"}, 400),
        ("POST", "/paths", {"path": "/proc"}, 400),
        ("POST", "/paths", {"path": "/"}, 400),
        ("POST", "/scan/trigger", {"path": "/not/registered"}, 404),
        ("POST", "/servers", {"name": "x", "url": "ftp://h", "api_key": "k"}, 422),
        ("POST", "/servers", {"name": "x", "url": "http://u:p@127.0.0.1", "api_key": "k"}, 422),
        ("POST", "/servers", {"name": "x", "url": "http://example.org", "api_key": "k"}, 422),
        ("POST", "/servers", {"name": "x", "url": "http://[::1", "api_key": "k"}, 422),
        ("POST", "/servers", {"name": "x", "url": "http://127.0.0.1", "api_key": "k\n"}, 422),
        ("POST", "/servers", {"name": "x", "url": "http://127.0.0.1"}, 422),
        ("DELETE", "/servers/9", None, 404),
        ("POST", "/config", {"scanner": {"scan_intervall": 3}}, 422),
        ("POST", "/config", {"scanner": 3}, 422),
        ("POST", "/config", {"nonsense": {}}, 422),
        ("POST", "/config", [], 422),
    ]:
        answer = await api.http.request(method, path, json=body)
        assert answer.status_code == status, (method, path, body, answer.text)
        problem = answer.json()
        assert {"detail", "code", "request_id"} <= set(problem), answer.text
        if status == 422:
            assert problem["detail"]
    broken = await api.http.post("/paths", content=b"{")
    assert (broken.status_code, broken.json()["code"]) == (422, "invalid_request")
