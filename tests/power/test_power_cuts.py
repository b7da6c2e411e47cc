"""The power goes, again and again: nothing acknowledged is missing. And a server that cheats is found out."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

from tests.oracle.oracle import Broken
from tests.power.cheating import ForgetsContent, ForgetsNames, cut_a_cheat, forgets_commits
from tests.power.cutting import MakeDurable, cut_first_starts, cut_many
from tests.power.loopdisk import why_not
from tests.power.real import cut_real

pytestmark = pytest.mark.root

CUTS = 50


@pytest.fixture(scope="module", autouse=True)
def a_disk_can_be_cut() -> None:
    if reason := why_not():
        pytest.skip(reason)


def forking(work: Callable[..., Any], *args: Any) -> Any:
    """Run work that forks in a process of its own: in this one other tests may have left threads."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *args).result()


def test_fifty_cuts_lose_nothing() -> None:
    outcome = forking(cut_many, 11, CUTS, 120.0, 25)
    assert outcome.cuts > CUTS // 2, f"a slow machine: {outcome}"
    assert outcome.versions_read_at_the_end > 5 * outcome.cuts


def test_a_first_start_can_be_cut_at_any_moment_and_a_key_that_was_made_stays() -> None:
    assert forking(cut_first_starts, 1, 6) == 6


def test_cuts_under_a_real_process_lose_nothing() -> None:
    outcome = cut_real(seed=5, cuts=3)
    assert outcome.acknowledged >= outcome.contents_read_at_the_end > 0


CHEATS = [(ForgetsContent, 0), (ForgetsContent, 256), (ForgetsNames, 0), (forgets_commits, 256)]


@pytest.mark.parametrize(("cheat", "packed_kb"), CHEATS)
def test_a_server_that_promises_too_early_is_found_out(cheat: MakeDurable, packed_kb: int) -> None:
    """If these cuts did not hurt a careless server, they would say nothing about a careful one."""
    with pytest.raises(Broken, match=r"permitted is|damaged|not found|ends at version"):
        forking(cut_a_cheat, cheat, 2, 80, packed_kb)
