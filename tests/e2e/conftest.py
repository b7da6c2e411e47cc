"""Fixtures: the two programs, stopped whatever happens."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.faultproxy import FaultProxy
from tests.e2e.harness import World, world

QUICK = {"PP_ASSIST_SCANNER__QUIET_SECONDS": "0.3", "PP_ASSIST_SCANNER__DELETE_GRACE_SECONDS": "0.3"}
"""Less patience than by default, so that tests are short."""

MakeWorld = Callable[..., World]


@pytest.fixture
def make_world() -> Iterator[MakeWorld]:
    """A function that makes a world, not yet started."""
    with ExitStack() as stack:

        def make(**settings: str) -> World:
            made = stack.enter_context(world(**(QUICK | settings)))
            stack.callback(lambda: print(made.logs()))  # shown where a test failed
            return made

        yield make


@pytest.fixture
def running(make_world: MakeWorld) -> World:
    """A world that runs."""
    made = make_world()
    made.begin()
    return made


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    """A proxy that is not yet told where the server is."""
    with FaultProxy() as made:
        yield made
