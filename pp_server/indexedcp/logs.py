"""The loggers of the server that stands alone: one line per record on standard error, the level by name."""

import logging
import os


def create_logger(name: str, level: str | None = None) -> logging.Logger:
    """Return the logger *name*, at *level*, else that of INDEXEDCP_LOG_LEVEL, else INFO."""
    logger = logging.getLogger(name)
    logger.setLevel((level or os.environ.get("INDEXEDCP_LOG_LEVEL") or "INFO").upper())
    logger.propagate = False
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s [%(name)s] %(levelname)s: %(message)s"))
        logger.addHandler(handler)
    return logger
