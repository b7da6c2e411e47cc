"""The `.ppignore` files of a tree: read anew at each look at their directory, so they say what counts now. Blocking."""

import errno
import logging
import os
import stat
from collections.abc import Iterable, Mapping, Sequence

from pp_assist import posix
from pp_assist.core.model import Listing, Root
from pp_assist.core.patterns import IGNORE_NAME, MAX_IGNORE_BYTES, Judge, Level, Problem, parse_file
from pp_assist.core.rules import Rules
from pp_assist.disk import GONE, opened_directory
from pp_server.wire.names import display

log = logging.getLogger(__name__)

Levels = tuple[Level, ...]


class Ignores:
    """What the `.ppignore` files of one root say, for one walk or one set of looks."""

    def __init__(self, root: Root, rules: Rules, root_fd: int) -> None:
        self._shown = root.shown.rstrip(b"/")
        self._rules = rules
        self._root_fd = root_fd
        self._read: dict[bytes, tuple[Levels, tuple[Problem, ...]]] = {}

    def reach(self, directory: bytes) -> tuple[bytes, Levels]:
        """Return how far down towards *directory* anything is looked at at all, and the patterns that count there.

        That is *directory* itself, or the one in which the outermost folder lies that a pattern leaves out.
        """
        here, levels = b"", self._rules.levels
        for name in [*directory.split(b"/"), b""] if directory else [b""]:
            if here not in self._read:
                self._read[here] = self.of(here)
            levels += self._read[here][0]
            if not name or Judge(levels, here).rule(name, is_folder=True):
                break
            here = here + b"/" + name if here else name
        return here, levels

    def above(self, directory: bytes, levels: Levels) -> Levels:
        """Return those of *levels*, which count in *directory*, that are not its own; it was reached before."""
        return levels[: len(levels) - len(self._read[directory][0])]

    def of(self, directory: bytes, directory_fd: int | None = None) -> tuple[Levels, tuple[Problem, ...]]:
        """Return what the `.ppignore` of *directory* says (no level: there is none), and what in it means nothing."""
        source = display(b"/".join([self._shown, *([directory] if directory else []), IGNORE_NAME]))
        try:
            if directory_fd is None:
                with opened_directory(self._root_fd, directory) as fd:
                    content = _content(fd)
            else:
                content = _content(directory_fd)
        except OSError as error:
            if error.errno in (*GONE, errno.ELOOP, errno.EXDEV):  # none, or not below this root
                return (), ()
            return (), (Problem(source, None, "", f"cannot read it: {error.strerror}"),)
        patterns, problems = parse_file(content, source)
        return (Level(directory, patterns),), problems


def _content(directory_fd: int) -> bytes:
    fd = os.open(IGNORE_NAME, posix.OPEN_FILE, dir_fd=directory_fd)
    with posix.opened(fd):
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.ENOENT, "no regular file")
        content = posix.pread(fd, MAX_IGNORE_BYTES + 1, 0)
    if len(content) > MAX_IGNORE_BYTES:
        raise OSError(errno.EFBIG, "too large for a list of patterns")
    return content


class RuleProblems:
    """The lines of all `.ppignore` files that count for nothing, as of the last look at each."""

    def __init__(self) -> None:
        self._of: dict[tuple[int, bytes], tuple[Problem, ...]] = {}

    def note(self, root_id: int, listings: Sequence[Listing]) -> None:
        """Remember what whole *listings* have found, and log what is new."""
        for listing in listings:
            key = (root_id, listing.directory)
            if listing.asked is not None or (not listing.rule_problems and key not in self._of):
                continue
            for problem in listing.rule_problems:
                if problem not in self._of.get(key, ()):
                    log.warning("%s, line %s: %s: %s", problem.source, problem.line, problem.pattern, problem.text)
            self._of[key] = listing.rule_problems
            if not listing.rule_problems:
                del self._of[key]

    def are_in(self, root_id: int, directory: bytes) -> bool:
        """Say whether there are any in a directory."""
        return (root_id, directory) in self._of

    def of(self, root_id: int) -> list[Problem]:
        """Return those of one root, by source and line."""
        found = [problem for (root, _), problems in self._of.items() if root == root_id for problem in problems]
        return sorted(found, key=lambda problem: (problem.source, problem.line or 0))


def reachable(
    ignores: Ignores, places: Iterable[tuple[bytes, Mapping[bytes, bool]]]
) -> dict[bytes, tuple[Levels, dict[bytes, bool]]]:
    """Return directory → (patterns, names) for *places*; for one in a folder that is left out, that folder's name."""
    found: dict[bytes, tuple[Levels, dict[bytes, bool]]] = {}
    for directory, names in places:
        where, levels = ignores.reach(directory)
        if where != directory:
            left_out = directory[len(where) :].lstrip(b"/").partition(b"/")[0]
            found.setdefault(where, (levels, {}))[1][left_out] = False
        else:
            found.setdefault(where, (levels, {}))[1].update(names)
    return found
