"""The loggers of IndexedCP."""

import io
import logging

import pytest

from pp_assist.indexedcp import create_logger


def test_the_level_is_the_one_named_else_of_the_environment_else_info(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("INDEXEDCP_LOG_LEVEL", "INDEXCP_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    assert create_logger("t.level").level == logging.INFO
    assert create_logger("t.level", level="debug").level == logging.DEBUG
    monkeypatch.setenv("INDEXCP_LOG_LEVEL", "error")
    assert create_logger("t.level").level == logging.ERROR
    monkeypatch.setenv("INDEXEDCP_LOG_LEVEL", "Warning")
    assert create_logger("t.level").level == logging.WARNING
    with pytest.raises(ValueError, match="LOUD"):
        create_logger("t.level", "loud")


def test_a_line_names_the_logger_and_comes_once() -> None:
    logger = create_logger("t.lines")
    assert create_logger("t.lines") is logger
    [handler] = logger.handlers
    assert isinstance(handler, logging.StreamHandler) and not logger.propagate
    handler.setStream(written := io.StringIO())
    logger.info("hello")
    logger.debug("not this")
    assert written.getvalue().count("\n") == 1
    assert "t.lines" in written.getvalue() and "hello" in written.getvalue()
