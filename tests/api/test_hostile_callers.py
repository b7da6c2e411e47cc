"""Callers with a token who send what nobody foresaw."""

import asyncio
import json
from typing import Any

import pytest
from asking import Api

HUGE = 10**30


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/paths/{HUGE}"),
        ("DELETE", f"/paths/{HUGE}"),
        ("DELETE", f"/paths/-{HUGE}"),
        ("DELETE", f"/servers/{HUGE}"),
        ("GET", f"/files?limit={HUGE}"),
        ("GET", f"/files?offset={HUGE}"),
        ("GET", f"/files?sort=path&offset={HUGE}"),
        ("GET", f"/fetch/{HUGE}"),
        ("GET", f"/deletions/{HUGE}/tree"),
        ("GET", f"/pace?seconds={HUGE}"),
        ("GET", f"/activity?path_id={HUGE}"),
    ],
)
async def test_huge_numbers_are_refused(api: Api, method: str, path: str) -> None:
    answer = await api.http.request(method, path)
    assert answer.status_code in (404, 422), answer.text


LONE = b'"\\ud800"'
BODIES = [
    b"{" + LONE + b": 1}",
    b'{"path": ' + LONE + b"}",
    b'{"path": "/x", "name": "x", "url": ' + LONE + b', "api_key": "k"}',
    b'{"name": ' + LONE + b', "url": "http://localhost", "api_key": "k"}',
    b'{"name": "x", "username": ' + LONE + b', "url": "http://localhost", "api_key": "k"}',
    b'{"scanner": {' + LONE + b": 1}}",
    b'{"scanner": {"scan_interval": ' + LONE + b"}}",
    b'{"hostname": ' + LONE + b"}",
    b'{"hostname": "a\\u0000b"}',
    b'{"scanner": {"scan_interval": [null]}}',
    b'{"scanner": {"scan_interval": [{"a": null}]}}',
    b'{"scanner": [1]}',
    b'{"scanner": {"scan_interval": 1e999}}',
    b'{"scanner": {"scan_interval": NaN}}',
    b'{"a\\nb": {"c": 1}}',
    b'{"": {"": 1}}',
    b'{"api": {"port": ' + b"9" * 400 + b"}}",
    b'{"a": ' * 300 + b"1" + b"}" * 300,
    b'{"a": ' * 900 + b"1" + b"}" * 900,
    b"[" * 100_000,
    b'{"path": "' + b"a/" * 5000 + b'"}',
    b'{"path": "/' + b"a" * 300 + b'"}',
    b'{"path": "/a\\u0000b"}',
    b'{"path": "/tmp", "path_b64": "!"}',
    b'{"path": 5}',
    b"null",
    b"[]",
    b"\xff\xfe",
    b"",
]


ODD = [
    "null", "true", "-1", "0", "1.5", "1e999", "-1e999", "NaN", "Infinity", "9223372036854775808", "[]", "{}", "[null]",
    '""', '" "', '"\\u0000"', '"\\ud800"', '"*"', '"["', '"!"', '"1"', "9" * 400, "9" * 5000, '"' + "a" * 5000 + '"',
    '"9999-12-31T23:59:59-12:00"', '"0001-01-01T00:00:00+14:00"',
]  # fmt: skip
FIELDS = {
    "/paths": ["path", "path_b64", "recursive", "policy", "exclude"],
    "/servers": ["name", "url", "api_key", "username", "is_default", "fingerprint", "ca_file"],
    "/config": ["hostname", "log_level", "scanner", "uploader", "api", "rules"],
    "/scan/trigger": ["path", "path_b64", "force", "wait"],
    "/pause": ["until", "seconds"],
    "/resume": ["x"],
    "/excludes": ["pattern"],
    "/excludes/preview": ["pattern", "path_id"],
    "/session": ["ticket"],
    "/session/ticket": ["x"],
    "/queue/hold": ["path", "path_b64", "glob", "ids"],
    "/queue/bump": ["ids"],
    "/deletions/1/approve": ["count"],
    "/deletions/1/reject": ["x"],
    "/fetch": ["path", "path_b64", "id", "to", "to_b64", "version", "overwrite"],
    "/fetch/1/cancel": ["x"],
    "/session/leave": ["x"],
}


UNREAD = ("/resume", "/session/ticket", "/session/leave")
"""Routes that take nothing from a body."""


@pytest.mark.parametrize("path", FIELDS)
async def test_odd_bodies_are_never_our_fault(api: Api, path: str) -> None:
    given = {"/servers": b'"name":"n","url":"http://localhost","api_key":"k",', "/excludes/preview": b'"pattern":"x",'}
    fields = [
        b"{%s%s:%s}" % (given.get(path, b""), json.dumps(name).encode(), value.encode())
        for name in FIELDS[path]
        for value in ODD
    ]
    for body in (*BODIES, b'{"a": 1, "a": 2}', b"\0", b"9" * 5000, *fields):
        answer = await api.http.post(path, content=body)
        assert answer.status_code < 500, (body, answer.text)
        assert answer.status_code != 200 or path in UNREAD or b"\\ud800" not in body, body
    for url in ("/status", "/config", "/servers", "/excludes", "/queue", "/activity"):
        assert (await api.http.get(url)).status_code == 200, "and nothing that was taken breaks what is shown"


@pytest.mark.parametrize(
    "url", ["https://ex\tample", "https://[::1]x", "https://xn--.x", "https://h/ \n", "https://h/\u0001"]
)
async def test_a_url_that_nobody_can_call_is_refused(api: Api, url: str) -> None:
    answer = await api.http.post("/servers", json={"name": "x", "url": url, "api_key": "k"})
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("name", [" ", "a\n", "a\0b", "\u202eb", " a"])
async def test_a_server_needs_a_name_that_people_can_read(api: Api, name: str) -> None:
    answer = await api.http.post("/servers", json={"name": name, "url": "http://localhost", "api_key": "k"})
    assert answer.status_code == 422


@pytest.mark.parametrize("change", [{"api": {"port": True}}, {"scanner": {"quiet_seconds": False}}])
async def test_true_is_no_number(api: Api, change: dict[str, Any]) -> None:
    before = (await api.http.get("/config")).json()["config"]
    answer = await api.http.post("/config", json=change)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert (await api.http.get("/config")).json()["config"] == before
    assert (await api.http.post("/config", json={"scanner": {"use_filesystem_events": False}})).status_code == 200


async def test_no_change_of_the_settings_is_lost_to_another_at_the_same_time(api: Api) -> None:
    for number in range(1, 10):
        changes = [
            {"scanner": {"scan_interval": 60 + number}},
            {"scanner": {"delete_grace_seconds": number}},
            {"uploader": {"bandwidth_kib_per_second": 100 * number}},
            {"log_level": "DEBUG" if number % 2 else "INFO"},
        ]
        answers = await asyncio.gather(*(api.http.post("/config", json=change) for change in changes))
        assert {answer.status_code for answer in answers} == {200}
        last = max((answer.json()["config"] for answer in answers), key=lambda config: _agreeing(config, changes))
        assert _agreeing(last, changes) == len(changes)
    force = (await api.http.get("/config")).json()["config"]
    assert (force["log_level"], force["uploader"]["bandwidth_kib_per_second"]) == ("DEBUG", 900)


def _agreeing(config: dict[str, Any], changes: list[dict[str, Any]]) -> int:
    """How many of *changes* are in *config*."""
    return sum(
        config[section] == value or (isinstance(value, dict) and value.items() <= config[section].items())
        for change in changes
        for section, value in change.items()
    )


async def test_the_same_path_many_times_at_once_is_one_path(api: Api) -> None:
    below = api.folder / "below"
    below.mkdir()
    asked = [api.http.post("/paths", json={"path": str(path)}) for path in (api.folder, below, api.folder, below) * 4]
    answers = await asyncio.gather(*asked)
    codes = sorted(answer.status_code for answer in answers)
    assert codes.count(200) == 1
    assert set(codes) == {200, 400, 409}
    roots: dict[str, Any] = (await api.http.get("/paths")).json()
    assert roots["total"] == 1
