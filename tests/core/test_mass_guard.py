"""When so many files are missing that a person must be asked."""

import pytest

from pp_assist.core.guard import why_hold


@pytest.mark.parametrize(
    ("lost", "known", "told", "why"),
    [
        (0, 0, 0, None),
        (9, 9, 0, None),  # so few are never too many
        (10, 40, 0, None),  # exactly a quarter
        (11, 40, 0, "mass"),
        (10, 10, 0, "all"),
        (1, 30, 9, "mass"),  # many small ones are a mass, too
        (1, 1_000_000, 9, None),
        (1000, 1_000_000, 0, None),
        (1001, 1_000_000, 0, "mass"),
        (1, 1_000_000, 1000, "mass"),
        (5, 5, 4, None),
        (5, 5, 5, "all"),
    ],
)
def test_the_limits(lost: int, known: int, told: int, why: str | None) -> None:
    assert why_hold(lost, known, told) == why
