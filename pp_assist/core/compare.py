"""What one look at a directory means for what we know about it. Pure: values in, a list of changes out.

The stat tuple decides, by inequality: a restored file is older than the one it replaces. The scanner never writes the
new tuple of a file; only the hasher does, with the digest it computed, so a lost row of work is found again by the next
look.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pp_assist.core.first_upload import turn_ms
from pp_assist.core.model import NOT_TAKEN, TRACKED, FileState, Kind, KnownFile, Listing, Snapshot, Stage
from pp_assist.core.rest import Rest
from pp_assist.core.rules import BEHIND_A_LINK, LeftOut, Rules

UNCOUNTED = 10**12
"""Rows: nobody has counted how many there are below a folder, and they may be as many as there can be."""


@dataclass(frozen=True, slots=True)
class Look:
    """The moment and the manner of a look."""

    now_ms: int
    rest: Rest
    force: bool = False
    """Hash again what looks untouched."""
    as_of: int | None = None
    """The last generation there was when the look began. What is newer may be younger than the look, which then cannot
    say that it is missing."""

    is_first: bool = False
    """Everything in the folder is new to us: see `first_upload`."""

    def may_miss(self, row: KnownFile) -> bool:
        """Say whether the look was late enough to have seen the file of *row*."""
        return self.as_of is None or row.gen <= self.as_of


@dataclass(slots=True)
class Changes:
    """What to write down after one look at one directory."""

    new: list[tuple[Snapshot, int]] = field(default_factory=list)
    """Never seen: (entry, when it may be hashed)."""
    changed: list[tuple[KnownFile, Snapshot, int]] = field(default_factory=list)
    """Differs from what was read (or is back after it vanished): a new generation, to be read again."""
    recheck: list[tuple[KnownFile, Snapshot]] = field(default_factory=list)
    """Looks untouched, hash again all the same: its generation stays unless the content differs."""
    sooner: list[tuple[KnownFile, int]] = field(default_factory=list)
    """Already waiting, and closed by its writer: may be hashed earlier."""
    set_aside: list[tuple[KnownFile | None, Snapshot, FileState, LeftOut]] = field(default_factory=list)
    """Excluded or unsupported: (row or None, entry, state, why)."""
    vanished: list[KnownFile] = field(default_factory=list)
    """Missing; a server may have it: look again before believing it."""
    forgotten: list[KnownFile] = field(default_factory=list)
    """Missing; no server ever heard of it, or it was excluded."""
    directories: list[bytes] = field(default_factory=list)
    """Names of the directories to descend into."""
    vanished_directories: list[bytes] = field(default_factory=list)
    """Names of directories known before and missing now."""
    excluded_directories: list[tuple[bytes, LeftOut]] = field(default_factory=list)
    """Directories known before that a pattern leaves out now, or in whose place a link stands, with all below them.
    Nothing is deleted by that."""
    unchanged: int = 0
    too_young: int = 0
    """Not seen, but written down since the look began: it cannot say that they are missing."""

    @property
    def is_nothing(self) -> bool:
        """Whether there is nothing to write down."""
        files = self.new, self.changed, self.recheck, self.sooner, self.set_aside, self.vanished, self.forgotten
        return not (any(files) or self.vanished_directories or self.excluded_directories or self.too_young)

    @property
    def noted(self) -> int:
        """How many rows come, go, or begin or cease to be about something on the disk, at most."""
        names = len(self.new) + len(self.changed) + len(self.set_aside) + len(self.vanished) + len(self.forgotten)
        return names + UNCOUNTED * len(self.excluded_directories)

    def names(self) -> list[bytes]:
        """Return the names of the files and links that are new, changed or missing.

        Not of directories: they change with each name in them, and no event tells of that.
        """
        seen = [entry for entry, _ in self.new] + [entry for _, entry, _ in self.changed]
        names = [entry.name for entry in seen if entry.kind is not Kind.DIR]
        return names + [row.name for row in (*self.vanished, *self.forgotten) if row.kind is not Kind.DIR]


def compare(
    listing: Listing,
    known: Mapping[bytes, KnownFile],
    known_directories: Iterable[bytes],
    rules: Rules,
    look: Look,
) -> Changes:
    """Return what *listing* changes in what is *known* about its directory."""
    changes = Changes()
    present: set[bytes] = set()
    before = frozenset(known_directories)
    all_out = rules.leaves_out_all(listing)
    judge = rules.judge(listing)
    for entry in listing.entries:
        row = known.get(entry.name)
        if out := all_out or rules.excluded(entry, judge):
            is_news = _set_aside(changes, row, entry, FileState.EXCLUDED, out)
            if is_news and out.rule and entry.kind is Kind.DIR and entry.name in before:
                changes.excluded_directories.append((entry.name, out))
        elif why := rules.unsupported(listing.directory, entry):
            _set_aside(changes, row, entry, FileState.UNSUPPORTED, LeftOut(why))
        elif entry.kind is Kind.DIR:
            changes.directories.append(entry.name)
            if rules.recursive:
                _compare_entry(changes, row, entry, listing, look)
            elif row is not None:
                _missing(changes, row)  # a directory stands where a file was
        else:
            _compare_entry(changes, row, entry, listing, look)
        if entry.kind is Kind.SYMLINK and entry.name in before:
            changes.excluded_directories.append((entry.name, BEHIND_A_LINK))
        present.add(entry.name)
    if listing.complete:
        asked = listing.asked
        for name, row in known.items():
            if name in present or (asked is not None and name not in asked):
                continue
            if not look.may_miss(row):
                changes.too_young += row.state is not FileState.VANISHED
                continue
            if judge.levels and judge.rule(name, row.kind is Kind.DIR):  # left out by now: no deletion is told any more
                changes.forgotten.append(row)
            else:
                _missing(changes, row)
        # a link in a directory's place may lead to the very same files: that is no deletion
        kept = {entry.name for entry in listing.entries if entry.kind in (Kind.DIR, Kind.SYMLINK)}
        changes.vanished_directories = [
            name for name in before if name not in kept and (asked is None or name in asked)
        ]
    return changes


def _compare_entry(changes: Changes, row: KnownFile | None, entry: Snapshot, listing: Listing, look: Look) -> None:
    eligible = _eligible(row, entry, listing, look)
    if row is None:
        if look.is_first:
            eligible = turn_ms(eligible, entry.stat.mtime_ns, look.now_ms)
        changes.new.append((entry, eligible))
    elif row.stage is Stage.CHECKSUM:
        if (row.kind, row.seen) != (entry.kind, entry.stat):
            changes.changed.append((row, entry, eligible))
        elif entry.name in listing.closed and eligible < (row.eligible_at_ms or 0):
            changes.sooner.append((row, eligible))
        else:
            changes.unchanged += 1
    elif (row.kind, row.stat) != (entry.kind, entry.stat) or not _is_tracked(row) or _work_is_lost(row):
        changes.changed.append((row, entry, eligible))
    elif row.stage is None and (look.force or _second_look_is_due(row, look)):
        changes.recheck.append((row, entry))
    else:
        changes.unchanged += 1


def _is_tracked(row: KnownFile) -> bool:
    """Say whether *row* is kept up to date: also if the server does not take it, as long as it does not."""
    return row.state in TRACKED or (row.state is FileState.UNSUPPORTED and row.reason == NOT_TAKEN)


def _work_is_lost(row: KnownFile) -> bool:
    """Say whether nothing is going to happen to a file to which something must: its row of work is gone."""
    return row.stage is None and row.state in (FileState.DISCOVERED, FileState.READY_FOR_UPLOAD)


def _second_look_is_due(row: KnownFile, look: Look) -> bool:
    return row.racy and look.now_ms - (row.hashed_at_ms or 0) > look.rest.quiet_ms


def _eligible(row: KnownFile | None, entry: Snapshot, listing: Listing, look: Look) -> int:
    """Return when it may be read. A directory that was there before has nothing in it that is written piece by piece:
    its new time is noted at once, as often as a scan comes by. A new one gets its names first.
    """
    closed = entry.name in listing.closed or (row is not None and entry.kind is Kind.DIR)
    return look.rest.eligible_at_ms(entry.stat, look.now_ms, closed)


def _set_aside(changes: Changes, row: KnownFile | None, entry: Snapshot, state: FileState, out: LeftOut) -> bool:
    """Note that *entry* is not stored, and why; say whether that is news."""
    is_news = row is None or (row.state, row.reason, row.rule) != (state, *out)
    if is_news:
        changes.set_aside.append((row, entry, state, out))
    return is_news


def _missing(changes: Changes, row: KnownFile) -> None:
    if row.state is FileState.VANISHED and row.stage is not None:
        return
    if row.may_be_on_server and row.state is not FileState.EXCLUDED:  # leaving out never deletes, later neither
        changes.vanished.append(row)
    else:
        changes.forgotten.append(row)


def missing_subtree(rows: Iterable[KnownFile], look: Look) -> Changes:
    """Return what it means for *rows* that a directory above them is missing."""
    changes = Changes()
    for row in rows:
        if look.may_miss(row):
            _missing(changes, row)
    return changes
