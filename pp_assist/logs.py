"""Logging to standard error: one record, one line, whatever is in a file name."""

import logging
import sys
import time


class _OneLine(logging.Formatter):
    converter = staticmethod(time.gmtime)
    default_msec_format = "%s.%03dZ"
    default_time_format = "%Y-%m-%dT%H:%M:%S"

    def format(self, record: logging.LogRecord) -> str:
        first, *traceback = super().format(record).split("\n") if record.exc_info else [super().format(record)]
        return "\n".join([_escaped(first), *(f"    {_escaped(line)}" for line in traceback)])


def _escaped(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def configure(level: str) -> None:
    """Send our records of at least *level*, and others' warnings, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("pp_assist").setLevel(level)
