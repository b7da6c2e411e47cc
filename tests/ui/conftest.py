"""Fixtures: a browser, and worlds for it to look at."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from tests.e2e.conftest import QUICK
from tests.e2e.harness import World, world
from tests.ui.browsing import Window, chromium, executable, window

MakeWorld = Callable[..., World]
OpenWindow = Callable[..., AbstractContextManager[Window]]


@pytest.fixture
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture
def browser(playwright: Playwright) -> Iterator[Browser]:
    with chromium(playwright) as started:
        yield started


@pytest.fixture
def open_window(browser: Browser) -> OpenWindow:
    """A function that opens a window on a daemon for a block."""
    return partial(window, browser)


@pytest.fixture
def make_world() -> Iterator[MakeWorld]:
    """A function that makes a world, not yet started; nothing is started where there is no browser."""
    executable()
    with ExitStack() as stack:

        def make(**settings: str) -> World:
            made = stack.enter_context(world(**(QUICK | settings)))
            stack.callback(lambda: print(made.logs()))
            return made

        yield make


@pytest.fixture
def running(make_world: MakeWorld) -> World:
    made = make_world()
    made.begin()
    return made
