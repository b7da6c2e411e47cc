"""A while of the state machine, and proof that it finds what it is for; `make prove-machine` goes on for longer."""

import time

import machine
import pytest
from prove_machine import playground, until_broken
from world import Broken

SECONDS = 30.0
BATCH = 10


@pytest.mark.timeout(600)
def test_whatever_happens_in_whatever_order_the_promises_hold() -> None:
    with playground() as world:
        began, number = time.monotonic(), 1
        while number <= 2 or time.monotonic() - began < SECONDS:
            machine.walk(BATCH, number)
            number += 1
        assert world.rules > world.examples > BATCH


@pytest.mark.timeout(600)
@pytest.mark.parametrize("bug", ["mtime_gt_only", "no_verify", "cleanup_before_metadata"])
def test_a_bug_in_our_code_is_found(bug: str) -> None:
    examples, broken = until_broken(bug, number=1, most=100, batch=BATCH)
    assert broken is not None, f"{examples} examples, and {bug} is not found"
    assert broken.startswith(Broken.__name__), broken
