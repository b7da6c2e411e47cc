"""What `openapi.json` says of answers is what is answered."""

from pathlib import Path
from typing import Any

import pytest
from asking import Api
from pydantic import TypeAdapter
from test_held_deletions import hold

from pp_assist.api.answers import ANSWERS, Problem
from pp_assist.api.description import document
from pp_assist.core.events import Event

COMMITTED = Path(__file__).parents[2] / "pp_assist" / "ui" / "source" / "openapi.json"
NO_JSON = {
    "GET /ui", "GET /ui/{name}", "GET /metrics", "GET /activity/stream", "GET /openapi.json", "GET /receipt",
}  # fmt: skip


def test_what_the_page_is_written_against_is_what_there_is() -> None:
    assert COMMITTED.read_text() == document(), "run make ui-openapi"


async def test_every_answer_has_a_shape(api: Api) -> None:
    described = (await api.http.get("/openapi.json")).json()
    routes = {f"{method.upper()} {path}" for path, methods in described["paths"].items() for method in methods}
    assert set(ANSWERS) == routes - NO_JSON
    status = described["paths"]["/status"]["get"]["responses"]
    assert status["200"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Status"}
    assert status["default"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Problem"}
    schemas = described["components"]["schemas"]
    assert schemas["File"]["properties"]["id"]["type"] == "integer"
    assert {"Explanation", "Fetch", "Folder", "AddPath"} <= set(schemas)


async def test_every_answer_is_of_its_shape(api: Api, tmp_path: Path) -> None:
    """As many of them as a daemon without a server can be brought to give; extra fields are no less wrong."""
    for number in range(30):
        (api.folder / f"{number}").write_text(str(number))
    (api.folder / "link").symlink_to("0")
    (api.folder / "Thumbs.db").write_text("x")
    api.daemon.bus.tell(Event.STEERED, b"/caf\xe9", message="x", number=1)

    async def check(method: str, path: str, body: Any = None, route: str | None = None) -> Any:
        answer = await api.http.request(method, path, json=body)
        assert answer.status_code == 200, (path, answer.text)
        TypeAdapter(ANSWERS[route or f"{method} {path.partition('?')[0]}"]).validate_python(answer.json())
        seen.add(route or f"{method} {path.partition('?')[0]}")
        return answer.json()

    seen: set[str] = set()
    await check("POST", "/pause", {"seconds": 60})
    for path in ("/", "/health", "/paths", "/servers", "/excludes", "/activity", "/pace", "/config", "/config/fields"):
        await check("GET", path)
    added = await check("POST", "/paths", {"path": str(api.folder)})
    await check("POST", "/scan/trigger", {"wait": True})
    await check("GET", f"/paths/{added['id']}", route="GET /paths/{path_id}")
    for path in (
        "/status", "/stats", "/paths", "/files?kind=any", "/queue", "/queue?active=true", "/folders", "/fetch",
        f"/folders?path={tmp_path}", f"/explain?path={api.folder}/0", f"/explain?path={api.folder}/Thumbs.db",
        "/explain?path=/x", "/deletions", "/activity?text=x",
    ):  # fmt: skip
        await check("GET", path)
    await check("POST", "/queue/hold", {"glob": "*"}, "POST /queue/{action}")
    pattern = await check("POST", "/excludes", {"pattern": "*.tmp"})
    await check("POST", "/excludes/preview", {"pattern": "1*"})
    await check("DELETE", f"/excludes/{pattern['id']}", route="DELETE /excludes/{exclude_id}")
    server = await check("POST", "/servers", {"name": "n", "url": "http://127.0.0.1:1", "api_key": "k"})
    await check("GET", "/servers")
    await check("POST", f"/servers/{server['id']}/test", route="POST /servers/{server_id}/test")
    await check("POST", "/servers/test", {"url": "http://127.0.0.1:1", "api_key": "k"})
    await check("POST", f"/servers/{server['id']}/default", route="POST /servers/{server_id}/default")
    job = await check("POST", "/fetch", {"path": str(api.folder / "0")})
    await check("GET", f"/fetch/{job['id']}", route="GET /fetch/{fetch_id}")
    await check("POST", f"/fetch/{job['id']}/cancel", route="POST /fetch/{fetch_id}/cancel")
    await check("DELETE", f"/servers/{server['id']}", route="DELETE /servers/{server_id}")
    await check("POST", "/config", {"log_level": "DEBUG"})
    ticket = await check("POST", "/session/ticket")
    await check("POST", "/session", {"ticket": ticket["ticket"]})
    await check("POST", "/session/leave")
    await hold(api, 25)
    for each in (await check("GET", "/deletions"))["held"]:
        await check("GET", f"/deletions/{each['id']}/tree", route="GET /deletions/{held_id}/tree")
        body = {"count": each["count"]}
        await check("POST", f"/deletions/{each['id']}/approve", body, "POST /deletions/{held_id}/approve")
    await hold(api, 25)
    (held,) = (await check("GET", "/deletions"))["held"]
    await check("POST", f"/deletions/{held['id']}/reject", route="POST /deletions/{held_id}/reject")
    await check("POST", "/resume")
    await check("DELETE", f"/paths/{added['id']}", route="DELETE /paths/{path_id}")
    await check("POST", "/stop")
    assert set(ANSWERS) - seen == {"POST /verify", "GET /versions"}, "which need a server"
    for path in ("/nowhere", "/files?limit=0"):
        TypeAdapter(Problem).validate_python((await api.http.get(path)).json())


@pytest.mark.parametrize("path", ["/openapi.json"])
async def test_it_is_told_to_a_page_that_was_let_in(api: Api, path: str) -> None:
    ticket = (await api.http.post("/session/ticket")).json()["ticket"]
    page = api.client()
    await page.post("/session", json={"ticket": ticket})
    assert (await page.get(path)).status_code == 200
