"""What becomes of moving a directory, as a table."""

import pytest

from pp_server.core.model import Facts
from pp_server.core.trees import Head, MoveTree, Seen, is_stale, is_too_long, movable, repeated, spans
from pp_server.wire.digest import EMPTY, Digest
from pp_server.wire.trees import Entry, tree_digest

ENTRIES = [Entry(b"", "dir", None, 0), Entry(b"a", "file", EMPTY, 0)]
ORDER = MoveTree(b"/new", b"/old", 7, Facts(), 2, tree_digest(ENTRIES))


def head(path: bytes, sequence: int, status: str = "active", sha256: Digest | None = EMPTY, stored_ms: int = 5) -> Head:
    kind = "file" if path.endswith((b"a", b"late")) else "dir"
    return Head(path, kind, sha256 if kind == "file" else None, 0, sequence, status, stored_ms)  # type: ignore[arg-type]


DONE = [
    head(b"/old", 11, "deleted", stored_ms=1),
    head(b"/old/a", 13, "deleted", stored_ms=2),
    head(b"/new", 12),
    head(b"/new/a", 14),
]
THERE = [head(b"/old/a", 2), head(b"/old", 1)]


def seen(newest: int = -1, there: object = (), of_this_gen: object = (), is_taken: bool = False) -> Seen:
    return Seen(newest, there, of_this_gen, is_taken, False)  # type: ignore[arg-type]


def test_what_is_there_as_expected_is_moved_in_order() -> None:
    assert movable(ORDER, seen(there=THERE)) == ENTRIES
    assert not is_stale(ORDER, seen(there=THERE))


@pytest.mark.parametrize(
    "changed",
    [
        seen(there=THERE[:1]),
        seen(there=[*THERE, head(b"/old/b", 3)]),
        seen(there=[head(b"/old/a", 2, sha256=Digest("1" * 64)), THERE[1]]),
        seen(there=THERE, is_taken=True),
        seen(),
    ],
)
def test_what_is_not_as_expected_is_not(changed: Seen) -> None:
    assert movable(ORDER, changed) is None


def test_a_repeat_is_known_by_its_effect() -> None:
    done = repeated(ORDER, seen(7, of_this_gen=DONE))
    assert done is not None
    assert (list(done.entries), done.first_sequence, done.last_sequence, done.stored_ms) == (ENTRIES, 11, 14, 5)
    late = head(b"/old/late", 15, "deleted", sha256=None)
    assert repeated(ORDER, seen(7, of_this_gen=[*DONE, late])) == done, "what was told to uploads that came too late"


@pytest.mark.parametrize(
    "changed",
    [
        seen(8, of_this_gen=DONE),
        seen(7),
        seen(7, of_this_gen=DONE[:3]),
        seen(7, of_this_gen=DONE[:2]),
        seen(7, of_this_gen=[*DONE, head(b"/new/late", 15)]),
        seen(7, of_this_gen=[*DONE[:3], head(b"/new/a", 14, "deleted")]),
        seen(7, of_this_gen=[*DONE[:3], head(b"/new/a", 15)]),
        seen(7, of_this_gen=[*DONE[:3], head(b"/new/a", 14, stored_ms=6)]),
        seen(7, of_this_gen=[*DONE[:3], head(b"/new/a", 14, sha256=Digest("1" * 64))]),
        seen(7, of_this_gen=[DONE[0], head(b"/old/a", 13), *DONE[2:]]),
    ],
)
def test_anything_else_of_this_generation_makes_it_stale(changed: Seen) -> None:
    assert repeated(ORDER, changed) is None
    assert is_stale(ORDER, changed)


def test_a_repeat_that_counts_something_else_is_none() -> None:
    other = MoveTree(b"/new", b"/old", 7, Facts(), 3, ORDER.digest)
    assert is_stale(other, seen(7, of_this_gen=DONE))


def test_paths_that_would_get_too_long() -> None:
    assert not is_too_long(ORDER, [Entry(b"x" * 4090, "file", EMPTY, 0)])
    assert is_too_long(ORDER, [Entry(b"x" * 4091, "file", EMPTY, 0)])


def test_the_directory_and_what_is_in_it_but_not_what_is_called_alike() -> None:
    (own, own_end), (first, last) = spans(b"/old")
    assert own <= b"/old" < own_end
    for beside in (b"/old.txt", b"/old-er/a", b"/old0", b"/olc", b"/old\x01"):
        assert not own <= beside < own_end
        assert not first <= beside < last
    assert first <= b"/old/a" < last
