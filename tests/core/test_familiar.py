"""What a scan sees at a glance: names that look as they are known and that no rule may leave out, and nothing else."""

from dataclasses import replace

import pytest

from pp_assist.core.familiar import Facts, KnownPart, unfamiliar
from pp_assist.core.model import Kind, Snapshot, Stat
from pp_assist.core.patterns import Judge, Level, parse_list
from pp_assist.core.rules import Rules
from pp_server.wire.names import MAX_PATH_BYTES

RULES = Rules(own=frozenset({(7, 99)}), root_device=7, root_length=10)
STAT = Stat(10, 20, 30, 5, 7)
A, B, D = b"a", b"b", b"d"


def facts(name: bytes, kind: str | None = "file", stat: Stat = STAT) -> Facts:
    return (name, kind, *stat)


def folder(name: bytes = D, stat: Stat = STAT, mounted: bool = False) -> Snapshot:
    return Snapshot(name, Kind.DIR, stat, 0o755, 0, 0, mounted)


def glance(
    seen: list[Facts],
    known: list[Facts],
    *folders: Snapshot,
    children: tuple[bytes, ...] = (),
    directory: bytes = b"",
    patterns: tuple[str, ...] = (),
    rules: Rules = RULES,
) -> set[bytes]:
    levels = (Level(b"", parse_list(patterns, "setting")),) if patterns else ()
    return unfamiliar(seen, KnownPart(1, known, list(children)), folders, directory, Judge(levels, directory), rules)


def test_what_looks_as_it_is_known_is_familiar() -> None:
    both = [facts(A), facts(B, "symlink"), facts(D, "dir")]
    assert glance(both, both[::-1], folder(), children=(D,)) == set()
    assert glance([], []) == set()


@pytest.mark.parametrize("field", Stat._fields)
@pytest.mark.parametrize("step", [1, -1])
def test_any_difference_is_unfamiliar(field: str, step: int) -> None:
    other = facts(A, stat=STAT._replace(**{field: getattr(STAT, field) + step}))
    assert glance([other, facts(B)], [facts(A), facts(B)]) == {A}


def test_what_is_new_missing_of_another_kind_or_without_a_kind_is_unfamiliar() -> None:
    assert glance([facts(A), facts(B)], [facts(A)]) == {B}
    assert glance([facts(A)], [facts(A), facts(B)]) == {B}
    assert glance([facts(A)], [facts(A, "symlink")]) == {A}
    assert glance([facts(A)], [facts(A, None)]) == {A}
    assert glance([], [facts(A, None)]) == {A}


def test_a_directory_that_was_listed_and_is_none_any_more_is_unfamiliar() -> None:
    assert glance([facts(A)], [facts(A)], children=(D,)) == {D}
    assert glance([facts(D)], [facts(D)], children=(D,)) == {D}
    assert glance([facts(D, "symlink")], [facts(D, "symlink")], children=(D,)) == {D}, "what was in it is to be settled"


@pytest.mark.parametrize(
    "seen",
    [
        folder(stat=STAT._replace(inode=99)),
        folder(stat=STAT._replace(device=8)),
        folder(mounted=True),
        folder(b"lost+found"),
    ],
)
def test_a_directory_that_a_rule_leaves_out_is_unfamiliar(seen: Snapshot) -> None:
    both = [facts(seen.name, "dir", seen.stat)]
    assert glance(both, both, seen) == {seen.name}


def test_a_name_that_a_rule_may_leave_out_is_unfamiliar() -> None:
    coming_back = b".pp-get-" + b"0a" * 12
    assert glance([facts(coming_back)], [facts(coming_back)]) == {coming_back}
    both = [facts(name) for name in (b".DS_Store", b"a.o", b"keep.o")] + [facts(D, "dir")]
    assert glance(both, both, folder()) == {b".DS_Store"}
    assert glance(both, both, folder(), patterns=("*.o", "!keep.o", "d/")) == {b".DS_Store", b"a.o", D}
    assert glance(both, both, folder(), rules=replace(RULES, recursive=False)) == {b".DS_Store", D}


def test_a_file_above_the_limit_is_unfamiliar() -> None:
    both = [facts(A, stat=STAT._replace(size_bytes=(1 << 20) + 1)), facts(B, stat=STAT._replace(size_bytes=1 << 20))]
    assert glance(both, both, rules=replace(RULES, max_size_mb=1)) == {A}


def test_where_a_path_may_be_too_long_nothing_is_familiar() -> None:
    both = [facts(A), facts(b"n" * 100)]
    room = MAX_PATH_BYTES - RULES.root_length - 2
    assert glance(both, both, directory=b"x" * (room - 100)) == set()
    assert glance(both, both, directory=b"x" * (room - 99)) == {A, b"n" * 100}
