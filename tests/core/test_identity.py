"""Whether the folder in a root's place is the one that was registered: a table."""

import pytest

from pp_assist.core.identity import Identity, Standing, standing


@pytest.mark.parametrize(
    ("registered", "found", "expected"),
    [
        ((1, 2, 3), (1, 2, 3), "same"),
        ((1, 2, None), (1, 2, 3), "same"),
        ((1, 2, 3), (1, 2, None), "same"),
        ((1, 2, None), (1, 2, None), "same"),
        ((1, 2, 3), (9, 2, 3), "renumbered"),
        ((1, 2, None), (9, 2, 3), "other"),
        ((1, 2, 3), (9, 2, None), "other"),
        ((1, 2, None), (9, 2, None), "other"),
        ((1, 2, 3), (1, 2, 4), "other"),  # another disk at the same place, with the same numbers otherwise
        ((1, 2, 3), (1, 9, 3), "other"),
        ((1, 2, 3), (9, 9, 3), "other"),
    ],
)
def test_what_stands_in_a_roots_place(
    registered: tuple[int, int, int | None], found: tuple[int, int, int | None], expected: str
) -> None:
    assert standing(Identity(*registered), Identity(*found)) is Standing(expected)
