"""Comparing what a server has with what we know: tables."""

import pytest

from pp_assist.core.explain import Sight
from pp_assist.core.model import Kind
from pp_assist.core.reconcile import (
    NEW,
    REPLACED,
    UNCLEAN,
    Believed,
    Finding,
    Listed,
    compare,
    finding,
    is_adopted,
    is_kept,
    place_in,
    why_doubt,
)
from pp_assist.core.rules import JUNK, LeftOut

A, B = "a" * 64, "b" * 64
LISTED = Listed(b"d", b"f", 5, A, 10)


@pytest.mark.parametrize(
    ("clean", "epoch", "beside", "expected"),
    [
        (True, 7, 7, None),
        (False, 7, 7, UNCLEAN),
        (True, 0, None, NEW),
        (True, 0, 7, NEW),
        (True, 7, None, REPLACED),
        (True, 7, 8, REPLACED),
        (False, 7, 8, REPLACED),
    ],
)
def test_memory_is_doubted_unless_it_is_the_one_used_last_and_whole(
    clean: bool, epoch: int, beside: int | None, expected: str | None
) -> None:
    assert why_doubt(clean, epoch, beside) == expected


@pytest.mark.parametrize(
    ("believed", "expected"),
    [
        (None, Finding.UNKNOWN),
        (Believed(1, 5, 5, A), Finding.AS_BELIEVED),
        (Believed(1, 9, 5, A), Finding.AS_BELIEVED),
        (Believed(1, 5, 5, B), Finding.NEWS),
        (Believed(1, 5, 4, A), Finding.NEWS),
        (Believed(1, 5, 6, A), Finding.NEWS),
        (Believed(1, 5, None, A), Finding.NEWS),
        (Believed(1, None, None, None), Finding.NEWS),
    ],
)
def test_what_a_listed_path_is_to_us(believed: Believed | None, expected: Finding) -> None:
    assert finding(LISTED, believed) is expected


def test_a_page_is_sorted() -> None:
    other = LISTED._replace(name=b"g")
    compared = compare([(LISTED, Believed(1, 5, 5, A)), (other, None), (LISTED, Believed(2, 5, None, None))])
    assert compared == ([1], [(LISTED, 2)], [other])


@pytest.mark.parametrize(
    ("filepath", "recursive", "expected"),
    [
        (b"/r/f", True, (b"", b"f")),
        (b"/r/d/e/f", True, (b"d/e", b"f")),
        (b"/r/d/f", False, None),
        (b"/r/f", False, (b"", b"f")),
        (b"/r", True, None),
        (b"/r/", True, None),
        (b"/rest/f", True, None),
        (b"/r//f", True, None),
        (b"/r/../etc", True, None),
        (b"/r/./f", True, None),
        (b"/r/" + b"n" * 255, True, (b"", b"n" * 255)),
        (b"/r/" + b"n" * 256, True, None),
        (b"/r/caf\xe9/f", True, (b"caf\xe9", b"f")),
    ],
)
def test_only_what_a_look_could_see_is_compared(
    filepath: bytes, recursive: bool, expected: tuple[bytes, bytes] | None
) -> None:
    assert place_in(b"/r/", recursive, filepath) == expected
    assert place_in(b"/r", recursive, filepath) == expected


@pytest.mark.parametrize(
    ("filepath", "gen", "expected"),
    [
        (b"/r/f", 10, True),
        (b"/r/f", 11, False),
        (b"/rest/f", 1, False),
        (b"/r/d/f", 12, True),
        (b"/r/d/f", 13, False),
        (b"/other", 1, False),
    ],
)
def test_what_was_stored_before_its_folder_was_forgotten_is_kept(filepath: bytes, gen: int, expected: bool) -> None:
    assert is_kept(filepath, gen, [(b"/r/", 10), (b"/r/d", 12)]) is expected


@pytest.mark.parametrize(
    ("sight", "expected"),
    [
        (Sight(), True),
        (Sight(kind=Kind.FILE), True),
        (Sight(kind=Kind.DIR), True),
        (Sight(problem="Permission denied"), True),
        (Sight(out=JUNK), False),
        (Sight(kind=Kind.FILE, out=LeftOut("too_large")), False),
        (Sight(kind=Kind.FIFO, unsupported="fifo"), False),
    ],
)
def test_what_is_left_out_is_not_watched_because_the_server_has_it(sight: Sight, expected: bool) -> None:
    assert is_adopted(sight) is expected
