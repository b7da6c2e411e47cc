"""One batch of listings → comparison → one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

from pp_assist.core.compare import Changes, Look, compare, missing_subtree
from pp_assist.core.model import Listing, Root
from pp_assist.core.rules import Rules
from pp_assist.store import observations
from pp_assist.store.db import Database
from pp_assist.store.observations import Known, join


@dataclass(slots=True)
class Found:
    """What a batch amounted to."""

    looked_at: int = 0
    to_hash: int = 0
    vanished: int = 0
    problems: int = 0
    fresh_directories: tuple[bytes, ...] = ()
    """Directories (relative paths) never listed before: a targeted look must go on below them."""

    def add(self, other: "Found") -> None:
        """Add the counts of another batch."""
        self.looked_at += other.looked_at
        self.to_hash += other.to_hash
        self.vanished += other.vanished
        self.problems += other.problems


async def record(
    db: Database, root: Root, rules: Rules, listings: Sequence[Listing], look: Look, grace_ms: int
) -> Found:
    """Compare *listings* with what is known and write down the difference, all or nothing."""
    async with db.transaction() as tx:
        known = await observations.recall(tx, root.id, listings, look.now_ms)
        found: list[tuple[Known, Changes]] = []
        fresh: list[bytes] = []
        for listing, row in zip(listings, known, strict=True):
            changes = compare(listing, row.files, row.children, rules, look)
            found.append((row, changes))
            fresh += [join(listing.directory, name) for name in set(changes.directories) - set(row.children)]
            for name in changes.vanished_directories:
                gone = join(listing.directory, name)
                found.append((row, missing_subtree(await observations.known_below(tx, root.id, gone))))
                await observations.directory_gone(tx, root.id, gone)
        await observations.record(tx, root.id, found, look.now_ms, grace_ms)
    return Found(
        looked_at=sum(len(listing.entries) for listing in listings),
        to_hash=sum(len(c.new) + len(c.changed) + len(c.recheck) + len(c.sooner) for _, c in found),
        vanished=sum(len(c.vanished) for _, c in found),
        problems=sum(listing.problem is not None for listing in listings),
        fresh_directories=tuple(fresh),
    )
