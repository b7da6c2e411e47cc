"""The protocol keeps its promises in thousands of examples, and needs each of its rules for that."""

import protocol_model
import pytest


def test_the_protocol_keeps_its_promises() -> None:
    protocol_model.walk(300, 1)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("rule", ["generations", "identity", "comparison"])
def test_no_rule_can_be_left_out(rule: str) -> None:
    with pytest.raises(AssertionError):
        protocol_model.walk(20_000, 3, without=rule)
