"""How SQLite goes about what is asked again and again: never by looking at every file, or at all that is to be done."""

import sqlite3
from collections.abc import Iterator

import pytest

from pp_assist.store import astray, counting, held, observations, queue, reconciling, rehash, versions
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


def test_what_was_hashed_long_ago_is_found_without_a_look_at_the_rest(empty: sqlite3.Connection) -> None:
    first, *rest = plan(empty, rehash._DUE)
    assert first == "SEARCH f USING INDEX files_by_hash_age (hashed_at_ms<?)"
    assert not [step for step in rest if step.startswith(("SCAN", "USE TEMP"))]


def test_files_are_counted_without_reading_them(empty: sqlite3.Connection) -> None:
    assert any(
        step.startswith("SCAN files USING COVERING INDEX files_by_state") for step in plan(empty, counting.COUNT)
    )


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        (versions._HASHED, 15),
        (versions._OFFERED, 1),
        (versions._OFFERED_AS_READ, 13),
        (versions._STORED, 9),
        (observations._CHANGE_FILE, 5),
        (observations._VANISH_FILE, 3),
        (queue._DONE, 3),
        (queue._TO_UPLOAD, 6),
    ],
)
def test_rows_that_many_values_are_about_are_found_by_their_number(
    empty: sqlite3.Connection, sql: str, columns: int
) -> None:
    row = f"({', '.join('?' * columns)})"
    steps = plan(empty, sql.replace("{values}", f"VALUES {row}, {row}"))
    assert any(step.startswith("SEARCH") and "INTEGER PRIMARY KEY" in step for step in steps), steps
    assert not [step for step in steps if step.startswith("SCAN") and ("files" in step or "work" in step)]
