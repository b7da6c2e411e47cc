"""Patterns added while the daemon runs: what they hide is shown before, named after, and comes back."""

from pathlib import Path
from typing import Any

import pytest
from asking import Api, running_api


async def watch(api: Api, names: list[str]) -> int:
    for name in names:
        path = api.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    path_id = (await api.http.post("/paths", json={"path": str(api.folder)})).json()["id"]
    await api.http.post("/scan/trigger", json={"wait": True})
    return int(path_id)


NAMES = ["a.txt", "a.tmp", "build/x.o", "build/deep/y.txt", "src/build/z.txt", "src/k.tmp", "né.tmp"]


@pytest.mark.parametrize(
    ("pattern", "hidden"),
    [
        ("*.tmp", {"a.tmp", "src/k.tmp", "né.tmp"}),
        ("build/", {"build/x.o", "build/deep/y.txt", "src/build/z.txt"}),
        ("/build/", {"build/x.o", "build/deep/y.txt"}),
        ("src/build", {"src/build/z.txt"}),
        ("nothing", set()),
        ("*", set(NAMES)),
    ],
)
async def test_the_preview_is_what_then_happens(api: Api, pattern: str, hidden: set[str]) -> None:
    path_id = await watch(api, NAMES)
    for body in ({"pattern": pattern}, {"pattern": pattern, "path_id": path_id}):
        preview = (await api.http.post("/excludes/preview", json=body)).json()
        assert preview["files"] == len(hidden)
        assert set(preview["sample"]) == {str(api.folder / name) for name in hidden}
        assert preview["size_bytes"] == sum(len(name.encode()) for name in hidden)
    await api.http.post("/excludes", json={"pattern": pattern})
    await api.http.post("/scan/trigger", json={"wait": True})
    tracked = (await api.http.get("/files", params={"status": "discovered"})).json()["files"]
    waiting = (await api.http.get("/files", params={"status": "ready_for_upload"})).json()["files"]
    left = {str(Path(each["filepath"]).relative_to(api.folder)) for each in [*tracked, *waiting]}
    assert left == set(NAMES) - hidden


async def test_one_is_added_named_and_taken_away(api: Api) -> None:
    await watch(api, ["keep.txt", "a.tmp"])
    assert (await api.http.get("/excludes")).json() == {"patterns": [], "total": 0}
    added = (await api.http.post("/excludes", json={"pattern": "*.tmp"})).json()
    again = await api.http.post("/excludes", json={"pattern": "*.tmp"})
    assert (again.status_code, again.json()["code"]) == (409, "exclude_exists")
    assert (await api.http.get("/excludes")).json() == {"patterns": [added], "total": 1}
    await api.http.post("/scan/trigger", json={"wait": True})
    why = (await api.http.get("/explain", params={"path": str(api.folder / "a.tmp")})).json()
    assert why["verdict"] == "excluded"
    assert why["rule"] == {"pattern": "*.tmp", "source": "exclude", "line": 1}
    assert (await api.http.delete(f"/excludes/{added['id']}")).json() == {"status": "deleted"}
    assert (await api.http.delete(f"/excludes/{added['id']}")).status_code == 404
    await api.http.post("/scan/trigger", json={"wait": True})
    assert (await api.http.get("/explain", params={"path": str(api.folder / "a.tmp")})).json()["verdict"] == "pending"
    assert (await api.http.post("/excludes", json={"pattern": "*.tmp"})).json()["id"] != added["id"]


async def test_they_outlive_the_process(tmp_path: Path) -> None:
    async with running_api(tmp_path, use_filesystem_events=False) as api:
        await api.http.post("/excludes", json={"pattern": "*.tmp"})
    (tmp_path / "files").rmdir()
    async with running_api(tmp_path, use_filesystem_events=False, quiet_seconds=0.0) as api:
        await watch(api, ["a.tmp"])
        why = (await api.http.get("/explain", params={"path": str(api.folder / "a.tmp")})).json()
        assert why["verdict"] == "excluded"


@pytest.mark.parametrize("body", [{"pattern": p} for p in ("", "#x", "a\nb", "[", "/", "x" * 5000)] + [{}, {"x": 1}])
async def test_what_is_no_pattern_is_refused(api: Api, body: dict[str, Any]) -> None:
    for path in ("/excludes", "/excludes/preview"):
        answer = await api.http.post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert (await api.http.post("/excludes/preview", json={"pattern": "x", "path_id": 99})).status_code == 404
