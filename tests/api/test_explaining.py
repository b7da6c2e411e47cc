"""GET /explain of a real daemon: known paths and paths nobody ever saw."""

import asyncio
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from asking import Api

from pp_assist.store.report import Report


async def why(api: Api, path: Path | bytes) -> dict[str, Any]:
    answer = await api.http.get(f"/explain?path={quote(os.fsencode(path))}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["reason"]["class"] in ("waiting", "file", "server", "person", "rule")
    assert found["reason"]["text"]
    return found


def short(found: dict[str, Any]) -> tuple[str, str]:
    return found["verdict"], found["reason"]["code"]


async def test_any_path_is_explained(api: Api) -> None:
    (api.folder / "new").write_text("x")
    assert short(await why(api, api.folder / "new")) == ("not_watched", "not_watched")
    added = (await api.http.post("/paths", json={"path": str(api.folder), "exclude": ["*.o", "cache/"]})).json()
    (api.folder / "cache" / "deep").mkdir(parents=True)
    (api.folder / "cache" / "deep" / "x").write_text("x")
    (api.folder / "sub").mkdir()
    (api.folder / "sub" / ".ppignore").write_text("\n*.tmp\n")
    os.mkfifo(api.folder / "fifo")
    await api.http.post("/scan/trigger", json={"wait": True})
    async with asyncio.timeout(10):
        while (new := await why(api, api.folder / "new"))["reason"]["code"] != "no_server":
            await asyncio.sleep(0.01)
    assert (new["verdict"], new["reason"]["class"], new["path_id"]) == ("pending", "person", added["id"])
    assert new["gen"] > 0
    assert len(new["sha256"]) == 64
    assert (new["receipt"], new["rule"]) == (None, None)
    events = [each["event"] for each in new["history"]]
    assert events[0] == "discovered" and {"hashed", "queued"} <= set(events)
    assert [each["at"] for each in new["history"]] == sorted(each["at"] for each in new["history"])
    assert "server add" in new["advice"]
    child = await why(api, api.folder / "cache" / "deep" / "x")
    assert child["rule"] == {"pattern": "cache/", "source": "root", "line": 2}
    assert (short(child), child["gen"]) == (("excluded", "pattern"), None)
    never = await why(api, api.folder / "sub" / "never.tmp")
    assert never["rule"] == {"pattern": "*.tmp", "source": str(api.folder / "sub" / ".ppignore"), "line": 2}
    assert short(await why(api, api.folder / "fifo")) == ("unsupported", "fifo")
    assert short(await why(api, api.folder / "sub")) == ("pending", "no_server")
    assert short(await why(api, api.folder)) == ("unsupported", "watched_folder")
    assert short(await why(api, api.folder / "nothing" / "here")) == ("unknown", "not_there")
    assert short(await why(api, api.folder / "new" / "below a file")) == ("unknown", "not_there")
    assert short(await why(api, api.folder / ".DS_Store")) == ("excluded", "system_junk")
    name = os.fsencode(api.folder) + b"/caf\xe9"
    with open(name, "wb") as file:
        file.write(b"x")
    found = await why(api, name)
    assert short(found) == ("pending", "not_seen_yet")
    assert found["filepath_b64"]
    os.rename(api.folder, api.folder.parent / "away")
    assert short(await why(api, api.folder / "new")) == ("unknown", "root_unhealthy")


async def test_a_link_on_the_way_is_not_followed(api: Api) -> None:
    (api.folder.parent / "elsewhere").mkdir()
    (api.folder.parent / "elsewhere" / "f").write_text("x")
    (api.folder / "link").symlink_to(api.folder.parent / "elsewhere")
    await api.http.post("/paths", json={"path": str(api.folder)})
    assert short(await why(api, api.folder / "link" / "f")) == ("excluded", "behind_a_link")


async def test_below_a_folder_that_is_not_recursive(api: Api) -> None:
    (api.folder / "sub").mkdir()
    (api.folder / "sub" / "f").write_text("x")
    await api.http.post("/paths", json={"path": str(api.folder), "recursive": False})
    for path in (api.folder / "sub" / "f", api.folder / "sub"):
        assert short(await why(api, path)) == ("not_watched", "not_recursive")


async def test_a_path_is_needed(api: Api) -> None:
    assert (await api.http.get("/explain")).status_code == 422


async def test_the_line_before_a_file_is_counted(api: Api) -> None:
    await api.http.post("/pause")
    for number in range(30):
        (api.folder / f"f{number:02}").write_text("x")
    await api.http.post("/paths", json={"path": str(api.folder)})
    await api.http.post("/scan/trigger", json={"wait": True})
    assert (await why(api, api.folder / "f00"))["ahead"] is None  # it is not the line that keeps it
    row = await api.daemon.db.rows("SELECT MAX(file_id), MIN(file_id) FROM work")
    last, first = tuple(row[0])
    report = Report(api.daemon.db)
    (root,) = await api.daemon.roots.all()
    places = [await report.file(root.id, b"f%02d" % number) for number in range(30)]
    ahead = {place.id: await report.ahead(place) for place in places if place}
    assert sorted(ahead.values()) == list(range(30))
    assert (ahead[first], ahead[last]) == (0, 29)
