"""Statements over thousands of values. What SQLAlchemy does for each value costs more than what the database does, so
these are made once, and values reach the driver as they are. For drivers with positional parameters.
"""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa


class Listed:
    """A question whose last parameter, *listed*, is a list of any length."""

    def __init__(self, statement: sa.Select[Any] | sa.TextClause, listed: str) -> None:
        self._statement = statement
        self._listed = listed
        self._made: tuple[str, dict[str, Any]] | None = None

    def rows(self, conn: sa.Connection, values: Collection[Any], **others: Any) -> Sequence[Any]:
        """Return the rows for *values*, and the values of all other parameters."""
        if not values:
            return ()
        text, defaults = self._compiled(conn)
        parameters = (*(others.get(name, default) for name, default in defaults.items()), *values)
        return conn.exec_driver_sql(text.replace(_LIST, "?" + ",?" * (len(values) - 1)), parameters).all()

    def _compiled(self, conn: sa.Connection) -> tuple[str, dict[str, Any]]:
        if self._made is None:
            compiled: Any = self._statement.compile(dialect=conn.dialect)
            *names, last = compiled.positiontup
            assert last == self._listed, "the list comes last"
            text = compiled.string.replace(f"__[POSTCOMPILE_{last}]", _LIST)
            self._made = text, {name: compiled.params[name] for name in names}
        return self._made


_LIST = "\0"
"""Stands for the list in a statement that is made."""


class Added:
    """An insertion of rows, each a tuple of plain values for *columns*."""

    def __init__(self, statement: sa.Insert, columns: Sequence[str]) -> None:
        self._statement = statement
        self._columns = tuple(columns)
        self._text = ""

    def rows(self, conn: sa.Connection, rows: list[tuple[Any, ...]]) -> None:
        """Insert *rows*."""
        if not rows:
            return
        if not self._text:
            compiled: Any = self._statement.compile(dialect=conn.dialect, column_keys=self._columns)
            assert tuple(compiled.positiontup) == self._columns, compiled.positiontup
            self._text = compiled.string
        conn.exec_driver_sql(self._text, rows)
