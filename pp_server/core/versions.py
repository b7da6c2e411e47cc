"""What becomes of operations on paths: pure, from the newest version of each path to rows and outcomes.

A *plan* takes operations in order, each seeing what those before it did, and collects the rows that make them true.
One rule decides every case: a version is applied only if its generation is newer than its path's newest one; an equal
one with equal content is a repeat, and gets what the first got.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from pp_server.core.model import Facts, VersionStatus
from pp_server.core.trees import Moved
from pp_server.wire.digest import Digest


class Version(NamedTuple):
    """One version of one path of one host. *sequence* numbers all versions of the server."""

    sequence: int
    path: bytes
    gen: int
    status: VersionStatus
    is_head: bool
    facts: Facts
    sha256: Digest | None
    size_bytes: int
    stored_ms: int
    deleted_ms: int | None = None

    @property
    def is_live(self) -> bool:
        """Say whether the path exists in this version."""
        return self.status is VersionStatus.ACTIVE

    @property
    def is_nothing(self) -> bool:
        """Say whether it is a tombstone of what was never here."""
        return not self.is_live and self.facts.kind == "file" and self.sha256 is None


class Put(NamedTuple):
    """A new version of a path. *gen* None: newer than everything of its host."""

    path: bytes
    gen: int | None
    facts: Facts
    sha256: Digest | None
    size_bytes: int


class Delete(NamedTuple):
    """A path that is gone. Without *gen* it must hold *sha256* now; without *sha256*, whatever it holds."""

    path: bytes
    gen: int | None
    sha256: Digest | None


class Move(NamedTuple):
    """*source* is at *path* now. Facts that are not None replace those of the source."""

    path: bytes
    source: bytes
    gen: int
    facts: Facts
    sha256: Digest | None


class Attributes(NamedTuple):
    """The content of *path* stays. Facts that are not None replace the old ones."""

    path: bytes
    gen: int
    facts: Facts
    sha256: Digest | None


Operation = Put | Delete | Move | Attributes


class Verdict(StrEnum):
    """What became of an operation."""

    STORED = "stored"
    DELETED = "deleted"
    MISSING = "missing"
    """The content is not there."""
    STALE = "stale"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    """A directory is not as its mover thinks."""


class Outcome(NamedTuple):
    """A verdict, the version it is about, and for a move the tombstone at its source; or the directory that moved."""

    verdict: Verdict
    version: Version | None = None
    source: Version | None = None
    gen: int | None = None
    moved: Moved | None = None


class Plan:
    """Operations on the paths of one host, and what they come to.

    *heads* are the newest versions of all paths concerned; *contents* the sizes of the contents that may be used.
    """

    def __init__(
        self,
        heads: Mapping[bytes, Version],
        contents: Mapping[Digest, int],
        highest_gen: int,
        next_sequence: int,
        now_ms: int,
    ) -> None:
        self._heads = dict(heads)
        self._contents = contents
        self._next_sequence = next_sequence
        self._now_ms = now_ms
        self._added: dict[int, Version] = {}
        self.recorded: list[Version] = []
        """The new versions, each as it was when it was new."""
        self.highest_gen = highest_gen
        self.stepped_down: dict[int, VersionStatus] = {}
        """Versions that were heads before, and what they are from now on."""
        self.deletions = 0

    @property
    def added(self) -> list[Version]:
        """The new versions, in order of their sequence, as they stand after all operations."""
        return list(self._added.values())

    def apply(self, operation: Operation) -> Outcome:
        """Apply one operation after those before it."""
        match operation:
            case Put():  # nearly all are
                return self._put(operation)
            case Delete():
                return self._delete(operation)
            case Move():
                return self._move(operation)
            case Attributes():
                return self._change(operation)

    def _put(self, put: Put) -> Outcome:
        known = self._heads.get(put.path)
        gen = self.highest_gen + 1 if put.gen is None else put.gen
        if known is not None and known.gen >= gen:
            same = (known.gen, known.facts.kind, known.sha256) == (gen, put.facts.kind, put.sha256)
            if not same or not known.is_live or known.facts.link_target != put.facts.link_target:
                return Outcome(Verdict.STALE, gen=known.gen)
            return self._confirm(known)
        if put.sha256 is not None and self._contents.get(put.sha256) != put.size_bytes:
            return Outcome(Verdict.MISSING)
        return Outcome(Verdict.STORED, self._add(put.path, gen, put.facts, put.sha256, put.size_bytes))

    def _confirm(self, known: Version) -> Outcome:
        """A repeat of what is recorded, if the content is still good."""
        if known.sha256 is not None and known.sha256 not in self._contents:
            return Outcome(Verdict.MISSING)
        return Outcome(Verdict.STORED, known)

    def _delete(self, order: Delete) -> Outcome:
        known = self._heads.get(order.path)
        if known is None or known.is_nothing:
            return self._delete_nothing(order, known)
        is_gone = not known.is_live
        if order.gen is None:
            if is_gone and order.sha256 in (None, known.sha256):
                return Outcome(Verdict.DELETED, known, gen=known.gen)
            if is_gone or known.sha256 != order.sha256:
                return Outcome(Verdict.NOT_FOUND, known)
            gen = self.highest_gen + 1
        elif order.gen > known.gen:
            gen = order.gen
        elif order.gen == known.gen and is_gone:  # whatever digest it names: that did not matter the first time
            return Outcome(Verdict.DELETED, known, gen=known.gen)
        else:
            return Outcome(Verdict.STALE, known, gen=known.gen)
        return Outcome(Verdict.DELETED, self._add_tombstone(known, gen), gen=gen)

    def _delete_nothing(self, order: Delete, known: Version | None) -> Outcome:
        """Note the generation of an order about what was never here, if it has one: *known* notes an older order."""
        if order.gen is not None and known is not None and order.gen < known.gen:
            return Outcome(Verdict.STALE, known, gen=known.gen)
        if order.gen is not None and (known is None or order.gen > known.gen):
            self._add_tombstone_of_nothing(order.path, order.gen)
        return Outcome(Verdict.NOT_FOUND)

    def _move(self, move: Move) -> Outcome:
        source, target = self._heads.get(move.source), self._heads.get(move.path)
        if source is None:
            return Outcome(Verdict.NOT_FOUND)
        if target is not None and target.gen >= move.gen:
            repeat = target.gen == move.gen == source.gen and target.is_live and not source.is_live
            if not repeat or target.sha256 != source.sha256:
                return Outcome(Verdict.STALE, gen=target.gen)
            return self._confirm(target)._replace(source=source)
        if source.gen >= move.gen:
            return Outcome(Verdict.STALE, gen=source.gen)
        if not source.is_live or move.sha256 not in (None, source.sha256):
            return Outcome(Verdict.NOT_FOUND)
        if source.sha256 is not None and source.sha256 not in self._contents:
            return Outcome(Verdict.MISSING)
        gone = self._add_tombstone(source, move.gen)
        facts = _merged(source.facts, move.facts)
        here = self._add(move.path, move.gen, facts, source.sha256, source.size_bytes)
        return Outcome(Verdict.STORED, here, gone)

    def _change(self, change: Attributes) -> Outcome:
        known = self._heads.get(change.path)
        if known is None:
            return Outcome(Verdict.NOT_FOUND)
        facts = _merged(known.facts, change.facts)
        if known.gen >= change.gen:
            if known.gen > change.gen or not known.is_live or known.facts != facts:
                return Outcome(Verdict.STALE, gen=known.gen)
            return self._confirm(known)
        if not known.is_live or change.sha256 not in (None, known.sha256):
            return Outcome(Verdict.NOT_FOUND)
        if known.sha256 is not None and known.sha256 not in self._contents:
            return Outcome(Verdict.MISSING)
        return Outcome(Verdict.STORED, self._add(change.path, change.gen, facts, known.sha256, known.size_bytes))

    def _add_tombstone(self, known: Version, gen: int) -> Version:
        self.deletions += 1
        facts, size_bytes = known.facts, known.size_bytes
        return self._become_head(
            known.path, gen, VersionStatus.DELETED, facts, known.sha256, size_bytes, known.stored_ms, self._now_ms
        )

    def _add_tombstone_of_nothing(self, path: bytes, gen: int) -> None:
        """Let an older version of this path find itself outdated, should one arrive: an upload that is under way, or a
        request that was held up longer than its sender waited.

        It names no content, because a digest in a version is what says that the owner has that content.
        """
        now_ms = self._now_ms
        self._become_head(path, gen, VersionStatus.DELETED, Facts(), None, 0, now_ms, now_ms)

    def _add(self, path: bytes, gen: int, facts: Facts, sha256: Digest | None, size_bytes: int) -> Version:
        return self._become_head(path, gen, VersionStatus.ACTIVE, facts, sha256, size_bytes, self._now_ms, None)

    def _become_head(
        self,
        path: bytes,
        gen: int,
        status: VersionStatus,
        facts: Facts,
        sha256: Digest | None,
        size_bytes: int,
        stored_ms: int,
        deleted_ms: int | None,
    ) -> Version:
        sequence = self._next_sequence
        self._next_sequence += 1
        version = Version(sequence, path, gen, status, True, facts, sha256, size_bytes, stored_ms, deleted_ms)
        before = self._heads.get(path)
        if before is not None:
            becomes = VersionStatus.SUPERSEDED if before.is_live else before.status
            if before.sequence in self._added:
                self._added[before.sequence] = before._replace(is_head=False, status=becomes)
            else:
                self.stepped_down[before.sequence] = becomes
        self._heads[path] = self._added[sequence] = version
        self.recorded.append(version)
        self.highest_gen = max(self.highest_gen, gen)
        return version


def _merged(old: Facts, new: Facts) -> Facts:
    """Return *old* with what *new* says; neither kind nor target can change this way."""
    said = {name: value for name in CHANGEABLE if (value := getattr(new, name)) is not None}
    return old._replace(**said)


CHANGEABLE = ("mtime_ns", "mode", "uid", "gid", "user_name", "group_name")
