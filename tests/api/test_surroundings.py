"""A low battery and a line paid by the byte hold work back, where a person wants that; `why` says so."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from asking import Api

from pp_assist.core.surroundings import Supply, battery_percent, is_metered
from pp_assist.steering import surroundings
from pp_assist.steering.settings import WaitSettings

FULL = Supply("Battery", status="Discharging", capacity="80")


@pytest.mark.parametrize(
    ("supplies", "percent"),
    [
        ([], None),
        ([FULL], 80),
        ([FULL, Supply("Mains", online="0")], 80),
        ([FULL, Supply("Mains", online="1")], None),
        ([FULL._replace(status="Charging")], None),
        ([FULL._replace(capacity="")], None),
        ([FULL._replace(capacity="?")], None),
        ([FULL._replace(scope="Device", capacity="3")], None),
        ([FULL, FULL._replace(capacity="20")], 50),
        ([FULL, Supply("USB", online="0"), FULL._replace(scope="Device", capacity="3")], 80),
    ],
)
def test_the_battery_that_the_machine_runs_on(supplies: list[Supply], percent: int | None) -> None:
    assert battery_percent(supplies) == percent


@pytest.mark.parametrize(
    ("answer", "metered"),
    [
        ("", False),
        ("yes\n100 (connected)\n", True),
        ("yes (guessed)\n100 (connected)\n\nno\n100 (connected)\n", True),
        ("yes\n30 (disconnected)\n\nno (guessed)\n100 (connected)\n", False),
        ("unknown\n10 (unmanaged)\n", False),
    ],
)
def test_what_network_manager_says(answer: str, metered: bool) -> None:
    assert is_metered(answer) is metered


async def reason(api: Api, expected: str | None) -> None:
    async with asyncio.timeout(20):
        while (await api.http.get("/status")).json()["upload_obstacle"] != expected:
            await asyncio.sleep(0.02)


async def test_work_waits_for_power(api: Api, tmp_path: Path) -> None:
    battery = tmp_path / "supplies" / "BAT0"
    battery.mkdir(parents=True)
    for name, word in (("type", "Battery\n"), ("status", "Discharging\n"), ("capacity", "19\n")):
        (battery / name).write_text(word)
    api.daemon.surroundings._supplies = str(battery.parent)
    answer = (await api.http.post("/config", json={"wait": {"battery_below_percent": 20}})).json()
    assert answer["applied"] == ["wait.battery_below_percent"]
    await reason(api, "on_battery")
    (api.folder / "a").write_text("x")
    await api.http.post("/paths", json={"path": str(api.folder)})
    await api.http.post("/scan/trigger", json={"wait": True})
    why = (await api.http.get("/explain", params={"path": str(api.folder / "a")})).json()
    assert (why["verdict"], why["reason"]["code"], why["reason"]["class"]) == ("pending", "on_battery", "waiting")
    summary = (await api.http.get("/status")).json()["summary"]
    assert summary["state"] == "blocked" and summary["reasons"][0]["code"] == "on_battery"
    (battery / "capacity").write_text("20\n")
    api.daemon.surroundings.set(WaitSettings(battery_below_percent=20))  # it would look again in a while
    await reason(api, "no_server")


async def test_work_waits_for_a_line_that_costs_nothing(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = tmp_path / "answer"
    answer.write_text("yes (guessed)\n100 (connected)\n")
    tool = tmp_path / "bin" / "nmcli"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\ncat {answer}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
    await api.http.post("/config", json={"wait": {"metered": True}})
    await reason(api, "metered")
    await api.http.post("/config", json={"wait": {"metered": False}})
    await reason(api, "no_server")


def test_without_any_of_it_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    network: Callable[[], str] = surroundings._network
    assert network() == "" and surroundings.supplies(str(tmp_path / "none")) == []
