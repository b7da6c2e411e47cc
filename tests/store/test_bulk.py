"""Many rows in one step: all of them are written, and all of them are read."""

import sqlite3

import pytest

from pp_assist.store import bulk
from pp_assist.store.db import Database

_ADD = "INSERT INTO temp.things (id, name, text) SELECT * FROM ({values}) WHERE column1 IS NOT NULL"
_RENAME = """
WITH v (text, id) AS ({values}) UPDATE temp.things SET text = v.text FROM v WHERE things.id = v.id"""
_ALL = bulk.AtOnce(
    "SELECT {columns} FROM temp.things t WHERE t.id > ? ORDER BY t.id DESC LIMIT ?",
    ("t.id", "t.name", "t.text", "t.id * 9000000000000000"),
    ("t.name",),
)


@pytest.fixture
async def things(db: Database) -> Database:
    async with db.transaction() as tx:
        await tx.execute("CREATE TEMP TABLE things (id INTEGER PRIMARY KEY, name BLOB, text TEXT)")
    return db


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 16, 17, 511, 512, 513, 1200])
async def test_every_row_is_written_and_read(things: Database, count: int) -> None:
    rows = [(n, b"\xff\x00'\"%d" % n if n % 3 else None, 'a "text" \\ \n é') for n in range(1, count + 1)]
    async with things.transaction() as tx:
        await bulk.write(tx, _ADD, rows)
        await bulk.write(tx, _RENAME, [(f"text {n}", n) for n, *_ in rows if n % 2])
        ((said,),) = await tx.execute_fetchall(_ALL.sql, (0, 2000))
    expected = [[n, name, f"text {n}" if n % 2 else text, n * 9 * 10**15] for n, name, text in reversed(rows)]
    assert _ALL.rows(said) == expected


async def test_they_come_in_order_and_no_more_of_them_than_asked_for(things: Database) -> None:
    async with things.transaction() as tx:
        await bulk.write(tx, _ADD, [(n, b"", "") for n in range(1, 10)])
        ((said,),) = await tx.execute_fetchall(_ALL.sql, (2, 3))
    assert [row[:2] for row in _ALL.rows(said)] == [[9, b""], [8, b""], [7, b""]]


async def test_a_row_that_cannot_be_written_leaves_none_of_them(things: Database) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        async with things.transaction() as tx:
            await bulk.write(tx, _ADD, [(n, b"", "") for n in (*range(200), 5)])
    async with things.transaction() as tx:
        ((count,),) = await tx.execute_fetchall("SELECT COUNT(*) FROM temp.things")
    assert count == 0


async def test_many_rows_are_few_statements(things: Database) -> None:
    told: list[str] = []
    async with things.transaction() as tx:
        await tx.set_trace_callback(lambda sql: told.append(sql.split()[0]))
        await bulk.write(tx, _ADD, [(n, b"", "") for n in range(1, 900)])
        await tx.set_trace_callback(None)  # type: ignore[arg-type]
    assert told == ["INSERT", "INSERT"]


async def test_bytes_where_only_text_can_be_are_damage(things: Database) -> None:
    question = bulk.AtOnce("SELECT {columns} FROM (SELECT x'ff' AS text)", ("text",), ())
    with pytest.raises(sqlite3.OperationalError):
        await things.value(question.sql)
    assert things.damaged.is_set()
