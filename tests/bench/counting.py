"""`python -m tests.bench.counting OUTPUT MODULE ARGUMENTS`: run a program, and count its SQL.

At the end OUTPUT has, for each statement, how often it was run, for how many rows, and the CPU time it took in its
thread, as JSON. The daemon's go through aiosqlite, the server's through SQLAlchemy; both are only listened to.
"""

import atexit
import json
import re
import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WIDTH = 120
MANY = re.compile(r"VALUES [(?, )]+\)")
"""As many rows as there are: one statement of ours, however many."""


class Counted:
    """Statement → calls, rows, CPU seconds. Each thread adds its own; the interpreter's lock is enough."""

    def __init__(self) -> None:
        self.statements: dict[str, list[float]] = {}

    def add(self, statement: str, rows: int, began_ns: int) -> None:
        """Note one call that began at *began_ns* of this thread's CPU time."""
        found = self.statements.setdefault(MANY.sub("VALUES ...", " ".join(statement.split()))[:WIDTH], [0, 0, 0.0])
        found[0] += 1
        found[1] += rows
        found[2] += (time.thread_time_ns() - began_ns) / 1e9

    def write(self, path: Path) -> None:
        """Write what was counted, the dearest first."""
        path.write_text(json.dumps(sorted(self.statements.items(), key=lambda item: -item[1][2])))


def listen_to_aiosqlite(counted: Counted) -> None:
    """Count whatever is handed to the thread of a connection."""
    from aiosqlite import core

    real = core.Connection._execute

    async def execute(self: Any, function: Callable[..., Any], *args: Any, **more: Any) -> Any:
        sql = next((each for each in args if isinstance(each, str)), "")
        name = f"{getattr(function, '__name__', '?')}: {sql}" if sql else getattr(function, "__qualname__", "?")

        def timed(*args: Any, **more: Any) -> Any:
            began, rows = time.thread_time_ns(), 1
            try:
                result = function(*args, **more)
                rows = max(getattr(result, "rowcount", 1), 1)
                return result
            finally:
                counted.add(name, rows, began)

        return await real(self, timed, *args, **more)

    core.Connection._execute = execute  # type: ignore[method-assign]


def listen_to_sqlalchemy(counted: Counted) -> None:
    """Count whatever any engine executes."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    @event.listens_for(Engine, "before_cursor_execute")
    def before(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        connection.info["counted"] = time.thread_time_ns()

    @event.listens_for(Engine, "after_cursor_execute")
    def after(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        counted.add(statement, len(parameters) if many else 1, connection.info["counted"])


def main() -> None:
    """Run the program."""
    output, module = Path(sys.argv[1]), sys.argv[2]
    counted = Counted()
    (listen_to_aiosqlite if module == "pp_assist" else listen_to_sqlalchemy)(counted)
    atexit.register(counted.write, output)
    sys.argv = [module, *sys.argv[3:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
