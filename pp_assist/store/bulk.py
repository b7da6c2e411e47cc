"""Many rows in one step of SQLite.

Python's `sqlite3` lets go of the interpreter for each step: each row that `executemany` writes, each row that is
fetched. While another thread computes, getting it back takes a switch of threads and up to half a millisecond; a row
then costs five times the CPU and fifty times the time. What is written for every file is therefore one statement for
many rows, and what is read for every file comes as one row, in JSON.
"""

import json
from collections.abc import Collection, Sequence
from itertools import chain
from typing import Any

import aiosqlite

MOST_VALUES = 2048
"""How many values one statement has at most. Kept, it takes some 150 bytes for each of them."""

ROWS = "SELECT * FROM ({values}) WHERE column1 IS NOT NULL"
"""Where a statement inserts rows: those of `write` that are none are left out."""


async def write(tx: aiosqlite.Connection, sql: str, rows: Sequence[Sequence[object]]) -> None:
    """Run *sql*, in which `{values}` stands for *rows*. Where it updates, no two of them may be about the same row.

    It must do nothing about a row of NULLs: with them, the last ones are made a power of two, so that there are only a
    few statements, each prepared once and kept.
    """
    if not rows:
        return
    width = len(rows[0])
    most = 1 << (MOST_VALUES // width).bit_length() - 1
    for start in range(0, len(rows), most):
        some = rows[start : start + most]
        size = 1 << (len(some) - 1).bit_length()
        row = f"({', '.join('?' * width)})"
        nothing = (None,) * (width * (size - len(some)))
        statement = sql.replace("{values}", f"VALUES {', '.join([row] * size)}")
        await tx.execute(statement, (*chain.from_iterable(some), *nothing))


class AtOnce:
    """A question all of whose rows come as one. `{columns}` stands in *select* for *columns*; *blobs* are of bytes."""

    def __init__(self, select: str, columns: Sequence[str], blobs: Collection[str]) -> None:
        values = ", ".join(f"iif({each} IS NULL, NULL, hex({each}))" if each in blobs else each for each in columns)
        rows = select.replace("{columns}", f"json_array({values}) AS row")
        self.sql = f"SELECT json_group_array(json(row)) FROM ({rows})"  # noqa: S608 - constants
        self._blobs = [number for number, each in enumerate(columns) if each in blobs]

    def rows(self, answer: str) -> list[list[Any]]:
        """Return the rows of what was answered, in the order of *select*."""
        rows: list[list[Any]] = json.loads(answer)
        for row in rows:
            for number in self._blobs:
                if row[number] is not None:
                    row[number] = bytes.fromhex(row[number])
        return rows
