"""What `pp_assist verify` says of a file, as a table."""

import pytest

from pp_assist.cli_verify import Local, judge

GOOD = Local("a" * 64, "p", True)
INTACT = {"status": "intact", "proof": "p"}


@pytest.mark.parametrize(
    ("local", "receipt", "server", "said"),
    [
        (GOOD, "a" * 64, INTACT, None),
        (GOOD, None, INTACT, None),
        (GOOD, "b" * 64, INTACT, "receipt_differs"),
        (GOOD, "a" * 64, {"status": "intact", "proof": "q"}, "server_differs"),
        (GOOD, "a" * 64, {"status": "intact", "proof": None}, "server_differs"),
        (GOOD, "a" * 64, {"status": "damaged", "proof": None}, "server_damaged"),
        (GOOD, "a" * 64, {"status": "not_found", "proof": None}, "server_lost"),
        (None, "a" * 64, INTACT, "pending"),
        (None, "a" * 64, {"status": "damaged", "proof": None}, "server_damaged"),
        (Local("b" * 64, "q", False), "a" * 64, INTACT, "pending"),
        (Local("b" * 64, "q", True), "a" * 64, INTACT, "local_differs"),
    ],
)
def test_each_difference_has_its_name(
    local: Local | None, receipt: str | None, server: object, said: str | None
) -> None:
    found = judge(local, "a" * 64, receipt, server)
    assert (found and found[0]) == said
