"""Databases as earlier versions left them: each must still open, with everything in it. Never edit the dumps."""

import re
import sqlite3
from pathlib import Path

import pytest

from pp_assist.core.model import FileState, Stage
from pp_assist.store.db import migrations, open_database
from pp_assist.store.report import Report
from pp_assist.store.roots import RootsTable

RELEASED = sorted((Path(__file__).parent / "released").glob("assist-*.sql"), key=lambda path: int(path.stem[7:]))


@pytest.fixture(params=RELEASED, ids=lambda path: path.stem)
def released(request: pytest.FixtureRequest, path: str) -> str:
    with sqlite3.connect(path) as conn:
        conn.executescript(request.param.read_text())
    conn.close()
    return path


async def test_a_released_database_opens_with_everything_in_it(released: str) -> None:
    async with open_database(released) as db:
        assert await db.value("PRAGMA user_version") == len(migrations())
        counts = await Report(db).counts()
        assert counts.files[FileState.COMPLETED] == 3
        assert counts.files[FileState.READY_FOR_UPLOAD] == 1
        assert counts.files[FileState.UNSUPPORTED] == 1
        assert counts.queued(*Stage) == counts.queued(Stage.UPLOAD) == 1
        assert list((await RootsTable(db).file_counts()).values()) == [4]
        rows, total = await Report(db).files(None, None, 100, 0)
        assert total == 5
        assert {row.filepath.rpartition(b"/")[2] for row in rows} == {
            b"a.txt",
            b"b.bin",
            b"caf\xe9",
            b"link",
            b"waiting",
        }
        assert await db.value("PRAGMA foreign_key_check") is None


def test_every_schema_version_has_a_released_database() -> None:
    assert [path.stem for path in RELEASED] == [f"assist-{n + 1}" for n in range(len(migrations()))]


def test_no_check_of_a_row_builds_a_table_for_it() -> None:
    """A list of three words or more is one, for each row that is written: two fifths of what a row costs."""
    with sqlite3.connect(":memory:") as conn:
        for script in migrations():
            conn.executescript(script)
        for name in ("files", "work"):
            (plan,) = conn.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).fetchone()
            assert not re.search(r"IN\s*\([^()]*,[^()]*,", plan)
    conn.close()
