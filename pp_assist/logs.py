"""Logging to standard error: one record, one line, whatever is in a file name."""

import logging
import os
import sys
import time
from logging.handlers import RotatingFileHandler


class _OneLine(logging.Formatter):
    converter = staticmethod(time.gmtime)
    default_msec_format = "%s.%03dZ"
    default_time_format = "%Y-%m-%dT%H:%M:%S"

    def format(self, record: logging.LogRecord) -> str:
        first, *traceback = super().format(record).split("\n") if record.exc_info else [super().format(record)]
        return "\n".join([_escaped(first), *(f"    {_escaped(line)}" for line in traceback)])


def _escaped(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


FILE_BYTES = 10 << 20
FILES = 5


def configure(level: str, path: str | None = None) -> None:
    """Send our records of at least *level*, and others' warnings, to standard error, or to the file *path*.

    Raises:
        OSError: the file cannot be written.
    """
    handler = logging.StreamHandler(sys.stderr) if path is None else _file(path)
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("pp_assist").setLevel(level)


def _file(path: str) -> logging.Handler:
    """Return what writes to *path*, for our own eyes, and turns it over before it grows too large."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), mode=0o700, exist_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    return RotatingFileHandler(path, maxBytes=FILE_BYTES, backupCount=FILES - 1, encoding="utf-8")
