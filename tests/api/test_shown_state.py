"""What the API says about files that do not rest, and about paths whose events are proven, lost or not to be had."""

import asyncio
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asking import Api, running_api

DEADLINE_S = 30.0


async def told(api: Api, route: str, wanted: Callable[[Any], bool]) -> Any:
    """Ask until the answer is as *wanted*; return it."""
    answer = None
    async with asyncio.timeout(DEADLINE_S):
        while answer is None or not wanted(answer):
            await asyncio.sleep(0.02)
            answer = (await api.http.get(route)).json()
    return answer


@pytest.mark.parametrize("events", [True, False])
async def test_a_file_that_never_rests_is_shown_as_busy_until_it_does(tmp_path: Path, events: bool) -> None:
    stop = threading.Event()

    def write_on() -> None:
        with open(tmp_path / "files" / "busy", "ab", buffering=0) as file:
            while not stop.wait(0.01):
                file.write(b"line\n")

    async with running_api(
        tmp_path, use_filesystem_events=events, quiet_seconds=0.4, scan_interval=0.3, busy_after_seconds=1.5
    ) as api:
        writer = threading.Thread(target=write_on)
        writer.start()
        try:
            (tmp_path / "files" / "quiet").write_text("x")
            await api.http.post("/paths", json={"path": str(tmp_path / "files")})
            seen: set[str | None] = set()

            def is_busy(answer: Any) -> bool:
                reasons = {file["filepath"].rpartition("/")[2]: file["reason"] for file in answer["files"]}
                seen.add(reasons.get("busy"))
                return reasons.get("busy") == "busy" and reasons.get("quiet") != "changing"

            await told(api, "/files", is_busy)
            assert "changing" in seen, "busy is what has been changing for a while"
        finally:
            stop.set()
            writer.join()
        done = await told(api, "/files?status=ready_for_upload", lambda answer: answer["total"] == 2)
        assert not {file["reason"] for file in done["files"]} & {"busy", "changing"}


@pytest.mark.skipif(sys.platform != "linux", reason="inotify")
async def test_the_condition_of_a_path(tmp_path: Path) -> None:
    async with running_api(tmp_path, quiet_seconds=0.0, scan_interval=3600.0) as api:
        added = (await api.http.post("/paths", json={"path": str(tmp_path / "files")})).json()
        assert (added["status"], added["reason"]) == ("behind", "not scanned since the start")
        await told(api, "/paths", lambda answer: answer["paths"][0]["status"] == "healthy")
        (tmp_path / "files" / "f").write_text("x")
        stats = await told(api, "/stats", lambda answer: answer["files"]["ready_for_upload"] == 1)
        assert stats["components"]["scanner"]["announced_changes"] == 1
        assert stats["components"]["scanner"]["missed_changes"] == 0
        assert stats["components"]["scanner"]["filesystem_events_active"] is True
        watcher = api.daemon.scanner._watcher
        assert watcher is not None
        watcher.distrust(1, "a storm")
        (path,) = (await api.http.get("/paths")).json()["paths"]
        assert (path["status"], path["reason"]) == ("behind", "a storm")
        await api.http.post("/scan/trigger", json={"wait": True})
        (path,) = (await api.http.get("/paths")).json()["paths"]
        assert (path["status"], path["reason"]) == ("healthy", None)


async def test_without_events_a_path_is_polled(tmp_path: Path) -> None:
    async with running_api(tmp_path, use_filesystem_events=False, quiet_seconds=0.0, scan_interval=0.2) as api:
        await api.http.post("/paths", json={"path": str(tmp_path / "files")})
        await told(api, "/paths", lambda answer: answer["paths"][0]["last_scanned_at"] is not None)
        (path,) = (await api.http.get("/paths")).json()["paths"]
        assert (path["status"], path["reason"]) == ("polling", "events are not used (scanner.use_filesystem_events)")
        (tmp_path / "files" / "f").write_text("x")
        stats = await told(api, "/stats", lambda answer: answer["files"]["ready_for_upload"] == 1)
        assert stats["components"]["scanner"]["missed_changes"] == 1
        assert stats["components"]["scanner"]["filesystem_events_active"] is False


async def test_metrics_are_the_same_counts(api: Api) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    (api.folder / "a").write_text("x")
    await api.http.post("/paths", json={"path": str(api.folder)})
    await api.http.post("/scan/trigger", json={"wait": True})
    await api.http.post("/pause")
    answer = await api.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    values = {
        (sample.name.removeprefix("putplace_assist_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    stats = (await api.http.get("/stats")).json()
    assert sum(values["files", status] for status in ("discovered", "ready_for_upload")) == stats["files"]["total"] == 1
    for name, stage in (("pending_checksum", "checksum"), ("pending_upload", "upload")):
        states = ("waiting", "backoff", "parked", "held")
        assert sum(values["queue", stage, state] for state in states) == stats["queues"][name]["count"]
    assert values["upload_obstacle", "paused"] == values["paused",] == 1
    assert values["scans_total",] == stats["components"]["scanner"]["scans_finished"] >= 1
    assert values["component_up", "uploader"] == 1
