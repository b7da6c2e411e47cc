"""One sentence, never better than the truth."""

from dataclasses import replace
from typing import Any

import pytest

from pp_assist.core.summary import Folder, Standing, State, summary

WELL = Folder("/home/me", "healthy", None, True)
FINE = Standing(10, 10, 0, 0, 0, 0, None, 0, (WELL,))


def test_all_is_well() -> None:
    assert summary(FINE) == (found := summary(FINE)) and found.state is State.UP_TO_DATE
    assert found.text == "All 10 files are stored." and not found.reasons
    assert summary(replace(FINE, folders=(replace(WELL, status="polling", difference=None),))).state is State.UP_TO_DATE
    assert summary(replace(FINE, files=0, stored=0, folders=())).state is State.NOTHING_WATCHED


@pytest.mark.parametrize(
    ("changes", "state", "code"),
    [
        ({"stored": 8, "to_do": 2}, State.WORKING, "pending"),
        ({"stored": 9, "to_do": 1, "parked": 1}, State.NEEDS_YOU, "parked"),
        ({"stored": 9, "to_do": 1, "held": 1}, State.NEEDS_YOU, "held"),
        ({"to_do": 5, "held_deletions": 5}, State.NEEDS_YOU, "deletions_held"),
        ({"obstacle": "server_unreachable"}, State.BLOCKED, "server_unreachable"),
        ({"obstacle": "needs_login"}, State.NEEDS_YOU, "needs_login"),
        ({"obstacle": "no_server"}, State.NEEDS_YOU, "no_server"),
        ({"obstacle": "paused"}, State.PAUSED, "paused"),
        ({"to_compare": 1}, State.WORKING, "to_compare"),
        ({"stopped": ("uploader",)}, State.WORKING, "stopped"),
        ({"folders": (WELL, replace(WELL, status="unhealthy", reason="gone"))}, State.NEEDS_YOU, "unhealthy"),
        ({"folders": (replace(WELL, status="behind", reason="overflow"),)}, State.WORKING, "behind"),
        ({"folders": (replace(WELL, is_scanned=False),)}, State.WORKING, "not_scanned"),
        ({"folders": (replace(WELL, difference=-3),)}, State.NEEDS_YOU, "does_not_add_up"),
        ({"folders": (replace(WELL, difference=None, unread_directories=2),)}, State.NEEDS_YOU, "unread"),
    ],
)
def test_whatever_is_not_well_is_said(changes: dict[str, Any], state: State, code: str) -> None:
    found = summary(replace(FINE, **changes))
    assert found.state is state
    assert [reason.code for reason in found.reasons] == [code]
    assert found.reasons[0].text in found.text


def test_what_a_person_must_do_comes_first() -> None:
    found = summary(replace(FINE, stored=5, to_do=5, held_deletions=1, obstacle="server_unreachable"))
    assert [reason.code for reason in found.reasons] == ["deletions_held", "server_unreachable", "pending"]
    assert found.state is State.NEEDS_YOU
