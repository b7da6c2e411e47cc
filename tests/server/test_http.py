"""What holds for every request: the shape of errors, limits, headers."""

import pytest
from serving import Client, Server

from pp_server.api.problems import TABLE
from pp_server.core import errors
from pp_server.core.errors import ServerError


async def test_health_needs_no_key(server: Server) -> None:
    answer = await server.http().get("/health")
    assert answer.json() == {"status": "ok", "database": {"status": "connected"}}


async def test_the_version_says_what_the_server_can_do(server: Server) -> None:
    answer = (await server.http().get("/api/version")).json()
    assert answer["protocol"] == 1
    assert "deletions" in answer["features"]
    assert answer["limits"]["max_chunks"] == 200_000


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/docs", 404, "not_found"),
        ("GET", "/openapi.json", 404, "not_found"),
        ("PUT", "/health", 405, "method_not_allowed"),
        ("GET", "/api/files/", 404, "not_found"),
        ("GET", "/api/files/../../etc/passwd", 404, "not_found"),
        ("GET", "/api/files?path_prefix=" + "x" * 20_000, 414, "too_large"),
        ("PUT", "/api/uploads/x/chunk/one", 422, "invalid_request"),
        ("PUT", "/api/uploads/x/chunk/" + "9" * 5000, 422, "invalid_request"),
        ("PUT", "/api/uploads/%2e%2e%2fx/chunk/0", 404, "not_found"),
    ],
)
async def test_every_refusal_has_the_same_shape(client: Client, method: str, path: str, status: int, code: str) -> None:
    answer = await client.http.request(method, path)
    assert answer.status_code == status
    body = answer.json()
    assert body["code"] == code
    assert body["detail"]
    assert body["request_id"] == answer.headers["X-Request-Id"]


async def test_a_wrong_method_says_the_right_ones(client: Client) -> None:
    assert (await client.http.put("/health")).headers["Allow"] == "GET"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"filepath": 1}', b"{" * 100_000])
async def test_nonsense_for_json_is_refused(client: Client, body: bytes) -> None:
    answer = await client.http.post("/api/uploads/initiate", content=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["errors"]


@pytest.mark.parametrize("announced", [True, False])
async def test_a_json_body_has_a_limit(client: Client, announced: bool) -> None:
    sent = 0

    async def pieces():
        nonlocal sent
        for _ in range(1000):
            sent += 65_536
            yield b" " * 65_536

    content = b" " * 300_000 if announced else pieces()
    answer = await client.http.post("/api/uploads/initiate", content=content)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert sent < 1_000_000


async def test_a_client_that_goes_away_in_mid_request_is_no_error_of_ours(
    server: Server, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    messages = iter([{"type": "http.request", "body": b'{"file', "more_body": True}, {"type": "http.disconnect"}])
    sent = []

    async def receive():
        return next(messages)

    async def send(message):
        sent.append(message)

    headers = [(b"authorization", f"Bearer {client.api_key}".encode()), (b"content-length", b"500")]
    path = "/api/uploads/initiate"
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "headers": headers}
    more = {"query_string": b"", "http_version": "1.1", "scheme": "http", "root_path": "", "client": ("127.0.0.1", 1)}
    await server.app(scope | more | {"server": ("server", 80)}, receive, send)
    assert sent[0]["status"] == 422, "though nobody reads it"
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_what_nobody_foresaw_is_told_without_internals(
    server: Server, client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret /path/of/ours")

    monkeypatch.setattr(server.app.state.services.files, "list", broken)
    answer = await client.http.get("/api/files")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert "secret /path/of/ours" in caplog.text
    assert answer.json()["request_id"] in caplog.text


async def test_there_are_no_cors_headers(client: Client) -> None:
    answer = await client.http.get("/api/files", headers={"Origin": "http://evil.test"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    preflight = {"Origin": "http://evil.test", "Access-Control-Request-Method": "GET"}
    assert (await client.http.options("/api/files", headers=preflight)).status_code == 405


def test_every_domain_error_has_its_row() -> None:
    found = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, ServerError)}
    assert found - {ServerError, errors.StartRefused} == set(TABLE)


def test_409_is_said_only_where_content_is_stored() -> None:
    assert [error for error, (status, _) in TABLE.items() if status == 409] == [errors.AlreadyCompleted]
