"""GET /queue and POST /queue/…: what is in line, by pages, and what can be done with it."""

import base64
import os
from typing import Any

import pytest
from asking import Api


async def fill(api: Api, names: list[bytes]) -> None:
    await api.http.post("/pause")
    for name in names:
        path = os.path.join(os.fsencode(api.folder), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(name)
    await api.http.post("/paths", json={"path": str(api.folder)})
    await api.http.post("/scan/trigger", json={"wait": True})


def names(api: Api, page: Any) -> list[str]:
    return [os.path.relpath(item["filepath"], api.folder) for item in page["items"] if item["kind"] == "file"]


async def test_pages_make_the_whole_and_filters_leave_out(api: Api) -> None:
    await fill(api, [b"f%02d" % number for number in range(25)])
    whole = (await api.http.get("/queue")).json()
    assert whole["total"] == len(whole["items"]) == 25
    item = whole["items"][0]
    assert (item["stage"], item["state"], item["lane"], item["active"]) == ("checksum", "eligible", "small", False)
    assert item["bytes_total"] == 3 and item["attempts"] == 0 and item["queued_at"] and item["reason"] is None
    pages = [(await api.http.get("/queue", params={"limit": 10, "offset": at})).json() for at in (0, 10, 20, 30)]
    assert [item for page in pages for item in page["items"]] == whole["items"]
    assert {page["total"] for page in pages} == {25}
    assert (await api.http.post("/queue/hold", json={"glob": "f0?"})).json() == {"matched": 10}
    for query, count in (
        ({"state": "held"}, 10), ({"state": "eligible"}, 15), ({"state": "waiting"}, 0), ({"state": "parked"}, 0),
        ({"stage": "upload"}, 0), ({"stage": "checksum"}, 25), ({"stage": "checksum", "state": "held"}, 10),
    ):  # fmt: skip
        page = (await api.http.get("/queue", params=query)).json()
        assert (page["total"], len(page["items"])) == (count, count), query
    assert (await api.http.get("/stats")).json()["queues"]["pending_checksum"]["held"] == 10


async def test_files_are_meant_by_path_by_pattern_and_by_id(api: Api) -> None:
    odd = b"odd-\xff-name"
    await fill(api, [b"a", b"sub/b", b"sub/deep/c", b"subway", odd])

    async def hold(**body: Any) -> list[str]:
        answer = await api.http.post("/queue/hold", json=body)
        assert answer.status_code == 200, answer.text
        held = names(api, (await api.http.get("/queue", params={"state": "held"})).json())
        await api.http.post("/queue/release", json={"glob": "*"})
        return sorted(held)

    assert await hold(path=str(api.folder / "sub")) == ["sub/b", "sub/deep/c"]
    assert await hold(path=str(api.folder / "sub" / "b")) == ["sub/b"]
    assert len(await hold(path=str(api.folder))) == 5
    encoded = base64.b64encode(os.path.join(os.fsencode(api.folder), odd)).decode()
    assert len(await hold(path="x", path_b64=encoded)) == 1
    assert await hold(glob="deep/") == ["sub/deep/c"]
    assert await hold(glob="/sub/*") == ["sub/b", "sub/deep/c"]
    ids = {
        os.path.relpath(item["filepath"], api.folder): item["id"]
        for item in (await api.http.get("/queue")).json()["items"]
    }
    assert await hold(ids=[ids["a"], 10**9]) == ["a"]
    assert await hold(ids=[]) == []


async def test_why_says_who_keeps_it(api: Api) -> None:
    await fill(api, [b"a", b"b"])
    await api.http.post("/resume")
    await api.http.post("/pause")
    await api.http.post("/queue/hold", json={"path": str(api.folder / "a")})
    await api.http.post("/queue/cancel", json={"path": str(api.folder / "b")})
    found = {}
    for name in "ab":
        why = (await api.http.get("/explain", params={"path": str(api.folder / name)})).json()
        assert why["verdict"] == "pending" and why["reason"]["class"] == "person"
        found[name] = why["reason"]["code"], why["advice"].split(",")[0]
    assert found == {
        "a": ("held_by_person", "pp_assist queue release"),
        "b": ("cancelled", "pp_assist queue retry"),
    }
    told = (await api.http.get("/activity", params={"event_type": "steered"})).json()["events"]
    assert any("queue cancel" in each["message"] for each in told)


@pytest.mark.parametrize(
    ("action", "body", "code"),
    [
        ("hold", {}, 422),
        ("hold", {"path": "/x", "glob": "*"}, 422),
        ("hold", {"ids": ["1"]}, 422),
        ("hold", {"ids": [-1]}, 422),
        ("hold", {"ids": [2**63]}, 422),
        ("hold", {"glob": ""}, 422),
        ("hold", {"glob": "["}, 422),
        ("hold", {"path": ""}, 422),
        ("hold", {"path": "relative"}, 400),
        ("hold", {"path": "/in/no/folder"}, 404),
        ("hold", {"path": "x", "path_b64": "!"}, 422),
        ("delete", {"glob": "*"}, 422),
    ],
)
async def test_what_cannot_be_meant_is_refused(api: Api, action: str, body: dict[str, Any], code: int) -> None:
    answer = await api.http.post(f"/queue/{action}", json=body)
    assert answer.status_code == code and answer.json()["detail"]


@pytest.mark.parametrize("query", [{"stage": "x"}, {"state": "x"}, {"limit": 0}, {"limit": 1001}, {"offset": -1}])
async def test_questions_that_mean_nothing_are_refused(api: Api, query: dict[str, Any]) -> None:
    assert (await api.http.get("/queue", params=query)).status_code == 422
