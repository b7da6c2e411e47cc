"""How far something has come, on standard error: a bar on a terminal, now and then a line elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

LINE_S = 5.0
"""Time between two lines, where nobody watches a bar."""

Show = Callable[[float, float | None, str], None]
"""How much is done, of how much (None: nobody knows yet), and what it is just now."""

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def amount(size_bytes: float) -> str:
    """Return a number of bytes for people."""
    unit = 0
    while size_bytes >= 1024 and unit + 1 < len(UNITS):
        size_bytes, unit = size_bytes / 1024, unit + 1
    return f"{size_bytes:.0f} {UNITS[unit]}" if unit == 0 else f"{size_bytes:.1f} {UNITS[unit]}"


@contextlib.contextmanager
def progress(is_bytes: bool = False, quiet: bool = False) -> Iterator[Show]:
    """Yield a function that shows how far it is; *quiet*: nothing where there is no terminal."""
    if sys.stderr.isatty():
        with _bar(is_bytes) as show:
            yield show
    else:
        yield _nothing if quiet else _Lines(is_bytes).show


@contextlib.contextmanager
def _bar(is_bytes: bool) -> Iterator[Show]:
    from rich.console import Console  # takes as long to import as all the rest of a command
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(bar_width=30),
        DownloadColumn(binary_units=True) if is_bytes else MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(done: float, total: float | None, text: str) -> None:
            bar.update(task, completed=done, total=total, description=text)

        yield show


class _Lines:
    """A line every few seconds, if there is anything new to say."""

    def __init__(self, is_bytes: bool) -> None:
        self._is_bytes = is_bytes
        self._said = ""
        self._next_s = time.monotonic() + LINE_S / 5

    def show(self, done: float, total: float | None, text: str) -> None:
        """See `Show`."""
        if time.monotonic() < self._next_s:
            return
        of = "" if total is None else f" of {self._counted(total)}"
        line = f"{self._counted(done)}{of}{'; ' if text else ''}{text}"
        if line != self._said:
            self._next_s = time.monotonic() + LINE_S
            self._said = line
            print(line, file=sys.stderr, flush=True)

    def _counted(self, number: float) -> str:
        return amount(number) if self._is_bytes else f"{number:.0f}"


def _nothing(done: float, total: float | None, text: str) -> None:
    pass
