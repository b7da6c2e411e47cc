"""Noticing that a directory was moved: it is the very one that is known elsewhere, and there it is no more."""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

from pp_assist.core.errors import AssistError
from pp_assist.core.model import Kind, Listing, Root, Snapshot
from pp_assist.core.rules import Rules
from pp_assist.disk import location_in, look
from pp_assist.store import tree_moves
from pp_assist.store.db import Database
from pp_assist.store.queues import Queues
from pp_assist.store.roots import RootsTable
from pp_assist.store.tree_moves import KnownDirectory, Place
from pp_server.wire.names import display

log = logging.getLogger(__name__)


class MovedTrees:
    """Has the rows of moved directories follow them, before anybody takes what was in them for missing, or for new."""

    def __init__(self, db: Database, roots: RootsTable, queues: Queues, threads: ThreadPoolExecutor) -> None:
        self._db = db
        self._roots = roots
        self._queues = queues
        self._threads = threads

    async def notice(self, root: Root, rules: Rules, listings: Sequence[Listing]) -> list[tuple[bytes, bytes]]:
        """Rename what is known of directories that are among *listings* of *root*, and were somewhere else.

        Return where they are now: (directory, name).
        """
        followed: list[tuple[bytes, bytes]] = []
        if not rules.recursive:
            return followed
        seen = [(listing, entry) for listing in listings for entry in listing.entries if entry.kind is Kind.DIR]
        if not seen:
            return followed
        identities = [(entry.stat.inode, entry.stat.device) for _, entry in seen]
        found = sorted(await tree_moves.known(self._db, identities), key=lambda one: one[0])
        for number, same in groupby(found, key=lambda one: one[0]):
            listing, entry = seen[number]
            target = Place(root.id, listing.directory + b"/" + entry.name if listing.directory else entry.name)
            known = [directory for _, directory in same]
            if (
                len(known) == 1
                and known[0].place != target
                and _is_stored(rules, listing, entry)
                and await self._follow(root, target, entry, known[0])
            ):
                followed.append((listing.directory, entry.name))
        return followed

    async def _follow(self, root: Root, target: Place, entry: Snapshot, known: KnownDirectory) -> bool:
        source_root = await self._roots.get(known.place.root_id)
        if source_root is None or not source_root.enabled or source_root.policy == "archive":
            return False  # an archive never tells that anything is gone
        children = await tree_moves.children(self._db, known.place)
        is_it = asyncio.get_running_loop().run_in_executor(
            self._threads, _is_the_same, source_root, known, root, target, entry, children
        )
        if not await is_it:
            return False
        async with self._db.transaction() as tx:
            renamed = await tree_moves.rename(tx, known, target)
        if renamed:
            log.info("a folder was moved: %s is %s now", display(known.place.path), display(target.path))
            self._queues.moved.set()
        return renamed


def _is_stored(rules: Rules, listing: Listing, entry: Snapshot) -> bool:
    """Say whether a directory is stored at its new place; else it is gone, for the server."""
    out = rules.leaves_out_all(listing) or rules.excluded(entry, rules.judge(listing))
    return not out and not rules.unsupported(listing.directory, entry)


def _is_the_same(
    source_root: Root,
    known: KnownDirectory,
    root: Root,
    target: Place,
    entry: Snapshot,
    children: Sequence[tuple[bytes, int, int]],
) -> bool:
    """Say whether *entry* certainly is the directory *known*, and is not there any more. Blocking.

    A number of a removed directory may be given to a new one: what was in it must be in it, too.
    """
    identity = (entry.stat.inode, entry.stat.device)
    try:
        before, now = look(location_in(source_root, known.place.path)), look(location_in(root, target.path))
        if before is not None and (before.stat.inode, before.stat.device) == identity:
            return False
        if now is None or (now.kind, now.mounted, now.stat.inode, now.stat.device) != (Kind.DIR, False, *identity):
            return False
        if not children:
            return now.stat.mtime_ns == known.mtime_ns
        for name, *child in children:
            inside = look(location_in(root, target.path + b"/" + name))
            if inside is not None and [inside.stat.inode, inside.stat.device] == child:
                return True
    except AssistError:
        pass  # nothing can be said
    return False
