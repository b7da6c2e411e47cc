"""Who may call: every route, known or not, behind Host, Origin and token."""

import httpx
import pytest
from asking import PORT, Api

ROUTES = [
    ("GET", "/status"), ("GET", "/stats"), ("GET", "/files"), ("GET", "/paths"), ("GET", "/paths/1"),
    ("POST", "/paths"), ("DELETE", "/paths/1"), ("POST", "/scan/trigger"), ("GET", "/servers"), ("POST", "/servers"),
    ("DELETE", "/servers/1"), ("GET", "/config"), ("POST", "/config"), ("GET", "/nowhere"), ("GET", "/docs"),
    ("GET", "/openapi.json"), ("OPTIONS", "/paths"), ("GET", "//paths"), ("TRACE", "/status"), ("GET", "/receipt"),
    ("GET", "/explain"), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/stop"),
    ("GET", "/activity"), ("GET", "/activity/stream"), ("GET", "/metrics"),
    ("GET", "/excludes"), ("POST", "/excludes"), ("POST", "/excludes/preview"), ("DELETE", "/excludes/1"),
    ("POST", "/session/ticket"), ("GET", "/queue"), ("POST", "/queue/hold"),
    ("GET", "/deletions"), ("POST", "/deletions/1/approve"), ("POST", "/deletions/1/reject"),
]  # fmt: skip

FOREIGN_HOSTS = [
    "evil.test", "127.0.0.1.evil.test", "0.0.0.0:8765", "localhost", "127.0.0.1", "127.0.0.1:80", "localhost.:8765",
    "127.0.0.1:8765.", "[::1]", "127.1:8765", "2130706433:8765", "user@localhost:8765", "",
]  # fmt: skip


def test_the_table_has_every_route(api: Api) -> None:
    app = api._app._app  # type: ignore[attr-defined]
    paths = {(m, r.path) for r in _routes(app) for m in getattr(r, "methods", None) or ()}
    listed = {(method, path.replace("/1", "/{}").replace("/hold", "/{}")) for method, path in ROUTES}
    import re

    assert {(m, re.sub(r"{\w+}", "{}", p)) for m, p in paths if m != "HEAD"} - {
        ("GET", "/health"),
        ("POST", "/session"),
    } <= listed


def _routes(app: object) -> list[object]:
    found: list[object] = []
    for route in app.routes:  # type: ignore[attr-defined]
        inner = getattr(route, "original_router", None) or getattr(route, "router", None)
        found += _routes(inner) if inner is not None else [route]
    return found


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_nothing_is_answered_without_the_token(api: Api, method: str, path: str) -> None:
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {api.token}"},
        {"Authorization": api.token},
    ):
        answer = await api.client(headers).request(method, path)
        assert answer.status_code == 401
        assert answer.json()["code"] == "unauthorized"
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
async def test_a_foreign_host_is_refused_before_anything_else(api: Api, host: str) -> None:
    for path in ("/health", "/paths", "/nowhere"):
        answer = await api.http.get(path, headers={"Host": host})
        assert answer.status_code == 403
        assert answer.json()["code"] == "forbidden_host"


async def test_two_host_headers_are_refused(api: Api) -> None:
    headers = [("Host", f"127.0.0.1:{PORT}"), ("Host", "evil.test"), ("Authorization", f"Bearer {api.token}")]
    request = httpx.Request("GET", f"http://127.0.0.1:{PORT}/paths", headers=headers)
    assert (await api.client().send(request)).status_code == 403


@pytest.mark.parametrize("host", [f"127.0.0.1:{PORT}", f"localhost:{PORT}", f"[::1]:{PORT}", f"LOCALHOST:{PORT}"])
async def test_our_own_names_are_answered(api: Api, host: str) -> None:
    assert (await api.http.get("/paths", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.test", "null", "https://127.0.0.1:8765", "http://localhost:1", "file://"]
)
async def test_a_foreign_origin_is_refused_even_with_the_token(api: Api, origin: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        answer = await api.http.request(method, "/paths", headers={"Origin": origin})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden_origin")


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
