"""Pause and resume, as a program and as a person use them."""

import argparse
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asking import Api

from pp_assist.cli_steering import duration, moment


async def test_a_pause_is_shown_everywhere_and_ends_when_told(api: Api) -> None:
    assert (await api.http.get("/status")).json()["paused"] is None
    answer = (await api.http.post("/pause")).json()
    assert answer["status"] == "paused" and answer["until"] is None
    status = (await api.http.get("/status")).json()
    assert status["paused"] == {"since": answer["since"], "until": None}
    assert status["upload_obstacle"] == "paused" and not status["uploader_active"]
    tree = api.folder / "tree"
    tree.mkdir()
    (tree / "file").write_text("x")
    await api.http.post("/paths", json={"path": str(tree)})
    await api.http.post("/scan/trigger", json={"wait": True})
    why = (await api.http.get("/explain", params={"path": str(tree / "file")})).json()
    assert (why["verdict"], why["reason"]["code"], why["reason"]["class"]) == ("pending", "paused", "person")
    assert why["advice"] == "pp_assist resume" and why["next_try_at"] is None
    answer = (await api.http.post("/pause", json={"seconds": 3600})).json()
    why = (await api.http.get("/explain", params={"path": str(tree / "file")})).json()
    assert why["next_try_at"] == answer["until"] is not None
    assert (await api.http.post("/resume")).json() == {"status": "running"}
    assert (await api.http.get("/status")).json()["paused"] is None
    assert (await api.http.post("/resume")).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"seconds": 0},
        {"seconds": -1},
        {"seconds": "NaN"},
        {"seconds": 1e12},
        {"until": "2001-01-01T00:00:00Z"},
        {"until": "2100-01-01T00:00:00"},
        {"until": "tomorrow"},
        {"until": "2100-01-01T00:00:00Z", "seconds": 5},
        {"for": 5},
    ],
)
async def test_what_cannot_be_meant_is_refused(api: Api, body: dict[str, Any]) -> None:
    answer = await api.http.post("/pause", json=body)
    assert answer.status_code == 422 and answer.json()["code"] == "invalid_request"
    assert (await api.http.get("/status")).json()["paused"] is None


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("1.5h", 5400), ("1d", 86400)])
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "h", "5 minutes", "-5m", "0", "nan", "1e99d"])
def test_no_durations(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        duration(text)


def test_moments() -> None:
    now = datetime(2030, 1, 31, 12, 0, 30, tzinfo=UTC)
    assert moment("18:00", now) == datetime(2030, 1, 31, 18, tzinfo=UTC)
    assert moment("12:00", now) == datetime(2030, 2, 1, 12, tzinfo=UTC)
    assert moment("2030-01-31T18:00:00Z", now) == datetime(2030, 1, 31, 18, tzinfo=UTC)
    for text in ("", "25:00", "soon", "2030-13-01"):
        with pytest.raises(argparse.ArgumentTypeError):
            moment(text)
