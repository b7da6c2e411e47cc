"""The page's own files: served to everybody here, to nobody else, and told what they may do."""

from importlib.resources.abc import Traversable
from pathlib import Path

import pytest
from asking import PORT, Api

from pp_assist.api import page

HERE = f"http://127.0.0.1:{PORT}"


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page as it could be built, with what must not be served beside it."""
    folder = tmp_path / "package" / "built"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>x</title>")
    (folder / "assets" / "index-abc123.js").write_text("export {}")
    (folder / "assets" / "font-abc123.woff2").write_bytes(b"\0")
    (folder / "icon.svg").write_text("<svg/>")
    (folder.parent / "secret.txt").write_text("secret")
    files: dict[str, Traversable] = dict(page._below(folder, ""))
    monkeypatch.setattr(page, "built", lambda: files)
    return folder


async def test_the_page_is_for_whoever_has_no_token_and_says_what_it_may_load(api: Api, built: Path) -> None:
    stranger = api.client({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"})
    for path in ("/ui", "/ui/", "/ui/index.html"):
        answer = await stranger.get(path)
        assert (answer.status_code, answer.text) == (200, (built / "index.html").read_text())
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(each.split(" ", 1) for each in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert {value for name, value in policy.items()} == {"'none'", "'self'"}
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in answer.headers and "set-cookie" not in answer.headers


async def test_what_has_its_content_in_its_name_is_kept_for_ever(api: Api, built: Path) -> None:
    stranger = api.client()
    for name, kind in (
        ("assets/index-abc123.js", "text/javascript; charset=utf-8"), ("assets/font-abc123.woff2", "font/woff2"),
    ):  # fmt: skip
        answer = await stranger.get(f"/ui/{name}")
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert (answer.headers["content-type"], answer.content) == (kind, (built / name).read_bytes())
    answer = await stranger.get("/ui/icon.svg")
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("image/svg+xml", "no-store")


@pytest.mark.parametrize(
    "path",
    [
        "/ui/nothing", "/ui/assets", "/ui/assets/", "/ui/../secret.txt", "/ui/%2e%2e/secret.txt",
        "/ui/..%2fsecret.txt", "/ui//index.html", "/ui/%00", "/ui/index.html%00",
        "/ui/C:/x", "/ui/..\\secret.txt",
    ],
)  # fmt: skip
async def test_nothing_but_what_was_built_is_served(api: Api, built: Path, path: str) -> None:
    answer = await api.client().get(path)
    assert answer.status_code in (401, 404), (path, answer.text)
    assert "secret" not in answer.text


async def test_pages_of_others_may_not_even_load_it(api: Api, built: Path) -> None:
    for headers in (
        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://evil.test"},
        {"Host": f"evil.test:{PORT}"}, {"Origin": "null"},
    ):  # fmt: skip
        for path in ("/", "/ui", "/ui/assets/index-abc123.js"):
            assert (await api.client(headers).get(path)).status_code == 403


async def test_without_a_page_there_is_an_error_that_says_so(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "built", dict)
    answer = await api.client().get("/ui")
    assert (answer.status_code, answer.json()["detail"]) == (404, "this installation has no page")


async def test_a_browser_is_led_to_the_page_and_a_program_is_told_who_it_asks(api: Api) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    led = await api.client(browser).get("/")
    assert (led.status_code, led.headers["location"]) == (303, "/ui")
    assert (await api.client().get("/")).json() == {"name": "pp_assist"}
    assert set((await api.http.get("/")).json()) == {"name", "version"}


async def test_only_reading_is_open(api: Api, built: Path) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        for path in ("/", "/ui", "/ui/index.html"):
            assert (await api.client().request(method, path)).status_code == 401


async def test_the_description_is_behind_the_guard(api: Api) -> None:
    assert (await api.client().get("/openapi.json")).status_code == 401
    described = (await api.http.get("/openapi.json")).json()
    assert {"/status", "/files", "/folders", "/fetch"} <= set(described["paths"])


async def test_who_leaves_is_a_stranger_again(api: Api) -> None:
    pages = []
    for _ in range(2):
        ticket = (await api.http.post("/session/ticket")).json()["ticket"]
        pages.append(api.client({"Origin": HERE, "X-PutPlace-CSRF": "1"}))
        assert (await pages[-1].post("/session", json={"ticket": ticket})).status_code == 200
    left = await pages[0].post("/session/leave")
    assert left.json() == {"status": "left"}
    assert "max-age=0" in left.headers["set-cookie"].lower()
    assert (await pages[0].get("/status")).status_code == 401
    assert (await pages[1].get("/status")).status_code == 200
    assert (await api.client().post("/session/leave")).status_code == 401


async def test_a_ticket_that_another_user_of_the_machine_has_seen_is_no_good_to_him(api: Api) -> None:
    async def nobody_is(_: object) -> bool:
        return False

    ticket = (await api.http.post("/session/ticket")).json()["ticket"]
    ours, api._app = api._app, api.app_on(lambda: PORT, nobody_is)
    assert (await api.client().post("/session", json={"ticket": ticket})).status_code == 401
    api._app = ours
    assert (await api.client().post("/session", json={"ticket": ticket})).status_code == 200
