"""What a server announces, and what we make of it."""

import pytest

from pp_assist.core.capabilities import Capabilities


def test_a_server_that_announces_nothing_has_the_first_verbs() -> None:
    silent = Capabilities()
    assert silent.can("initiate") and silent.can("deletions") and silent.can("hosts")
    assert not silent.can("batch")


def test_what_is_not_announced_cannot_be_used() -> None:
    announced = Capabilities.announced(["initiate", "batch"], {})
    assert announced.can("batch")
    assert not announced.can("deletions")


@pytest.mark.parametrize(
    ("theirs", "used"),
    [(100, 100), (500, 500), (501, 500), (None, 500), (0, 500), (-1, 500), ("100", 500), (True, 500), (1.5, 500)],
)
def test_the_smaller_limit_counts_and_a_strange_one_does_not(theirs: object, used: int) -> None:
    assert Capabilities.announced([], {"max_deletions": theirs}).limit("max_deletions", 500) == used


def test_a_limit_nobody_announces_is_ours() -> None:
    assert Capabilities().limit("max_deletions", 500) == 500
