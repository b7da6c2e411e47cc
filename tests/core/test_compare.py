"""What a look at a directory means: a table of seen against known."""

from dataclasses import replace

import pytest

from pp_assist.core.compare import Look, compare, missing_subtree
from pp_assist.core.model import NOT_TAKEN, FileState, Kind, KnownFile, Listing, Snapshot, Stage, Stat
from pp_assist.core.patterns import Level, Rule, parse_list
from pp_assist.core.rest import Rest
from pp_assist.core.rules import LeftOut, Rules

NOW_MS = 1_700_000_000_000
OLD_NS = (NOW_MS - 60_000) * 1_000_000
YOUNG_NS = (NOW_MS - 500) * 1_000_000
LOOK = Look(NOW_MS, Rest(2000))
RULES = Rules(own=frozenset({(7, 99)}), root_device=7, root_length=10)
STAT = Stat(10, OLD_NS, OLD_NS, 5, 7)


def entry(name: bytes = b"a", kind: Kind = Kind.FILE, stat: Stat = STAT) -> Snapshot:
    return Snapshot(name, kind, stat, 0o644, 1000, 1000)


def row(name: bytes = b"a", state: FileState = FileState.COMPLETED, **more: object) -> KnownFile:
    known = KnownFile(1, name, state, 3, STAT, False, NOW_MS - 60_000, True, None, None, None, None)
    return replace(known, **more)  # type: ignore[arg-type]


def listing(*entries: Snapshot, **more: object) -> Listing:
    return replace(Listing(b"", entries, complete=True), **more)  # type: ignore[arg-type]


def look(seen: Listing, *known: KnownFile, directories: tuple[bytes, ...] = (), when: Look = LOOK):  # type: ignore[no-untyped-def]
    return compare(seen, {file.name: file for file in known}, directories, RULES, when)


def test_a_new_file_at_rest_may_be_hashed_at_once() -> None:
    assert look(listing(entry())).new == [(entry(), NOW_MS)]


def test_a_young_file_waits_for_a_second_equal_look() -> None:
    young = entry(stat=STAT._replace(mtime_ns=YOUNG_NS))
    assert look(listing(young)).new == [(young, NOW_MS + 2000)]


def test_a_young_file_that_was_just_closed_waits_a_moment() -> None:
    young = entry(stat=STAT._replace(ctime_ns=YOUNG_NS))
    assert look(listing(young, closed=frozenset({b"a"}))).new == [(young, NOW_MS + 100)]


def test_a_directory_that_was_there_waits_for_no_second_look_and_a_new_one_does() -> None:
    young = entry(kind=Kind.DIR, stat=STAT._replace(mtime_ns=YOUNG_NS))
    known = row(kind=Kind.DIR)
    assert look(listing(young), known).changed == [(known, young, NOW_MS + 100)]
    assert look(listing(young)).new == [(young, NOW_MS + 2000)]


def test_an_untouched_file_is_left_alone() -> None:
    changes = look(listing(entry()), row())
    assert changes.unchanged == 1
    assert not (changes.changed or changes.new or changes.recheck)


@pytest.mark.parametrize("field", Stat._fields)
@pytest.mark.parametrize("step", [1, -1])
def test_any_difference_in_the_stat_tuple_is_a_change(field: str, step: int) -> None:
    """A restored file is older than the one it replaces: inequality, not >."""
    seen = entry(stat=STAT._replace(**{field: getattr(STAT, field) + step}))
    assert [change[0].id for change in look(listing(seen), row()).changed] == [1]


def test_force_rechecks_what_looks_untouched_without_a_new_generation() -> None:
    changes = look(listing(entry()), row(), when=replace(LOOK, force=True))
    assert len(changes.recheck) == 1
    assert not changes.changed


def test_a_racy_file_gets_a_second_look_once_it_is_old_enough() -> None:
    assert look(listing(entry()), row(racy=True)).recheck
    assert not look(listing(entry()), row(racy=True, hashed_at_ms=NOW_MS - 100)).recheck


def test_a_file_in_line_to_be_hashed_is_queued_again_only_if_it_changed_again() -> None:
    waiting = row(state=FileState.DISCOVERED, stage=Stage.CHECKSUM, seen=STAT, eligible_at_ms=NOW_MS)
    assert look(listing(entry()), waiting).unchanged == 1
    assert look(listing(entry(stat=STAT._replace(size_bytes=11))), waiting).changed


def test_a_close_brings_a_waiting_file_forward() -> None:
    young = STAT._replace(mtime_ns=YOUNG_NS)
    waiting = row(state=FileState.DISCOVERED, stage=Stage.CHECKSUM, seen=young, eligible_at_ms=NOW_MS + 1500)
    changes = look(listing(entry(stat=young), closed=frozenset({b"a"})), waiting)
    assert changes.sooner == [(waiting, NOW_MS + 100)]


def test_a_missing_file_the_server_may_have_vanishes() -> None:
    changes = look(listing(), row())
    assert changes.vanished == [row()]
    assert not changes.forgotten


def test_a_missing_file_no_server_heard_of_is_forgotten() -> None:
    unknown = row(may_be_on_server=False)
    assert look(listing(), unknown).forgotten == [unknown]


@pytest.mark.parametrize("problem", [{"complete": False}, {"asked": frozenset({b"other"})}])
def test_nothing_is_missing_from_a_listing_that_does_not_say_so(problem: dict[str, object]) -> None:
    changes = look(listing(**problem), row(), directories=(b"d",))
    assert not (changes.vanished or changes.forgotten or changes.vanished_directories)


def test_a_targeted_look_tells_of_what_it_asked_for() -> None:
    changes = look(listing(asked=frozenset({b"a", b"d"})), row(), row(b"b"), directories=(b"d", b"e"))
    assert [file.name for file in changes.vanished] == [b"a"]
    assert changes.vanished_directories == [b"d"]


def test_a_file_that_comes_back_is_hashed_again_under_a_new_generation() -> None:
    for stage in (Stage.VANISHED, Stage.DELETION):
        back = row(state=FileState.VANISHED, stage=stage)
        assert [change[0] for change in look(listing(entry()), back).changed] == [back]


def test_a_file_that_is_already_missing_is_not_reported_again() -> None:
    changes = look(listing(), row(state=FileState.VANISHED, stage=Stage.VANISHED))
    assert not (changes.vanished or changes.forgotten)


@pytest.mark.parametrize("kind", [Kind.FIFO, Kind.SOCKET, Kind.CHARACTER_DEVICE, Kind.BLOCK_DEVICE])
def test_what_no_server_can_be_given_is_unsupported_with_its_type(kind: Kind) -> None:
    special = entry(kind=kind)
    assert look(listing(special)).set_aside == [(None, special, FileState.UNSUPPORTED, LeftOut(kind.value))]


@pytest.mark.parametrize("before", [Kind.FILE, Kind.DIR, Kind.SYMLINK])
@pytest.mark.parametrize("now", [Kind.FILE, Kind.DIR, Kind.SYMLINK])
def test_what_becomes_of_another_kind_is_a_change_whatever_its_stat(before: Kind, now: Kind) -> None:
    changes = look(listing(entry(kind=now)), row(kind=before))
    assert changes.changed == ([] if before is now else [(row(kind=before), entry(kind=now), NOW_MS)])
    assert not (changes.vanished or changes.set_aside)
    assert changes.directories == ([b"a"] if now is Kind.DIR else [])
    waiting = row(kind=before, state=FileState.DISCOVERED, stage=Stage.CHECKSUM, seen=STAT, eligible_at_ms=NOW_MS)
    assert bool(look(listing(entry(kind=now)), waiting).changed) is (before is not now)


@pytest.mark.parametrize("kind", [Kind.DIR, Kind.SYMLINK])
def test_directories_and_links_come_and_go_like_files(kind: Kind) -> None:
    there = entry(kind=kind)
    assert look(listing(there)).new == [(there, NOW_MS)]
    assert look(listing(there), row(kind=kind)).unchanged == 1
    assert look(listing(), row(kind=kind)).vanished == [row(kind=kind)]


def test_names_in_a_directory_are_no_news_that_an_event_should_have_told() -> None:
    touched = entry(b"d", Kind.DIR, STAT._replace(mtime_ns=1))
    changes = look(listing(touched, entry(b"new")), row(b"d", kind=Kind.DIR), row(b"gone", kind=Kind.DIR))
    assert len(changes.changed) == len(changes.vanished) == 1
    assert changes.names() == [b"new"]


def test_directories_of_a_root_that_is_not_recursive_are_not_recorded() -> None:
    rules = replace(RULES, recursive=False)
    changes = compare(listing(entry(kind=Kind.DIR)), {}, (), rules, LOOK)
    assert (changes.new, changes.directories) == ([], [b"a"])
    assert compare(listing(entry(kind=Kind.DIR)), {b"a": row()}, (), rules, LOOK).vanished == [row()]


def test_what_this_server_does_not_take_is_left_alone_until_it_changes() -> None:
    left = row(state=FileState.UNSUPPORTED, reason=NOT_TAKEN, kind=Kind.SYMLINK)
    assert look(listing(entry(kind=Kind.SYMLINK)), left).unchanged == 1
    assert look(listing(entry(kind=Kind.SYMLINK, stat=STAT._replace(ctime_ns=1))), left).changed
    assert look(listing(entry(kind=Kind.SYMLINK)), replace(left, reason="symlink")).changed, "of an earlier version"


@pytest.mark.parametrize(
    ("seen", "rule"),
    [
        (entry(b".DS_Store"), "system_junk"),
        (entry(b"lost+found", Kind.DIR), "system_junk"),
        (entry(b".pp-get-" + b"0a" * 12), "coming_back"),
        (entry(b"state", Kind.DIR, STAT._replace(inode=99)), "own_directory"),
        (entry(b"mnt", Kind.DIR, STAT._replace(device=8)), "other_file_system"),
    ],
)
def test_exclusions_have_a_name(seen: Snapshot, rule: str) -> None:
    changes = look(listing(seen))
    assert changes.set_aside == [(None, seen, FileState.EXCLUDED, LeftOut(rule))]
    assert not changes.directories


@pytest.mark.parametrize(
    "seen",
    [
        entry(b".pp-get-" + b"0a" * 12, Kind.DIR),
        entry(b".pp-get-" + b"0a" * 11),
        entry(b".pp-get-" + b"0A" * 12),
        entry(b".pp-get-" + b"0a" * 12 + b".txt"),
    ],
)
def test_only_the_very_name_of_what_is_coming_back_is_left_out(seen: Snapshot) -> None:
    assert not look(listing(seen)).set_aside


def test_a_path_too_long_is_unsupported() -> None:
    changes = look(listing(entry(b"n" * 200), directory=b"d" * 3900))
    assert changes.set_aside[0][2:] == (FileState.UNSUPPORTED, LeftOut("path too long"))


def test_a_missing_directory_counts_by_its_files() -> None:
    changes = missing_subtree(
        [row(), row(b"b", may_be_on_server=False), row(b"c", state=FileState.VANISHED, stage=Stage.VANISHED)], LOOK
    )
    assert [file.name for file in changes.vanished] == [b"a"]
    assert [file.name for file in changes.forgotten] == [b"b"]


@pytest.mark.parametrize(("gen", "missed"), [(3, [b"a"]), (2, [])])
def test_a_look_does_not_miss_what_is_younger_than_itself(gen: int, missed: list[bytes]) -> None:
    when = replace(LOOK, as_of=gen)
    assert [file.name for file in look(listing(), row(), when=when).vanished] == missed
    assert [file.name for file in missing_subtree([row()], when).vanished] == missed


def test_a_directory_replaced_by_a_file_is_gone_and_one_replaced_by_a_link_is_not() -> None:
    assert look(listing(entry(b"d")), directories=(b"d",)).vanished_directories == [b"d"]
    assert look(listing(entry(b"d", Kind.SYMLINK)), directories=(b"d",)).vanished_directories == []


@pytest.mark.parametrize("state", [FileState.DISCOVERED, FileState.READY_FOR_UPLOAD])
def test_a_file_whose_work_was_lost_is_hashed_again(state: FileState) -> None:
    lost = row(state=state)
    assert [file for file, *_ in look(listing(entry()), lost).changed] == [lost]
    assert look(listing(entry()), row(state=state, stage=Stage.UPLOAD)).unchanged == 1


def test_a_missing_file_whose_work_was_lost_is_looked_for_again() -> None:
    lost = row(state=FileState.VANISHED)
    assert look(listing(), lost).vanished == [lost]


def test_a_servers_data_directory_is_left_out_whole() -> None:
    mark = entry(b".pp_server-data")
    changes = look(listing(mark, entry(b"a"), entry(b"blobs", Kind.DIR)), row())
    assert {(seen.name, state, why.reason) for _, seen, state, why in changes.set_aside} == {
        (name, FileState.EXCLUDED, "server_data") for name in (b".pp_server-data", b"a", b"blobs")
    }
    assert not (changes.new or changes.directories or changes.vanished or changes.vanished_directories)


# -- what a person leaves out

PATTERNS = (Level(b"", parse_list(("*.o", "build/", "!keep.o"), "setting")),)
OBJECTS = LeftOut("pattern", Rule("*.o", "setting", 1))
BUILD = LeftOut("pattern", Rule("build/", "setting", 2))


def test_what_a_pattern_leaves_out_is_excluded_and_never_deleted() -> None:
    changes = look(
        listing(entry(b"a.o"), entry(b"keep.o"), entry(b"build", Kind.DIR), levels=PATTERNS),
        row(b"a.o"),
        directories=(b"build",),
    )
    assert [(known, out) for known, _, _, out in changes.set_aside] == [(row(b"a.o"), OBJECTS), (None, BUILD)]
    assert [seen.name for seen, _ in changes.new] == [b"keep.o"]
    assert changes.excluded_directories == [(b"build", BUILD)]
    assert not (changes.vanished or changes.vanished_directories or changes.forgotten or changes.directories)


@pytest.mark.parametrize("levels", [(), (Level(b"", parse_list(("d",), "setting")),)])
def test_a_link_in_the_place_of_a_folder_leaves_out_what_was_in_it(levels: tuple[Level, ...]) -> None:
    link = entry(b"d", Kind.SYMLINK)
    changes = look(listing(link, levels=levels), row(b"d", kind=Kind.DIR), directories=(b"d",))
    assert changes.excluded_directories == [(b"d", LeftOut("behind_a_link"))]
    assert not (changes.vanished or changes.vanished_directories or changes.forgotten or changes.directories)
    assert not look(listing(link), row(b"d", kind=Kind.SYMLINK)).excluded_directories


def test_what_is_excluded_already_by_the_same_line_is_not_written_again() -> None:
    known = row(b"a.o", FileState.EXCLUDED, reason="pattern", rule=OBJECTS.rule)
    assert not look(listing(entry(b"a.o"), levels=PATTERNS), known).set_aside
    moved = replace(known, rule=Rule("*.o", "setting", 7))
    assert look(listing(entry(b"a.o"), levels=PATTERNS), moved).set_aside


def test_a_file_that_was_excluded_and_is_missing_is_no_deletion() -> None:
    changes = look(listing(), row(b"a.o", FileState.EXCLUDED), row(b"b"))
    assert [file.name for file in changes.forgotten] == [b"a.o"]
    assert [file.name for file in changes.vanished] == [b"b"]
    below = missing_subtree([row(state=FileState.EXCLUDED)], LOOK)
    assert below.forgotten
    assert not below.vanished


@pytest.mark.parametrize("state", [FileState.COMPLETED, FileState.VANISHED])
def test_a_file_that_is_missing_when_it_is_left_out_is_no_deletion(state: FileState) -> None:
    missing = row(b"a.o", state, stage=Stage.DELETION if state is FileState.VANISHED else None)
    changes = look(listing(levels=PATTERNS), missing)
    assert changes.forgotten == [missing]
    assert not changes.vanished


def test_what_is_taken_in_again_is_hashed_under_a_new_generation() -> None:
    changes = look(
        listing(entry(b"a.o"), entry(b"build", Kind.DIR)), row(b"a.o", FileState.EXCLUDED, rule=OBJECTS.rule)
    )
    assert [known.name for known, *_ in changes.changed] == [b"a.o"]
    back = row(b"build", FileState.EXCLUDED, may_be_on_server=False, kind=Kind.DIR)
    changes = look(listing(entry(b"build", Kind.DIR)), back)
    assert ([known.name for known, *_ in changes.changed], changes.directories) == ([b"build"], [b"build"])
