"""Databases as earlier versions left them: each must still open, with everything in it. Never edit the dumps."""

import sqlite3
from pathlib import Path

import pytest

from pp_assist.core.model import FileState, Stage
from pp_assist.store.db import migrations, open_database
from pp_assist.store.report import Report

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
