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

PORTIONS = (128, 16, 1)
"""How many rows a statement has: few numbers, so that each statement is prepared once and kept."""


async def write(tx: aiosqlite.Connection, sql: str, rows: Sequence[Sequence[object]]) -> None:
    """Run *sql*, in which `{values}` stands for *rows*. Where it updates, no two of them may be about the same row."""
    if not rows:
        return
    row = f"({', '.join('?' * len(rows[0]))})"
    start = 0
    for size in PORTIONS:
        statement = sql.replace("{values}", f"VALUES {', '.join([row] * size)}")
        while len(rows) - start >= size:
            await tx.execute(statement, tuple(chain.from_iterable(rows[start : start + size])))
            start += size


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
