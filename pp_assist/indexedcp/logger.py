"""Loggers as the documents of IndexedCP describe them: one line per record on standard error, the level by name."""

import logging
import os

LEVEL_VARIABLES = ("INDEXEDCP_LOG_LEVEL", "INDEXCP_LOG_LEVEL")
"""Both generations of names; the newer one wins."""

_FORMAT = "%(asctime)s [%(name)s] %(levelname)s: %(message)s"


def create_logger(name: str, level: str | int | None = None) -> logging.Logger:
    """Return the logger *name*, at *level* (else that of the environment, else INFO); asked again, it is changed.

    Raises:
        ValueError: there is no such level.
    """
    logger = logging.getLogger(name)
    logger.setLevel(_level(level))
    logger.propagate = False
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(_FORMAT))
        logger.addHandler(handler)
    return logger


def _level(level: str | int | None) -> str | int:
    if isinstance(level, int):
        return level
    return (level or from_environment(LEVEL_VARIABLES) or "INFO").upper()


def from_environment(names: tuple[str, ...]) -> str | None:
    """Return the first of these variables that is set and not empty."""
    return next((os.environ[name] for name in names if os.environ.get(name)), None)
