"""One statement for many rows, without what SQLAlchemy does for each: measured, a large part of a batch."""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.dml import UpdateBase

Rows = Sequence[tuple[Any, ...]]


class Many:
    """A statement, depending on the kind of database, with parameters *columns*; values go to the driver as is."""

    def __init__(self, statement: Callable[[sa.Connection], UpdateBase], columns: Sequence[str]) -> None:
        self._statement = statement
        self._columns = tuple(columns)
        self._compiled: dict[str, tuple[str, tuple[int, ...] | None]] = {}

    def run(self, conn: sa.Connection, rows: Rows) -> None:
        """Execute it for each of *rows*, tuples in the order of the columns; nothing for none."""
        if not rows:
            return
        sql, order = self._compiled.get(conn.dialect.name) or self._compile(conn)
        if order is None:  # a driver that wants names
            conn.execute(self._statement(conn), [dict(zip(self._columns, row, strict=True)) for row in rows])
        elif order == tuple(range(len(self._columns))):
            conn.exec_driver_sql(sql, list(rows))
        else:
            conn.exec_driver_sql(sql, list(map(itemgetter(*order), rows)))

    def _compile(self, conn: sa.Connection) -> tuple[str, tuple[int, ...] | None]:
        """Return the SQL for a kind of database, and in which order its driver wants the columns."""
        compiled = self._statement(conn).compile(dialect=conn.dialect, column_keys=list(self._columns))
        names = getattr(compiled, "positiontup", None)
        order = tuple(map(self._columns.index, names)) if names else None
        self._compiled[conn.dialect.name] = found = (str(compiled), order)
        return found
