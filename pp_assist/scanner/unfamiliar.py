"""What a walk hands on to be written down: only what does not look as it is known. Blocking."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from pp_assist import posix
from pp_assist.core.compare import Look, compare
from pp_assist.core.familiar import Facts, KnownPart, unfamiliar
from pp_assist.core.model import KnownFile, Listing, Part, Snapshot
from pp_assist.core.rules import Rules
from pp_assist.disk import snapshot_of

Seen = Sequence[tuple[bytes, os.stat_result]]
"""Names, and what lstat says about them."""


class Memory(Protocol):
    """What is known of one root. Any moment since the walk began will do."""

    def part(self, directory: bytes, part: Part) -> KnownPart | None:
        """Return what is known of a part of *directory*; None where it was not listed, or not as a whole."""

    def files(self, directory_id: int, names: Collection[bytes]) -> dict[bytes, KnownFile]:
        """Return the rows of *names* in a directory."""


class Unfamiliar:
    """Leaves out of listings what is exactly as known."""

    def __init__(self, tree: Memory, rules: Rules, look: Callable[[], Look], is_noted: Callable[[bytes], bool]) -> None:
        self._tree = tree
        self._rules = rules
        self._look = look
        self._is_noted = is_noted
        """Says of a directory that its `.ppignore` had lines that mean nothing."""

    def names(self, told: Listing, seen: Seen, folders: Mapping[bytes, Snapshot]) -> Collection[bytes] | None:
        """Return the names in a part of a directory about which something is to be written down; None: it is about
        the directory itself.

        *told* is the listing, still without entries; *folders* are the directories among what was *seen*.
        """
        if told.problem or told.is_server_data or told.rule_problems or self._is_noted(told.directory):
            return None
        known = self._tree.part(told.directory, told.part)
        if known is None:
            return None
        kind_of, bits = posix.FILE_TYPES.get, posix.TYPE_BITS
        facts: list[Facts] = [  # numbers too large for our tables are unfamiliar, and looked at as others are
            (name, kind_of(s.st_mode & bits, ""), s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino, s.st_dev)
            for name, s in seen
        ]
        judge = self._rules.judge(told)
        names = unfamiliar(facts, known, folders.values(), told.directory, judge, self._rules)
        if not names:
            return ()
        listing = replace(told, entries=entries_of(seen, folders, names), asked=frozenset(names))
        rows = self._tree.files(known.directory_id, names)
        return () if compare(listing, rows, known.children, self._rules, self._look()).is_nothing else names


def entries_of(
    seen: Seen, folders: Mapping[bytes, Snapshot], names: Collection[bytes] | None = None
) -> tuple[Snapshot, ...]:
    """Return what was *seen*, of *names* (None: of all), as values."""
    return tuple(
        folders.get(name) or snapshot_of(name, found) for name, found in seen if names is None or name in names
    )
