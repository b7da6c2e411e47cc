"""Which names in a directory look exactly as they are known: at a glance, as sets, for most of what a scan sees. Pure.

What is not familiar is compared one by one (`compare`). In doubt a name is not familiar.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from pp_assist.core.fetching import PARTIAL_PREFIX
from pp_assist.core.model import Kind, Snapshot
from pp_assist.core.patterns import Judge
from pp_assist.core.rules import SYSTEM_JUNK, Rules
from pp_server.wire.chunks import MIB

Facts = tuple[bytes, str | None, int, int, int, int, int]
"""Name, kind and the fields of `Stat`: how a name looks, or how it must look for nothing to follow. One that is known
and has no kind must be compared however it looks."""


@dataclass(frozen=True, slots=True)
class KnownPart:
    """What is known of a part of a directory that was listed before, without an error."""

    directory_id: int
    facts: list[Facts]
    """Of every name that is known there."""
    children: list[bytes]
    """Names of the directories in it that were listed before."""


def unfamiliar(
    seen: Collection[Facts],
    known: KnownPart,
    folders: Iterable[Snapshot],
    directory: bytes,
    judge: Judge,
    rules: Rules,
) -> set[bytes]:
    """Return the names in (a part of) *directory* about which `compare` may have something to say.

    *folders* are the directories among those *seen*.
    """
    names = {facts[0] for facts in set(seen).symmetric_difference(known.facts)}
    names |= _judged(seen, folders, directory, judge, rules)
    if known.children:
        names.update(set(known.children).difference(facts[0] for facts in seen if facts[1] == Kind.DIR))
    return names


def _judged(
    seen: Collection[Facts], folders: Iterable[Snapshot], directory: bytes, judge: Judge, rules: Rules
) -> set[bytes]:
    """Return the names that a rule may leave out, or may not support."""
    names = [facts[0] for facts in seen]
    if names and max(map(len, names)) > rules.room(directory):
        return set(names)
    found = set(SYSTEM_JUNK.intersection(names))
    found |= {name for name in names if name.startswith(PARTIAL_PREFIX)}
    found |= {folder.name for folder in folders if not rules.recursive or rules.excluded(folder, judge)}
    if judge:
        found |= {facts[0] for facts in seen if judge.rule(facts[0], facts[1] == Kind.DIR)}
    if rules.max_size_mb:
        found |= {facts[0] for facts in seen if facts[2] > rules.max_size_mb * MIB}
    return found
