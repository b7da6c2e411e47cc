"""Portions: none is too much, none is empty, nothing is missing, and the order stays."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pp_assist.core.portions import portions


@given(st.lists(st.integers(0, 30)), st.integers(1, 20), st.none() | st.integers(1, 5))
def test_portions_are_small_and_miss_none(sizes: list[int], most: int, at_a_time: int | None) -> None:
    things = list(enumerate(sizes))
    found = list(portions(things, lambda thing: thing[1], most, at_a_time))
    assert [thing for portion in found for thing in portion] == things
    for portion in found:
        assert portion and (sum(size for _, size in portion) <= most or len(portion) == 1)
        assert at_a_time is None or len(portion) <= at_a_time
    for one, other in pairwise(found):
        full = len(one) == at_a_time or sum(size for _, size in one) + other[0][1] > most
        assert full, "as much as there is room for"
