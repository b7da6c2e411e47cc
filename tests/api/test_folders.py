"""GET /folders: what there is to choose from, and what of it can be watched."""

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from asking import Api

from pp_assist import folders, looks
from pp_server.wire.names import from_json


async def inside(api: Api, path: bytes | Path, **more: object) -> dict[str, Any]:
    asked = "".join(f"&{name}={quote(str(value))}" for name, value in more.items())
    answer = await api.http.get(f"/folders?path={quote(os.fsencode(path))}{asked}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def names(answer: dict[str, Any]) -> list[bytes]:
    return [from_json(each["name"], each.get("name_b64")) for each in answer["folders"]]


async def test_folders_are_listed_and_nothing_else(api: Api, tmp_path: Path) -> None:
    there = tmp_path / "there"
    for name in (b"b", b"A", b".hidden", b"caf\xe9", b"<img src=x onerror=alert(1)>", b"a\nb", b"with space"):
        os.makedirs(os.path.join(os.fsencode(there), name))
    (there / "file").write_text("x")
    (there / "link").symlink_to(there / "b")
    os.mkfifo(there / "fifo")
    answer = await inside(api, there)
    assert names(answer) == [
        b"<img src=x onerror=alert(1)>", b"A", b"a\nb", b"b", b"caf\xe9", b"with space", b".hidden",
    ]  # fmt: skip
    assert (answer["path"], answer["parent"], answer["total"], answer["next"]) == (
        str(there), {"path": str(tmp_path)}, 7, None,
    )  # fmt: skip
    assert answer["can_add"] and not answer["truncated"]
    odd = next(each for each in answer["folders"] if "name_b64" in each)
    assert from_json(odd["path"], odd["path_b64"]) == os.path.join(os.fsencode(there), b"caf\xe9")
    assert await inside(api, from_json(odd["path"], odd["path_b64"]))
    added = await api.http.post("/paths", json={"path": odd["path"], "path_b64": odd["path_b64"]})
    assert added.status_code == 200


async def test_pages_make_the_whole(api: Api, tmp_path: Path) -> None:
    there = tmp_path / "there"
    for number in range(25):
        (there / f"f{number:02}").mkdir(parents=True)
    (there / ".z").mkdir()
    found, after, pages = [], None, 0
    while True:
        more = {} if after is None else {"after": after}
        answer = await inside(api, there, limit=10, **more)
        found += names(answer)
        pages += 1
        if (after := answer["next"]) is None:
            break
    assert (pages, found) == (3, [*(b"f%02d" % number for number in range(25)), b".z"])


async def test_it_begins_at_home_and_where_disks_are(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, disk = tmp_path / "home", tmp_path / "a disk"
    home.mkdir()
    disk.mkdir()
    monkeypatch.setenv("HOME", str(home))
    line = f"36 35 98:0 / {str(disk).replace(' ', chr(92) + '040')} rw,noatime shared:1 - ext4 /dev/x rw\n"
    mounts = tmp_path / "mounts"
    mounts.write_text(line + "37 35 0:5 / /proc rw - proc proc rw\n38 35 0:6 / /dev/shm rw - tmpfs tmpfs rw\n")
    monkeypatch.setattr(folders.starts, "__defaults__", (str(mounts),))
    answer = (await api.http.get("/folders")).json()
    assert [(each["kind"], each["path"]) for each in answer["folders"]] == [
        ("home", str(home)), ("mount", "/"), ("mount", str(disk)),
    ]  # fmt: skip
    assert [each["can_add"] for each in answer["folders"]] == [True, False, True]
    assert (answer["path"], answer["parent"]) == (None, None)
    assert (await inside(api, b"~"))["path"] == str(home)


async def test_a_network_folder_that_is_dead_hides_no_other(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is asked of it before somebody chooses it."""
    for name in ("home", "nas", "sshfs", "disk"):
        (tmp_path / "all" / name).mkdir(parents=True)
    dead = {os.fsencode(tmp_path / "all" / name) for name in ("nas", "sshfs")}
    types = (("nas", "nfs4"), ("sshfs", "fuse.sshfs"), ("disk", "ext4"))
    mounts = tmp_path / "mounts"
    mounts.write_text("".join(f"1 2 98:0 / {tmp_path / 'all' / name} rw - {kind} x rw\n" for name, kind in types))
    asked = []

    def noted(inner: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *more: Any, **named: Any) -> Any:
            if path in dead:
                asked.append(path)
            return inner(path, *more, **named)

        return call

    monkeypatch.setenv("HOME", str(tmp_path / "all" / "home"))
    for function in (folders.starts, folders.unreadable):
        monkeypatch.setattr(function, "__defaults__", (str(mounts),))
    for where, what in ((os, "stat"), (os, "lstat"), (os, "access"), (os.path, "isdir")):
        monkeypatch.setattr(where, what, noted(getattr(where, what)))
    begin = (await api.http.get("/folders")).json()["folders"]
    listed = (await inside(api, tmp_path / "all"))["folders"]
    assert asked == []
    assert {Path(each["path"]).name: each["can_add"] for each in begin} == {
        "home": True, "": False, "disk": True, "nas": True, "sshfs": True,
    }  # fmt: skip
    assert {each["name"]: each["can_add"] for each in listed} == dict.fromkeys(("home", "disk", "nas", "sshfs"), True)
    await inside(api, tmp_path / "all" / "nas")
    assert asked


async def test_what_cannot_be_watched_says_why(api: Api, tmp_path: Path) -> None:
    for name in ("free", "watched/below"):
        (tmp_path / name).mkdir(parents=True)
    await api.http.post("/paths", json={"path": str(tmp_path / "watched")})
    found = {each["name"]: each for each in (await inside(api, tmp_path))["folders"]}
    assert {name: (each["why_not"] or {}).get("code") for name, each in found.items()} == {
        "free": None, "files": None, "watched": "path_exists", "state": "path_refused",
    }  # fmt: skip
    assert [each["can_add"] for each in found.values()] == [each["why_not"] is None for each in found.values()]
    above = await inside(api, tmp_path)
    assert (above["can_add"], above["why_not"]["code"]) == (False, "path_overlaps")
    (below,) = (await inside(api, tmp_path / "watched"))["folders"]
    assert below["why_not"]["code"] == "path_overlaps" and str(tmp_path / "watched") in below["why_not"]["text"]
    root = await inside(api, b"/")
    barred = {each["name"]: each["why_not"]["code"] for each in root["folders"] if each["name"] in ("proc", "sys")}
    assert (root["parent"], root["can_add"]) == (None, False)
    assert set(barred.values()) == {"path_refused"}


async def test_errors_are_clear(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path, status, code in (
        (tmp_path / "nowhere", 404, "not_found"), (tmp_path / "file", 400, "not_a_folder"),
        (tmp_path / "loop", 400, "not_a_folder"), (b"relative", 400, "path_not_absolute"),
        (b"/" + b"a" * 300, 400, "not_a_folder"), (b"/a\0b", 422, "invalid_request"),
    ):  # fmt: skip
        answer = await api.http.get(f"/folders?path={quote(os.fsencode(path))}")
        assert (answer.status_code, answer.json()["code"]) == (status, code), path
    for query in ("limit=0", "limit=1001", "after=!", "after=abc"):
        answer = await api.http.get(f"/folders?path={quote(str(tmp_path))}&{query}")
        assert answer.status_code == 422, query

    def barred(_: bytes) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", barred)
    answer = await api.http.get(f"/folders?path={quote(str(tmp_path))}")
    assert (answer.status_code, answer.json()["code"]) == (403, "no_permission")


@pytest.fixture
def dead_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A disk at /dead that answers nothing before the event is set."""
    answers, scandir, isdir = threading.Event(), os.scandir, os.path.isdir
    monkeypatch.setattr(looks, "PATIENCE_S", 0.2)
    monkeypatch.setattr(os, "scandir", lambda path: answers.wait(20) if path == b"/dead" else scandir(path))
    monkeypatch.setattr(os.path, "isdir", lambda path: bool(path == b"/dead" and answers.wait(20)) or isdir(path))
    yield answers
    answers.set()


async def test_a_disk_that_does_not_answer_keeps_nobody_waiting(api: Api, dead_disk: threading.Event) -> None:
    answer = await api.http.get("/folders?path=/dead")
    assert (answer.status_code, answer.json()["code"]) == (503, "no_answer")


async def test_a_disk_that_does_not_answer_stops_nothing_else(
    api: Api, dead_disk: threading.Event, tmp_path: Path
) -> None:
    asked = [api.http.get("/folders?path=/dead") for _ in range(40)]
    asked += [api.http.post("/fetch", json={"path": "/a", "to": "/dead"}) for _ in range(40)]
    answers = await asyncio.gather(*asked)
    assert {(each.status_code, each.json()["code"]) for each in answers} == {(503, "no_answer")}
    texts = Counter(each.json()["detail"] for each in answers)
    assert texts == {
        "the disk did not answer within 0 s": 2,
        "2 other folders are being looked into, on disks that do not answer; try again later": 78,
    }
    async with asyncio.timeout(5):
        assert (await api.http.get("/files")).status_code == 200
        assert (await api.http.get("/queue")).status_code == 200
    dead_disk.set()
    async with asyncio.timeout(5):
        while (await api.http.get(f"/folders?path={quote(str(tmp_path))}")).status_code != 200:
            pass


async def test_a_folder_with_very_much_in_it_is_cut(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        (tmp_path / "many" / str(number)).mkdir(parents=True)
    monkeypatch.setattr(folders, "MOST_READ", 12)
    answer = await inside(api, tmp_path / "many")
    assert (answer["total"], answer["truncated"]) == (12, True)
