"""A look at a directory, cut into parts: all that was seen is in one of them, and so is every name there can be."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pp_assist.core.model import ALL_NAMES, Kind, Listing, Part, Snapshot, Stat
from pp_assist.core.parts import apart, cut

NAMES = st.binary(min_size=1, max_size=3)


def entry(name: bytes) -> Snapshot:
    return Snapshot(name, Kind.FILE, Stat(1, 2, 3, 4, 5), 0o644, 0, 0)


def listing(names: list[bytes], part: Part = ALL_NAMES) -> Listing:
    return Listing(b"d", tuple(map(entry, names)), complete=True, part=part, problem="p", is_server_data=True)


@given(st.lists(NAMES, unique=True), st.sets(NAMES))
def test_every_name_is_in_just_one_part(names: list[bytes], at: set[bytes]) -> None:
    whole = listing(names)
    parts = cut(whole, sorted(at))
    assert len(parts) == len(at) + 1
    assert sorted(e.name for part in parts for e in part.entries) == sorted(names)
    assert all(part.part.holds(e.name) for part in parts for e in part.entries) or not at
    assert [part.part.first for part in parts] == [b"", *sorted(at)]
    assert [part.part.end for part in parts] == [*sorted(at), ALL_NAMES.end]
    assert [part.is_whole for part in parts] == [False] * len(at) + [True]
    assert {(part.directory, part.problem, part.is_server_data) for part in parts} == {(b"d", "p", True)}


def test_what_needs_no_cut_stays_itself() -> None:
    whole = listing([b"b", b"a"])
    assert cut(whole, [])[0] is whole


def test_a_part_is_cut_within_itself() -> None:
    parts = cut(listing([b"n", b"m", b"p"], Part(b"m", b"q")), [b"n", b"o"])
    assert [tuple(part.part) for part in parts] == [(b"m", b"n"), (b"n", b"o"), (b"o", b"q")]
    assert [[e.name for e in part.entries] for part in parts] == [[b"m"], [b"n"], [b"p"]]
    assert not any(part.is_whole for part in parts)


@given(st.sets(NAMES), st.sets(NAMES), st.integers(1, 5))
def test_names_that_were_asked_for_come_apart(there: set[bytes], missing: set[bytes], most: int) -> None:
    asked = frozenset(there | missing)
    whole = replace(listing(sorted(there)), asked=asked)
    parts = apart(whole, most)
    assert frozenset().union(*(part.asked or () for part in parts)) == asked
    assert sum(len(part.asked or ()) for part in parts) == len(asked), "each of them once"
    assert {e.name for part in parts for e in part.entries} == there
    assert all({e.name for e in part.entries} <= (part.asked or set()) for part in parts)
    assert all(len(part.asked or ()) <= most for part in parts)
    assert not any(part.is_whole for part in parts)
