"""What walks ask: whatever they take for familiar, a comparison one by one finds nothing to say about."""

from dataclasses import replace
from itertools import product

import pytest

from pp_assist.core.compare import Look, compare
from pp_assist.core.familiar import unfamiliar
from pp_assist.core.model import ALL_NAMES, NOT_TAKEN, FileState, Kind, Listing, Part, Snapshot, Stage, Stat
from pp_assist.core.patterns import Level, parse_list
from pp_assist.core.rest import Rest
from pp_assist.core.rules import Rules
from pp_assist.store.db import Database
from pp_assist.store.known_tree import KnownTree, known_tree
from pp_assist.store.roots import RootsTable

NOW_MS = 1_700_000_000_000
LOOK = Look(NOW_MS, Rest(2000))
STAT, OTHER = Stat(2 << 20, 20, 30, 5, 7), Stat(11, 21, 31, 6, 7)
RULES = Rules(own=frozenset(), root_device=7, root_length=10)
KINDS = (Kind.FILE, Kind.DIR, Kind.SYMLINK)

_FILE = """
INSERT INTO files (directory_id, name, kind, state, reason, gen, size_bytes, mtime_ns, ctime_ns, inode, device, racy,
                   sha256, link_target, offered_gen, discovered_at_ms)
SELECT id, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0 FROM directories WHERE path = x'' RETURNING id"""
_WORK = """
INSERT INTO work (file_id, stage, gen, queued_at_ms, eligible_at_ms,
                  seen_size, seen_mtime_ns, seen_ctime_ns, seen_inode, seen_device)
VALUES (?, ?, 1, 0, 0, ?, ?, ?, ?, ?)"""


@pytest.fixture
async def root_id(db: Database) -> int:
    root_id = (await RootsTable(db).add(b"/root", b"/root", True, (7, 1), 0)).id
    async with db.transaction() as tx:
        await tx.execute("UPDATE directories SET listed_at_ms = 1")
    return root_id


async def every_row_there_can_be(db: Database) -> dict[bytes, Kind]:
    """Know a name for each combination of what a row may say."""
    known: dict[bytes, Kind] = {}
    combinations = product(FileState, (None, *Stage), (0, 1), (None, NOT_TAKEN), KINDS, (STAT, OTHER))
    async with db.transaction() as tx:
        for number, (state, stage, racy, reason, kind, seen) in enumerate(combinations):
            name = b"%04d%s" % (number, b".o" if number % 7 == 0 else b"")
            sha256, target = "a" * 64 if kind is Kind.FILE else None, b"t" if kind is Kind.SYMLINK else None
            row = (name, kind.value, state.value, reason, *STAT, racy, sha256, target)
            (file_id,) = await (await tx.execute(_FILE, row)).fetchone() or (0,)
            if stage is not None:
                await tx.execute(_WORK, (file_id, stage.value, *seen))
            known[name] = kind
    return known


def at_a_glance(tree: KnownTree, entries: list[Snapshot], rules: Rules, levels: tuple[Level, ...]) -> set[bytes]:
    known = tree.part(b"", ALL_NAMES)
    assert known is not None
    seen = [(entry.name, entry.kind.value, *entry.stat) for entry in entries]
    folders = [entry for entry in entries if entry.kind is Kind.DIR]
    told = Listing(b"", (), True, levels=levels)
    return unfamiliar(seen, known, folders, b"", rules.judge(told), rules)


@pytest.mark.parametrize("patterns", [(), ("*.o",)])
@pytest.mark.parametrize("rules", [RULES, replace(RULES, max_size_mb=1), replace(RULES, recursive=False)])
@pytest.mark.parametrize("look_like", ["known", "waiting", "of_another_kind", "missing"])
async def test_nothing_is_to_be_written_about_what_is_familiar(
    db: Database, root_id: int, rules: Rules, patterns: tuple[str, ...], look_like: str
) -> None:
    known = await every_row_there_can_be(db)
    stat = OTHER if look_like == "waiting" else STAT
    kinds = {kind: KINDS[number - 1] if look_like == "of_another_kind" else kind for number, kind in enumerate(KINDS)}
    entries = [Snapshot(name, kinds[kind], stat, 0o644, 0, 0) for name, kind in known.items()]
    entries = [] if look_like == "missing" else entries
    levels = (Level(b"", parse_list(patterns, "setting")),) if patterns else ()
    with known_tree(db, root_id) as tree:
        rest = at_a_glance(tree, entries, rules, levels)
        familiar = frozenset(known.keys() - rest)
        seen = tuple(entry for entry in entries if entry.name in familiar)
        listing = Listing(b"", seen, True, asked=familiar, levels=levels)
        assert compare(listing, tree.files(1, familiar), (), rules, LOOK).is_nothing
        if rules is RULES and look_like in ("known", "waiting") and not patterns:
            alone = [Listing(b"", (entry,), True, asked=frozenset({entry.name})) for entry in entries]
            rows = tree.files(1, known)
            untouched = {one.entries[0].name for one in alone if compare(one, rows, (), rules, LOOK).unchanged}
            assert familiar == untouched, "and everything that is untouched is familiar"
            assert len(familiar) > 20


async def test_what_is_not_familiar_is_known_in_parts(db: Database, root_id: int) -> None:
    known = await every_row_there_can_be(db)
    async with db.transaction() as tx:
        children = [(root_id, b"0100"), (root_id, b"0300"), (root_id, b"0100/below")]
        await tx.executemany("INSERT INTO directories (root_id, parent_id, path) VALUES (?, 1, ?)", children[:2])
        await tx.executemany("INSERT INTO directories (root_id, parent_id, path) VALUES (?, 2, ?)", children[2:])
    with known_tree(db, root_id) as tree:
        whole, part = tree.part(b"", ALL_NAMES), tree.part(b"", Part(b"0100", b"0200"))
        assert whole and part
        assert sorted(whole.children) == [b"0100", b"0300"]
        assert part.children == [b"0100"]
        assert {facts[0] for facts in whole.facts} == set(known)
        assert {facts[0] for facts in part.facts} == {name for name in known if b"0100" <= name < b"0200"}


@pytest.mark.parametrize("change", ["gone = 1", "problem = 'cannot list it'", "listed_at_ms = NULL"])
async def test_a_directory_that_was_not_listed_well_is_not_known(db: Database, root_id: int, change: str) -> None:
    with known_tree(db, root_id) as tree:
        assert tree.part(b"", ALL_NAMES)
        tree.let_go()
        async with db.transaction() as tx:
            await tx.execute(f"UPDATE directories SET {change}")
        assert tree.part(b"", ALL_NAMES) is None
        assert tree.part(b"elsewhere", ALL_NAMES) is None


async def test_what_is_known_is_as_of_one_moment_until_it_is_let_go(db: Database, root_id: int) -> None:
    with known_tree(db, root_id) as tree:
        assert tree.part(b"", ALL_NAMES)
        await every_row_there_can_be(db)
        before = tree.part(b"", ALL_NAMES)
        tree.let_go()
        after = tree.part(b"", ALL_NAMES)
        assert before and after
        assert (before.facts, len(after.facts)) == ([], len(await db.rows("SELECT 1 FROM files")))
