"""Finding files among many, what is held folder by folder, how fast it goes, and what can be set."""

import asyncio
import os
from typing import Any

from asking import Api
from test_held_deletions import hold

from pp_assist.core.events import Event
from pp_assist.core.model import FileState
from pp_assist.store.search import SORTS, Wanted, statement


async def filled(api: Api) -> None:
    sizes = {"one/Report 2026.txt": 30, "one/report_final.txt": 10, "two/100%.txt": 20, "two/deep/er/x.bin": 5}
    for name, size in sizes.items():
        path = api.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
        os.utime(path, ns=(size * 10**9, size * 10**9))
    with open(os.path.join(os.fsencode(api.folder), b"caf\xe9.txt"), "wb") as file:
        file.write(b"x" * 7)
    (api.folder / "Thumbs.db").write_text("x")
    await api.http.post("/paths", json={"path": str(api.folder)})
    await api.http.post("/scan/trigger", json={"wait": True})


async def found(api: Api, **query: object) -> list[str]:
    answer = await api.http.get("/files", params=query)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    page = answer.json()
    assert page["total"] >= len(page["files"])
    return [os.path.relpath(each["filepath"], api.folder) for each in page["files"]]


async def test_files_are_found_by_parts_of_their_path(api: Api) -> None:
    await filled(api)
    assert await found(api, text="report", sort="path") == ["one/Report 2026.txt", "one/report_final.txt"]
    assert await found(api, text="  2026   REPORT ") == ["one/Report 2026.txt"]
    assert await found(api, text="100%") == ["two/100%.txt"]
    assert await found(api, text="t_fin") == ["one/report_final.txt"]
    assert await found(api, text="er/x") == ["two/deep/er/x.bin"]
    assert await found(api, text="caf") == ["caf\ufffd.txt"]
    for nothing in ("%", "_x_", "!", "nowhere", "' OR 1=1 --"):
        assert await found(api, text=nothing) == (["two/100%.txt"] if nothing == "%" else []), nothing
    assert await found(api, text="txt", path_prefix=str(api.folder / "two")) == ["two/100%.txt"]
    assert await found(api, text="", reason="system_junk") == ["Thumbs.db"]
    assert await found(api, status="excluded", sort="path") == ["Thumbs.db"]
    assert await found(api, status="stored") == []
    assert len(await found(api, status="pending")) == 5


async def test_they_are_sorted_and_paged(api: Api) -> None:
    await filled(api)
    sizes = ["two/deep/er/x.bin", "caf\ufffd.txt", "one/report_final.txt", "two/100%.txt", "one/Report 2026.txt"]
    assert await found(api, sort="size", status="pending") == sizes
    assert await found(api, sort="size", order="desc", status="pending") == sizes[::-1]
    by_path = await found(api, sort="path", kind="file")
    assert by_path == ["Thumbs.db", "caf\ufffd.txt", *sorted(name for name in by_path if "/" in name)]
    pages = [await found(api, sort="path", limit=2, offset=at) for at in (0, 2, 4, 6)]
    assert [name for page in pages for name in page] == by_path
    assert await found(api, kind="dir", sort="path", text="two") == ["two", "two/deep", "two/deep/er"]
    for sort in SORTS:
        for order in ("asc", "desc"):
            assert len(await found(api, sort=sort, order=order)) == 6


async def test_what_was_found_is_remembered_only_as_long_as_it_is_true(api: Api) -> None:
    await filled(api)
    assert len(await found(api, text=".txt")) == 4
    (api.folder / "new.txt").write_text("x")
    await api.http.post("/scan/trigger", json={"wait": True})
    async with asyncio.timeout(10):
        while len(await found(api, text=".txt")) != 5:
            await asyncio.sleep(0.05)


async def test_odd_questions_are_refused_or_find_nothing(api: Api) -> None:
    await filled(api)
    for query in ({"sort": "nonsense"}, {"order": "up"}, {"text": "x" * 1001}, {"reason": "x" * 101}, {"text": "a\0b"}):
        assert (await api.http.get("/files", params=query)).status_code == 422, query
    for text in ("\u202e", "\ufffd", "<script>", "é", "\\", "a" * 1000):
        assert (await api.http.get("/files", params={"text": text})).status_code == 200


async def test_a_row_is_known_by_its_number(api: Api) -> None:
    await filled(api)
    (row,) = (await api.http.get("/files", params={"text": "x.bin"})).json()["files"]
    await api.http.post("/pause")
    assert (await api.http.post("/queue/hold", json={"ids": [row["id"]]})).json()["matched"] <= 1


def test_every_question_is_one_statement_that_the_database_can_read() -> None:
    everything = Wanted(
        (FileState.COMPLETED, FileState.UNCHANGED), ((1, 2), b"a/b"), "file", ("x", "y%"), "busy", "path", True
    )
    sql, values = statement(everything)
    assert sql.count("?") == len(values)
    assert "%y!%%" in values and values.count("changing") == 2


# -- held deletions


async def test_held_deletions_are_shown_folder_by_folder(api: Api) -> None:
    for number in range(6):
        for folder in ("a", "a/b", "c"):
            (api.folder / folder).mkdir(exist_ok=True)
            (api.folder / folder / str(number)).write_text("x" * number)
    (api.folder / "top").write_text("x")
    await api.http.post("/paths", json={"path": str(api.folder)})
    await api.http.post("/scan/trigger", json={"wait": True})
    await api.http.post("/pause")
    await hold(api, 1000)
    async with api.daemon.db.transaction() as tx:
        await tx.execute("UPDATE files SET kind = 'dir' WHERE name IN (x'61', x'62', x'63')")
    (held,) = (await api.http.get("/deletions")).json()["held"]
    status = (await api.http.get("/status")).json()
    assert status["held_deletions"] == held["count"] == 19, "folders and links that are held with them are not counted"
    assert [each["text"] for each in status["summary"]["reasons"] if each["code"] in ("deletions_held", "pending")] == [
        "19 deletions wait for your word"
    ]
    assert (await api.http.get("/stats")).json()["queues"]["pending_deletion"]["held"] == 22

    async def tree(path: str = "", **query: Any) -> Any:
        return (await api.http.get(f"/deletions/{held['id']}/tree", params={"path": path, **query})).json()

    top = await tree()
    assert (top["count"], top["truncated"]) == (held["count"], False)
    assert {each["path"]: each["count"] for each in top["folders"]} == {"a": 12, "c": 6}
    assert [each["name"] for each in top["files"]] == ["top"]
    inside = await tree("a")
    assert (inside["count"], inside["folders"]) == (12, [{"name": "b", "path": "a/b", "count": 6}])
    assert [each["path"] for each in inside["files"]] == [f"a/{number}" for number in range(6)]
    cut = await tree("a/b", limit=4)
    assert (len(cut["files"]), cut["count"], cut["truncated"]) == (4, 6, True)
    assert (await tree("nowhere"))["count"] == 0
    assert (await api.http.get("/deletions/77/tree")).status_code == 404
    assert (await api.http.get(f"/deletions/{held['id']}/tree?limit=0")).status_code == 422


# -- what happened


async def test_what_happened_is_filtered_and_read_backwards(api: Api) -> None:
    bus = api.daemon.bus
    for number in range(6):
        bus.tell(Event.UPLOAD_COMPLETE, b"/a/File%d" % number, root_id=1 + number % 2)
        bus.tell(Event.STEERED, message=f"said {number}")
    bus.tell(Event.ERROR, message="file trouble")

    async def asked(**query: Any) -> Any:
        return (await api.http.get("/activity", params={"limit": 100, **query})).json()

    both = await asked(event_type=["upload_complete", "error"])
    assert both["total"] == len(both["events"]) == 7
    assert (await asked(path_id=2))["total"] == 3
    assert (await asked(text="FILE"))["events"][0]["message"] == "file trouble"
    assert (await asked(text="file"))["total"] == 7
    assert (await asked(text="%"))["total"] == 0
    newest = await asked(limit=5)
    older = await asked(limit=100, before_id=newest["events"][-1]["id"])
    everything = (await asked())["events"]
    assert newest["events"] + older["events"] == everything
    assert newest["has_more"] and not older["has_more"]
    for query in ({"before_id": 3, "since_id": 3}, {"text": ""}, {"text": "a\0"}, {"event_type": ["error", "x"]}):
        assert (await api.http.get("/activity", params=query)).status_code == 422, query


# -- how fast, and what can be set


async def test_the_pace_is_told_second_by_second(api: Api) -> None:
    pace = (await api.http.get("/pace", params={"seconds": 5})).json()
    assert set(pace) == {"step_seconds", "ends_at", "hashed", "stored", "bytes", "latency_ms"}
    assert [len(pace[name]) for name in ("hashed", "stored", "bytes")] == [5, 5, 5]
    assert pace["latency_ms"] is None
    for wrong in (0, 901):
        assert (await api.http.get("/pace", params={"seconds": wrong})).status_code == 422


async def test_who_is_at_work_is_asked_alone(api: Api) -> None:
    await filled(api)
    assert (await api.http.get("/queue", params={"active": True})).status_code == 200
    assert (await api.http.get("/queue", params={"active": True, "stage": "upload"})).status_code == 422


async def test_every_setting_has_what_a_form_needs(api: Api) -> None:
    fields = {each["name"]: each for each in (await api.http.get("/config/fields")).json()["fields"]}
    config = (await api.http.get("/config")).json()["config"]
    leaves = {
        f"{section}.{key}" if key else section
        for section, value in config.items()
        for key in (value if isinstance(value, dict) else [""])
    }
    assert set(fields) == leaves - {"state_dir"}
    chunk = fields["uploader.chunk_size_mb"]
    assert (chunk["type"], chunk["unit"], chunk["minimum"], chunk["maximum"], chunk["default"], chunk["value"]) == (
        "integer", "MiB", 1, 64, 4, 4,
    )  # fmt: skip
    assert fields["scanner.busy_policy"]["choices"] == ["wait", "snapshot"]
    assert fields["uploader.compression"]["choices"] == ["auto", "always", "never"]
    assert fields["uploader.bandwidth_timetable"]["type"] == "list"
    assert fields["uploader.bandwidth_kib_per_second"]["at_once"] is True
    assert all(each["description"] and each["type"] for each in fields.values())
    seconds = {name for name, each in fields.items() if each["unit"] == "seconds"}
    assert {"scanner.scan_interval", "scanner.quiet_seconds", "daemon.shutdown_timeout"} <= seconds
    await api.http.post("/config", json={"uploader": {"chunk_size_mb": 8}})
    again = {each["name"]: each for each in (await api.http.get("/config/fields")).json()["fields"]}
    assert again["uploader.chunk_size_mb"]["value"] == 4


async def test_every_state_can_be_asked_for(api: Api) -> None:
    for state in (*FileState, "stored", "pending"):
        assert (await api.http.get("/files", params={"status": str(state)})).status_code == 200, state
    refused = await api.http.get("/files", params={"status": "gone"})
    assert (refused.status_code, [each["field"] for each in refused.json()["errors"]]) == (422, ["status"])
    assert all(state in refused.json()["detail"] for state in FileState)
