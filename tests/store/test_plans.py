"""How SQLite goes about what is asked again and again: never by looking at every file, or at all that is to be done."""

import sqlite3
from collections.abc import Iterator

import pytest

from pp_assist.store import astray, counting, held, reconciling
from pp_assist.store.db import migrations


@pytest.fixture
def empty() -> Iterator[sqlite3.Connection]:
    with sqlite3.connect(":memory:") as conn:
        for script in migrations():
            conn.executescript(script)
        yield conn
    conn.close()


def plan(conn: sqlite3.Connection, sql: str) -> list[str]:
    return [row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {sql}", (0,) * sql.count("?"))]


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        (astray._ASTRAY, "work_astray"),
        (held._LOST, "work_vanished"),
        (held._SAMPLE, "work_deletion"),
        (held._HOLD_WAITING, "work_deletion"),
        (reconciling._LOOK_NOW, "work_vanished"),
        (reconciling._TELL_NOW, "work_deletion"),
    ],
)
def test_few_rows_of_work_are_found_by_their_index(empty: sqlite3.Connection, sql: str, index: str) -> None:
    first, *rest = plan(empty, sql)
    assert f"INDEX {index}" in first
    assert not [step for step in rest if step.startswith("SCAN")]


def test_files_are_counted_without_reading_them(empty: sqlite3.Connection) -> None:
    assert any(
        step.startswith("SCAN files USING COVERING INDEX files_by_state") for step in plan(empty, counting.COUNT)
    )
