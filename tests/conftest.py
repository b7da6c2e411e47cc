"""What holds for all tests: with PP_TEST_REQUIRE=all (as CI sets it) a skipped test is a failed one."""

import os
from collections.abc import Generator, Iterator

import pytest
from hypothesis import settings

settings.register_profile("here", deadline=None)  # how long an example takes says how busy the machine is
settings.load_profile("here")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where everything that tests need is required to be there."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("PP_TEST_REQUIRE") == "all":
        report.outcome = "failed"
        report.longrepr = f"skipped although PP_TEST_REQUIRE=all: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def umask_stays() -> Iterator[None]:
    """Put the umask back: the programs, where a test runs them in its own process, restrict it."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)
