"""The protocol keeps its promises in thousands of examples, and needs each of its rules for that."""

import protocol_model
import pytest
from alone import alone


def test_the_protocol_keeps_its_promises() -> None:
    protocol_model.walk(300, 1)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("rule", "number"), [("generations", 3), ("identity", 8), ("comparison", 5)])
def test_no_rule_can_be_left_out(rule: str, number: int) -> None:
    done = alone(f"import protocol_model; protocol_model.walk(20_000, {number}, without={rule!r})")
    assert done.returncode == 1, f"nothing is broken without {rule}"
    assert "AssertionError" in done.stderr, done.stderr
