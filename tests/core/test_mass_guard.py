"""When so many files are missing that a person must be asked."""

import pytest

from pp_assist.core.guard import FEWEST, MOST, enough, why_hold


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


def test_counting_enough_files_says_the_same_as_counting_all() -> None:
    some = (0, 1, FEWEST - 1, FEWEST, 99, 250, 251, MOST, MOST + 1, 5000)
    for lost in some:
        for told in some:
            limit = enough(lost, told)
            for known in {*some, limit - 1, limit, limit + 1, 100_000} - set(range(lost)):
                assert why_hold(lost, min(known, limit), told) == why_hold(lost, known, told), (lost, known, told)
    assert enough(500, 0) == 2001, "of a million files no more are counted"
