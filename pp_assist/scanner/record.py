"""One batch of listings → comparison → one transaction."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from typing import NamedTuple, TypeVar

from pp_assist.clock import Clock
from pp_assist.core.compare import UNCOUNTED, Changes, Look, compare, missing_subtree
from pp_assist.core.events import Event, Tell
from pp_assist.core.model import Kind, Listing, NoticedBy, Root
from pp_assist.core.parts import apart, cut
from pp_assist.core.patterns import EXCLUDE, ROOT, SETTING, Level, parse_list
from pp_assist.core.portions import portions
from pp_assist.core.rest import Rest
from pp_assist.core.rules import Rules
from pp_assist.scanner import walk
from pp_assist.scanner.ignore import RuleProblems
from pp_assist.scanner.moved import MovedTrees
from pp_assist.scanner.settings import RulesSettings, ScannerSettings
from pp_assist.scanner.unfamiliar import Unfamiliar
from pp_assist.store import excluded, known_names, observations
from pp_assist.store.db import Database
from pp_assist.store.known_tree import known_tree
from pp_assist.store.observations import Known, join
from pp_assist.store.queues import Queues

T = TypeVar("T")


@dataclass(slots=True)
class Found:
    """What a batch amounted to."""

    looked_at: int = 0
    to_hash: int = 0
    vanished: int = 0
    changed: int = 0
    """Files that are new, changed or missing, and directories that were moved."""
    problems: int = 0
    noted: int = 0
    """Rows that were written down, or dropped."""
    too_young: int = 0
    """Rows that were written down since the look began, and were not seen by it."""
    fresh_directories: list[bytes] = field(default_factory=list)
    """Directories (relative paths) never listed before: a targeted look must go on below them."""
    directories: list[bytes] = field(default_factory=list)
    """All directories (relative paths) that were seen in those looked at."""
    changes: list[tuple[bytes, bytes, int]] = field(default_factory=list)
    """(directory, name, files): what is new, changed, missing or moved; a directory that is missing counts with its
    files, one that was moved as one."""

    def add(self, other: "Found") -> None:
        """Add the counts of another batch, and nothing that would grow with the tree."""
        self.looked_at += other.looked_at
        self.to_hash += other.to_hash
        self.vanished += other.vanished
        self.changed += other.changed
        self.problems += other.problems
        self.noted += other.noted
        self.too_young += other.too_young


class Seen(NamedTuple):
    """A batch of listings."""

    listings: Sequence[Listing]
    looked_at: int
    """Names, those included that are in no listing: they are as known."""
    as_of: int
    """The last generation there was before the first look of all."""
    force: bool = False
    """Hash again what looks untouched."""
    by: NoticedBy = NoticedBy.SCAN


class Recorder:
    """Writes down what looks have found, for every part of the scanner; and walks, for those that go on below."""

    def __init__(
        self,
        db: Database,
        queues: Queues,
        settings: ScannerSettings,
        clock: Clock,
        threads: ThreadPoolExecutor,
        own: Collection[tuple[int, int]],
        rules: RulesSettings,
        rest: Rest,
        tell: Tell,
    ) -> None:
        self.tell = tell
        self.db = db
        self.queues = queues
        self.clock = clock
        self._rest = rest
        self._grace_ms = int(settings.delete_grace_seconds * 1000)
        self._threads = threads
        self._own = frozenset(own)
        self.before_listing: Callable[[Root, bytes, int], None] = lambda root, directory, fd: None
        """Told of every directory right before a walk lists it: see `walk.BeforeListing`."""
        self._max_size_mb = rules.max_size_mb
        self._everywhere = Level(b"", parse_list(tuple(rules.exclude), SETTING))
        self._added = Level(b"", parse_list((), EXCLUDE))
        self.rule_problems = RuleProblems()
        self.moved: MovedTrees | None = None
        self.noted: Counter[int] = Counter()
        """Root → rows that were written down or dropped since the start, of a moved folder uncounted many."""

    def batches(
        self, root: Root, start: bytes, force: bool = False, by: NoticedBy = NoticedBy.SCAN
    ) -> AsyncIterator[Seen]:
        """Walk *start* and all below it: see `walk.walk`. What is exactly as known is left out, unless forced.

        Raises:
            RootUnhealthy: the root is not there, or not the one registered.
        """
        return self._ahead(partial(self._walk, root, start, force), by, force)

    def _walk(self, root: Root, start: bytes, force: bool, as_of: int) -> Generator[walk.Batch, None, None]:
        rules, before = self.rules(root), partial(self.before_listing, root)
        if force:
            yield from walk.walk(root, rules, start, before)
            return

        def look() -> Look:
            return Look(self.clock.now_ms(), self._rest, as_of=as_of)

        with known_tree(self.db, root.id) as tree:
            unfamiliar = Unfamiliar(tree, rules, look, partial(self.rule_problems.are_in, root.id))
            for batch in walk.walk(root, rules, start, before, unfamiliar):
                tree.let_go()
                yield batch

    def looks(
        self, root: Root, places: Iterable[tuple[bytes, Mapping[bytes, bool]]], by: NoticedBy = NoticedBy.SECOND_LOOK
    ) -> AsyncIterator[Seen]:
        """Look at some names in some directories: see `walk.look_at_places`.

        Raises:
            RootUnhealthy: the root is not there, or not the one registered.
        """
        return self._ahead(lambda as_of: walk.look_at_places(root, self.rules(root), places), by)

    async def _ahead(
        self, begin: Callable[[int], Generator[walk.Batch, None, None]], by: NoticedBy, force: bool = False
    ) -> AsyncIterator[Seen]:
        """Look in a thread, one batch ahead of whoever takes them."""
        as_of = await observations.last_gen(self.db)
        looking = begin(as_of)
        ahead = asyncio.ensure_future(self.in_thread(next, looking, None))
        try:
            while (batch := await self._next(ahead)) is not None:
                ahead = asyncio.ensure_future(self.in_thread(next, looking, None))
                yield Seen(*batch, as_of, force, by)
        finally:
            await asyncio.wait([ahead])  # also when cancelled: a generator cannot be closed while it runs
            await self.in_thread(looking.close)

    async def _next(self, ahead: asyncio.Future[walk.Batch | None]) -> walk.Batch | None:
        with self.db.damage_noted():
            return await asyncio.shield(ahead)

    async def record(self, root: Root, seen: Seen) -> Found:
        """Compare what was *seen* with what is known and write down the difference, each directory all or nothing; a
        large one, and what was below those that are missing, in several transactions.

        What was below missing directories comes before they count as missing: whatever comes between, the next look
        goes on with the rest.

        Raises:
            RootForgotten: nobody wants to know any more.
        """
        total = Found(looked_at=seen.looked_at)
        if not seen.listings:
            return total
        moved = [] if self.moved is None else await self.moved.notice(root, self.rules(root), seen.listings)
        total.changed += len(moved)
        total.noted += len(moved) * UNCOUNTED
        total.changes += [(directory, name, 1) for directory, name in moved]
        self.noted[root.id] += total.noted
        for listings in await self._steps(root, seen.listings):
            look = Look(self.clock.now_ms(), self._rest, seen.force, seen.as_of, root.last_scanned_at_ms is None)
            await self._record(root, listings, look, seen.by, total)
        return total

    async def _steps(self, root: Root, listings: Sequence[Listing]) -> Iterable[list[Listing]]:
        """Return *listings* in lists that are each about a bounded number of names, those known and not seen included:
        of a hundred thousand that were in a directory, all but one may be missing.
        """
        most = walk.PART_ENTRIES
        known = await known_names.counted(self.db, root.id, listings, most)
        parts: list[tuple[Listing, int]] = []
        for listing, count in zip(listings, known, strict=True):
            if listing.asked is not None:
                parts += [(part, len(part.asked or ())) for part in apart(listing, most)]
                continue
            at = [] if count <= most else await known_names.edges(self.db, root.id, listing, most)
            parts += [(part, max(len(listing.entries), count)) for part in cut(listing, at)]
        together = portions(parts, itemgetter(1), walk.BATCH_ENTRIES)
        return [[part for part, _ in some] for some in together]

    async def _record(self, root: Root, listings: Sequence[Listing], look: Look, by: NoticedBy, total: Found) -> None:
        """Compare *listings* with what is known, write down the difference in a transaction, and add it to *total*."""
        rules = self.rules(root)
        async with self.db.transaction() as tx:
            known = await observations.recall(tx, root.id, listings, look.now_ms)
            found: list[tuple[Known, Changes]] = []
            for listing, row in zip(listings, known, strict=True):
                changes = compare(listing, row.files, row.children, rules, look)
                found.append((row, changes))
                await excluded.settle(tx, root.id, listing.directory, changes)
            await observations.record(tx, root.id, found, look.now_ms, self._grace_ms, self._rest, by)
        self.rule_problems.note(root.id, listings)
        told = self._told(listings, [changes for _, changes in found])
        self._tell_of_files(root, listings, [changes for _, changes in found])
        self.noted[root.id] += told.noted
        total.add(told)
        for listing, (row, changes) in zip(listings, found, strict=True):
            fresh = set(changes.directories).difference(row.children)
            total.fresh_directories += [join(listing.directory, name) for name in fresh]
            total.directories += [join(listing.directory, name) for name in changes.directories]
            total.changes += [(listing.directory, name, 1) for name in changes.names()]
            for name in changes.vanished_directories:
                missing = await self._directory_missing(root, join(listing.directory, name), look, by)
                total.changes.append((listing.directory, name, missing.changed))
                total.add(missing)

    async def _directory_missing(self, root: Root, directory: bytes, look: Look, by: NoticedBy) -> Found:
        """Note that *directory* is missing, with all that is known below it."""
        total = Found()
        after, is_all = (directory, b""), True
        while True:
            async with self.db.transaction() as tx:
                rows = await observations.known_below(tx, root.id, directory, after, observations.AT_A_TIME)
                missing = missing_subtree([file for _, file in rows], look)
                is_all = is_all and all(look.may_miss(file) for _, file in rows)
                found = [(Known(0, {}, []), missing)]
                await observations.record(tx, root.id, found, look.now_ms, self._grace_ms, self._rest, by)
            told = self._told((), [missing])
            self.noted[root.id] += told.noted
            total.add(told)
            if len(rows) < observations.AT_A_TIME:
                break
            after = (rows[-1][0], rows[-1][1].name)
        if is_all:  # else something was written down since we looked: the next look at the folder above goes on with it
            await observations.directory_gone(self.db, root.id, directory)
        if total.vanished:
            self.tell(
                Event.FILE_MISSING, join(root.shown.rstrip(b"/"), directory), root_id=root.id, count=total.vanished
            )
        return total

    def _told(self, listings: Sequence[Listing], changes: Sequence[Changes]) -> Found:
        """Wake whoever has new work, and say what it amounted to."""
        found = Found(
            to_hash=sum(len(c.new) + len(c.changed) + len(c.recheck) + len(c.sooner) for c in changes),
            vanished=sum(len(c.vanished) for c in changes),
            changed=sum(len(c.names()) for c in changes),
            problems=sum(listing.problem is not None for listing in listings),
            noted=sum(c.noted for c in changes),
            too_young=sum(c.too_young for c in changes),
        )
        if found.to_hash:
            self.queues.wake_checksums()
        if found.vanished:
            self.queues.vanished.wake()
        return found

    def _tell_of_files(self, root: Root, listings: Sequence[Listing], changes: Sequence[Changes]) -> None:
        """Tell what became of files: the first of each kind of news, and how many more there are."""
        news: dict[Event, tuple[bytes, int]] = {}
        for listing, each in zip(listings, changes, strict=True):
            for event, names in (
                (Event.FILE_DISCOVERED, [entry.name for entry, _ in each.new if entry.kind is Kind.FILE]),
                (Event.FILE_CHANGED, [entry.name for _, entry, _ in each.changed if entry.kind is Kind.FILE]),
                (Event.FILE_MISSING, [row.name for row in each.vanished if row.kind is Kind.FILE]),
            ):
                if names:
                    first, count = news.get(event, (join(listing.directory, names[0]), 0))
                    news[event] = first, count + len(names)
        for event, (first, count) in news.items():
            self.tell(event, join(root.shown.rstrip(b"/"), first), root_id=root.id, count=count)

    def exclude(self, patterns: Iterable[str]) -> None:
        """Leave out what *patterns* say, besides the settings, from the next look on."""
        self._added = Level(b"", parse_list(tuple(patterns), EXCLUDE))

    def rules(self, root: Root) -> Rules:
        """Return what is left out in *root*."""
        levels = (self._everywhere, self._added, Level(b"", parse_list(root.exclude, ROOT)))
        said = tuple(level for level in levels if level.patterns)
        length = len(root.shown.rstrip(b"/"))
        return Rules(self._own, root.device, length, said, self._max_size_mb, root.recursive)

    async def in_thread(self, function: Callable[..., T], *args: object) -> T:
        """Run something blocking in one of the scanner's threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)
