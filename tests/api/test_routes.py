"""What the API says about a daemon that works."""

import asyncio
import os
from pathlib import Path
from urllib.parse import quote

import pytest
from asking import Api

from pp_server.wire.names import from_json
from pp_server.wire.receipts import Receipt, ReceiptKey, check


async def add(api: Api, path: Path, **more: object) -> dict[str, object]:
    answer = await api.http.post("/paths", json={"path": str(path), **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def scan(api: Api, **more: object) -> dict[str, object]:
    answer = await api.http.post("/scan/trigger", json={"wait": True, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def hashed(api: Api, count: int) -> dict[str, object]:
    async with asyncio.timeout(10):
        while (stats := (await api.http.get("/stats")).json())["files"]["ready_for_upload"] != count:
            await asyncio.sleep(0.01)
    return stats


async def test_stats_have_exactly_the_promised_shape(api: Api) -> None:
    (api.folder / "a").write_text("x")
    await add(api, api.folder)
    await scan(api)
    stats = await hashed(api, 1)
    assert set(stats) == {"files", "queues", "components", "ledger"}
    assert stats["files"] == {"total": 1, "discovered": 0, "ready_for_upload": 1, "completed": 0, "unchanged": 0}
    assert stats["queues"]["pending_checksum"] == {
        "count": 0, "oldest_queued_at": None, "backoff": 0, "parked": 0, "held": 0,
    }  # fmt: skip
    assert stats["queues"]["pending_upload"]["count"] == 1
    assert stats["queues"]["pending_upload"]["oldest_queued_at"].endswith("Z")
    assert stats["queues"]["pending_deletion"]["oldest_deleted_at"] is None
    scanner, checksum, uploader = (stats["components"][name] for name in ("scanner", "checksum_calculator", "uploader"))
    assert set(scanner) >= {
        "status", "last_scan_at", "next_scan_at", "filesystem_events_active", "registered_paths", "files_scanned",
        "scans_finished",
    }  # fmt: skip
    assert set(checksum) == {"status", "active_workers", "total_processed", "processing_rate", "silent_changes"}
    assert set(uploader) == {"status", "active_workers", "total_uploaded", "upload_rate", "bytes_sent"}
    assert {scanner["status"], checksum["status"], uploader["status"]} == {"running"}


async def test_status_and_the_obstacle(api: Api) -> None:
    status = (await api.http.get("/status")).json()
    assert status["running"] is True
    assert status["upload_obstacle"] == "no_server"
    assert {"uptime_seconds", "version", "watcher_active", "sha256_processor_active", "paths_watched"} <= set(status)


async def test_a_path_is_added_shown_and_removed(api: Api) -> None:
    link = api.folder.parent / "link"
    link.symlink_to(api.folder)
    made = await add(api, link)
    assert made["path"] == str(link), "shown as it was typed"
    listed = (await api.http.get("/paths")).json()
    assert listed["total"] == 1
    assert {
        "id",
        "path",
        "recursive",
        "enabled",
        "created_at",
        "last_scanned_at",
        "file_count",
        "policy",
        "exclude",
        "rule_problems",
        "status",
        "reason",
    } == set(listed["paths"][0])
    again = await api.http.post("/paths", json={"path": str(api.folder)})
    assert (again.status_code, again.json()["detail"]) == (409, "Path already registered")
    below = api.folder / "below"
    below.mkdir()
    for overlapping in (below, api.folder.parent):
        answer = await api.http.post("/paths", json={"path": str(overlapping)})
        assert (answer.status_code, answer.json()["code"]) == (400, "path_overlaps")
    assert (await api.http.delete(f"/paths/{made['id']}")).json() == {"status": "deleted"}
    assert (await api.http.delete(f"/paths/{made['id']}")).status_code == 404
    assert (await api.http.get("/paths")).json() == {"paths": [], "total": 0}


async def test_the_daemons_own_folder_is_refused(api: Api) -> None:
    answer = await api.http.post("/paths", json={"path": str(api.folder.parent / "state")})
    assert (answer.status_code, answer.json()["code"]) == (400, "path_refused")


async def test_a_path_that_is_not_utf8_goes_by_base64(api: Api) -> None:
    import base64

    name = os.path.join(os.fsencode(api.folder), b"caf\xe9")
    os.mkdir(name)
    body = {"path": "shown to people", "path_b64": base64.b64encode(name).decode()}
    made = (await api.http.post("/paths", json=body)).json()
    assert base64.b64decode(made["path_b64"]) == name
    found = (await api.http.post("/scan/trigger", json={**body, "wait": True})).json()
    assert found["status"] == "scan_finished"


async def test_a_folder_that_is_not_recursive_ends_at_its_own_files(api: Api) -> None:
    (api.folder / "sub").mkdir()
    (api.folder / "sub" / "deep").write_text("x")
    (api.folder / "top").write_text("x")
    await add(api, api.folder, recursive=False)
    await scan(api)
    files = (await api.http.get("/files")).json()
    assert [os.path.basename(file["filepath"]) for file in files["files"]] == ["top"]


async def test_files_by_status_prefix_and_page(api: Api) -> None:
    for name in ("a", "b/c", "bb", "caf\udce9"):
        path = api.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name, errors="surrogateescape")
    (api.folder / "link").symlink_to("a")
    os.mkfifo(api.folder / "fifo")
    await add(api, api.folder)
    await scan(api)
    await hashed(api, 4)

    async def names(query: str) -> list[str]:
        answer = (await api.http.get(f"/files?{query}")).json()
        return sorted(os.path.basename(file["filepath"]) for file in answer["files"])

    folder = quote(os.fsencode(api.folder))
    assert await names("status=unsupported") == ["fifo"]
    assert await names("") == ["a", "bb", "c", "caf\ufffd", "fifo"]
    assert await names("kind=dir") == ["b"]
    assert await names("kind=symlink") == ["link"]
    assert await names("kind=any") == ["a", "b", "bb", "c", "caf\ufffd", "fifo", "link"]
    (link,) = (await api.http.get("/files?kind=symlink")).json()["files"]
    assert (link["link_target"], link["sha256"], link["file_size"]) == ("a", None, 0)
    assert await names("status=ready_for_upload") == ["a", "bb", "c", "caf�"]
    assert await names(f"path_prefix={folder}/b") == ["c"]
    assert await names(f"path_prefix={folder}/caf%E9") == ["caf�"]
    assert await names(f"path_prefix={quote(os.fsencode(api.folder.parent))}&status=ready_for_upload") == [
        "a",
        "bb",
        "c",
        "caf�",
    ]
    assert await names("path_prefix=/elsewhere") == []
    page = (await api.http.get("/files?limit=2&offset=3")).json()
    assert (len(page["files"]), page["total"], page["limit"], page["offset"]) == (2, 5, 2, 3)
    one = (await api.http.get(f"/files?path_prefix={folder}/a")).json()["files"][0]
    assert set(one) == {
        "id", "filepath", "hostname", "kind", "sha256", "file_size", "mtime", "discovered_at", "last_checked_at",
        "status", "uploaded_at", "snapshot", "gen", "reason", "rule", "last_error", "retry_at",
    }  # fmt: skip


@pytest.mark.parametrize("body", [None, {}, {"force": True}])
async def test_a_scan_of_everything(api: Api, body: dict[str, object] | None) -> None:
    await add(api, api.folder)
    answer = (
        await api.http.post("/scan/trigger", json=body) if body is not None else await api.http.post("/scan/trigger")
    )
    assert answer.json()["status"] == "scan_started"
    assert answer.json()["paths"] == [str(api.folder)]


async def test_servers_never_show_their_secret(api: Api) -> None:
    body = {"name": "main", "url": "http://127.0.0.1:1/", "api_key": "pp_secret", "username": "me"}
    made = await api.http.post("/servers", json=body)
    assert made.json()["url"] == "http://127.0.0.1:1"
    assert made.json()["is_default"] is True
    second = (await api.http.post("/servers", json={**body, "name": "other", "is_default": True})).json()
    listed = await api.http.get("/servers")
    assert [server["is_default"] for server in listed.json()["servers"]] == [False, True]
    assert "pp_secret" not in made.text + listed.text
    assert (await api.http.post("/servers", json=body)).status_code == 409
    await api.http.delete(f"/servers/{second['id']}")
    assert [server["is_default"] for server in (await api.http.get("/servers")).json()["servers"]] == [True]


async def test_config_is_shown_merged_and_kept(api: Api) -> None:
    shown = (await api.http.get("/config")).json()
    assert shown["config"]["scanner"]["scan_interval"] == shown["scanner"]["scan_interval"] == 60.0
    file = Path(shown["config_file"])
    file.write_text("# my notes\n[scanner]\nscan_interval = 30  # seconds\n")
    saved = await api.http.post(
        "/config", json={"uploader": {"parallel_uploads": 2}, "daemon": None, "log_level": "DEBUG"}
    )
    assert saved.json()["status"] == "saved"
    assert saved.json()["config"]["uploader"]["parallel_uploads"] == 2
    assert saved.json()["config"]["scanner"]["scan_interval"] == 30.0
    text = file.read_text()
    assert "# my notes" in text
    assert "# seconds" in text
    refused = await api.http.post("/config", json={"uploader": {"parallel_uploads": 0}})
    assert refused.status_code == 422
    assert "uploader.parallel_uploads" in refused.json()["detail"]
    assert (await api.http.post("/config", json={"state_dir": "/elsewhere"})).status_code == 422
    assert file.read_text() == text
    assert [name for name in os.listdir(file.parent) if name.startswith(".pp_assist")] == []


async def test_some_settings_hold_at_once_and_the_others_are_named(api: Api) -> None:
    change = {"uploader": {"bandwidth_kib_per_second": 200, "parallel_chunks": 3}, "log_level": "WARNING"}
    saved = (await api.http.post("/config", json=change)).json()
    assert saved["applied"] == ["log_level", "uploader.bandwidth_kib_per_second"]
    assert "uploader.parallel_chunks" in saved["at_next_start"]
    assert saved["message"].endswith("uploader.parallel_chunks")
    assert api.daemon.bandwidth.bytes_per_s == 200 * 1024
    in_force = (await api.http.get("/config")).json()["uploader"]
    assert in_force["bandwidth_kib_per_second"] == 200
    assert in_force["parallel_chunks"] == 2
    lines = {"uploader": {"bandwidth_timetable": ["00:00-24:00 300"]}}
    assert (await api.http.post("/config", json=lines)).json()["applied"] == ["uploader.bandwidth_timetable"]
    assert api.daemon.bandwidth.bytes_per_s == 300 * 1024
    for wrong in ({"bandwidth_kib_per_second": 5}, {"bandwidth_timetable": ["sometimes 5"]}):
        refused = await api.http.post("/config", json={"uploader": wrong})
        assert refused.status_code == 422
        assert next(iter(wrong)) in refused.json()["detail"]


async def test_a_link_inside_a_watched_folder_is_no_folder_of_its_own(api: Api) -> None:
    await add(api, api.folder)
    (api.folder.parent / "elsewhere").mkdir()
    (api.folder / "link").symlink_to(api.folder.parent / "elsewhere")
    answer = await api.http.post("/paths", json={"path": str(api.folder / "link")})
    assert (answer.status_code, answer.json()["code"]) == (400, "path_overlaps")


async def test_a_receipt_is_shown_only_where_it_proves_something(api: Api) -> None:
    dumps = (Path(__file__).parents[1] / "store" / "released").glob("assist-*.sql")
    released = max(dumps, key=lambda path: int(path.stem[7:]))
    async with api.daemon.db.transaction() as tx:
        await tx.execute("PRAGMA defer_foreign_keys = ON")
        for line in released.read_text().splitlines():
            if line.startswith(
                ('INSERT INTO "files"', 'INSERT INTO "receipt', 'INSERT INTO "roots"', 'INSERT INTO "dir')
            ):
                await tx.execute(line.replace(",1,1795183820458);", ",NULL,1795183820458);"))
    answer = await api.http.get("/receipt?path=/tmp/example/tree/caf%E9")
    assert answer.status_code == 200, answer.text
    receipt = Receipt.model_validate(answer.json())
    (row,) = await api.daemon.db.rows("SELECT key_id, public_key FROM receipt_keys")
    check(receipt, ReceiptKey(**dict(row)))
    assert from_json(receipt.filepath, receipt.filepath_b64) == b"/tmp/example/tree/caf\xe9"

    async def code(path: str) -> tuple[int, str]:
        answer = await api.http.get(f"/receipt{path}")
        return answer.status_code, answer.json()["code"]

    assert await code("") == (422, "invalid_request")
    assert await code("?path=/elsewhere") == (404, "not_found")
    assert await code("?path=/tmp/example/tree/waiting") == (404, "no_receipt")
    async with api.daemon.db.transaction() as tx:
        await tx.execute("UPDATE files SET stored_size = stored_size + 1 WHERE name = CAST('a.txt' AS BLOB)")
    assert await code("?path=/tmp/example/tree/a.txt") == (409, "receipt_not_proven")
    async with api.daemon.db.transaction() as tx:
        await tx.execute("DELETE FROM receipt_keys")
    assert await code("?path=/tmp/example/tree/sub/b.bin") == (409, "receipt_not_proven")
