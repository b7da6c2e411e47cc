"""Patterns as `.gitignore` has them: which names they leave out, and which line says so. Pure.

pathspec knows the syntax. What decides is git's own way of looking, not a match of whole paths: each name is asked for
alone while the tree is descended, and below a folder that is left out nothing is asked. So a pattern must match the
very name, never only a folder above it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

IGNORE_NAME = b".ppignore"
MAX_IGNORE_BYTES = 1 << 20
"""More than that is no list of patterns."""

SETTING = "setting"
EXCLUDE = "exclude"
ROOT = "root"

_BRACKETS = re.compile(r"\\.|(\[[!^]?\]?[^\]]*\])", re.DOTALL)
_REGEX_SETS = re.compile(r"\\.|(\[\^?\]?[^\]]*\])", re.DOTALL)
_EVERYTHING, _EVERY_FOLDER = ".", ("/", "(?P<ps_d>/)")  # pathspec's short ways to say so

_STAR = r"\[\^/\]\*"
_ONE = r"(?:\\.|\(\?!/\)\[\^?\]?[^\]]*\]|\[\^/\](?![*+])|[^\\/\[\]()*+?])"
_FIRST, _WITHIN = r"\(\?:\.\+/\)\?", r"\(\?:/\.\+\)\?/"
_NAMES = f"(?:(?!{_FIRST}|{_WITHIN}).)+?"
"""What pathspec makes of a `*`, of anything that is one character, of `**/` and `/**/`, of the names between these."""


class Rule(NamedTuple):
    """What a person wrote that leaves something out, and where."""

    pattern: str
    source: str
    """setting, exclude (added while we run), root, or the absolute path of a `.ppignore` (as it is shown to people)."""
    line: int | None
    """From 1; of a list of patterns, the place in the list. None for a setting that is no list."""


class BadPattern(ValueError):
    """A pattern means nothing; the message says why."""


class Problem(NamedTuple):
    """A line of a `.ppignore` that counts for nothing."""

    source: str
    line: int | None
    """None: the whole of it."""
    pattern: str
    text: str


class Pattern(NamedTuple):
    """One line that means something."""

    rule: Rule
    leaves_out: bool
    """False: what an earlier line leaves out is taken in again."""
    regex: re.Pattern[str]


class PatternList:
    """The patterns of one source, in their order: the last one that matches decides."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        self._latest_first = tuple(patterns)[::-1]
        together = "|".join(f"(?:{pattern.regex.pattern})" for pattern in self._latest_first)
        self._any = re.compile(together, re.DOTALL)

    def __bool__(self) -> bool:
        return bool(self._latest_first)

    def find(self, path: str) -> Pattern | None:
        """Return the pattern that decides about *path* (a folder's ends with a slash), or None."""
        if self._any.fullmatch(path) is None:  # most names: one step, however many patterns there are
            return None
        return next((pattern for pattern in self._latest_first if pattern.regex.fullmatch(path)), None)


@dataclass(frozen=True, slots=True)
class Level:
    """The patterns of one source and the directory (relative to the root) from which their paths are counted."""

    base: bytes
    patterns: PatternList


class Judge:
    """All patterns that count in one directory, prepared: asking for a name costs little, and nothing without any."""

    def __init__(self, levels: Sequence[Level], directory: bytes) -> None:
        self.levels = [(level.patterns, _below(level.base, directory)) for level in reversed(levels) if level.patterns]

    def __bool__(self) -> bool:
        return bool(self.levels)

    def rule(self, name: bytes, is_folder: bool) -> Rule | None:
        """Return the rule that leaves *name* out, or None. The deepest source that says anything decides."""
        text = decode(name) + "/" if is_folder else decode(name)
        for patterns, prefix in self.levels:
            if found := patterns.find(prefix + text):
                return found.rule if found.leaves_out else None
        return None


def _below(base: bytes, directory: bytes) -> str:
    """Return what stands before a name in *directory* when paths are counted from *base*."""
    relative = directory[len(base) :].strip(b"/")
    return decode(relative) + "/" if relative else ""


def decode(name: bytes) -> str:
    """Return *name* as patterns see it; bytes that are no UTF-8 stay what they are, each one character."""
    return name.decode("utf-8", "surrogateescape")


def parse(lines: Iterable[str], source: str) -> tuple[PatternList, list[Problem]]:
    """Return the patterns in *lines* of *source*, and the lines that mean nothing."""
    patterns: list[Pattern] = []
    problems: list[Problem] = []
    for number, line in enumerate(lines, 1):
        text = _trimmed(line)
        if not text or text.startswith("#"):
            continue
        shown = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        try:
            regex = translate(text)
        except BadPattern as error:
            problems.append(Problem(source, number, shown, str(error)))
        else:
            patterns.append(Pattern(Rule(shown, source, number), not text.startswith("!"), regex))
    return PatternList(patterns), problems


@lru_cache(maxsize=1024)
def parse_file(content: bytes, source: str) -> tuple[PatternList, tuple[Problem, ...]]:
    """`parse` for the content of a `.ppignore`, remembered: every look at a directory asks again."""
    patterns, problems = parse(decode(content.removeprefix(b"\xef\xbb\xbf")).split("\n"), source)
    return patterns, tuple(problems)


@lru_cache(maxsize=1024)
def parse_list(patterns: tuple[str, ...], source: str) -> PatternList:
    """`parse` for patterns that were checked one by one when they were set."""
    return parse(patterns, source)[0]


def checked(pattern: str) -> str:
    """Return *pattern*, one of a list in the settings or of a root.

    Raises:
        BadPattern: it would mean nothing.
    """
    text = _trimmed(pattern)
    if not text or text.startswith("#") or "\n" in text or "\0" in text:
        raise BadPattern(f"{pattern!r}: no pattern")
    try:
        text.encode()
        translate(text)
    except ValueError as error:
        raise BadPattern(f"{pattern!r}: {error}") from error
    return pattern


def _trimmed(line: str) -> str:
    """Return *line* without the spaces at its end, but for one that a backslash keeps."""
    line = line.removesuffix("\r")
    text = line.rstrip(" ")
    backslashes = len(text) - len(text.rstrip("\\"))
    return text + " " if backslashes % 2 and len(text) < len(line) else text


def translate(text: str) -> re.Pattern[str]:
    """Return what matches exactly the paths *text* names: a folder's path ends with a slash.

    Raises:
        BadPattern: it means nothing, or nothing that we know.
    """
    bare = re.sub(r"\*{3,}", "**", text.removeprefix("!"))
    if not bare.strip("/"):
        raise BadPattern("it names nothing")
    for brackets in _BRACKETS.findall(bare):
        if "\\" in brackets or "[:" in brackets[1:] or "--" in brackets:
            raise BadPattern(f"{brackets}: no backslash, [:class:] or -- between brackets")
    if bare.endswith(("/**", "/**/")):  # everything below, at any depth, and not the folder itself
        bare = re.sub(r"/\*\*(/?)$", r"/**/*\1", bare)
    try:
        regex, _ = GitIgnoreSpecPattern.pattern_to_regex(bare if bare[0] not in "!#" else "\\" + bare)
    except ValueError as error:
        raise BadPattern("a backslash with nothing behind it") from error
    if regex is None:
        raise BadPattern("a bracket that is not closed")
    if regex in (_EVERYTHING, *_EVERY_FOLDER):
        regex = ".+" if regex == _EVERYTHING else ".+/"
    else:
        regex = _steady(_REGEX_SETS.sub(_no_slash, regex.replace(_EVERY_FOLDER[1], "/")))
    try:
        return re.compile(regex, re.DOTALL)
    except re.error as error:
        raise BadPattern(f"a bracket that cannot be: {error}") from error


def _steady(regex: str) -> str:
    """Return what matches the same, in time that does not explode with the number of wildcards.

    What stands between two `*` of a name, or two `**` of a path, may as well be found at the first place where it can
    be: the wildcard behind it takes whatever follows. So no other place is ever tried (``(?>...)``).
    """
    regex = re.sub(f"(?:{_STAR}){{2,}}", "[^/]*", regex)
    regex = re.sub(f"{_STAR}({_ONE}+)(?={_STAR})", r"(?>[^/]*?\1)", regex)
    regex = re.sub(f"{_FIRST}({_NAMES})(?={_WITHIN})", r"(?>(?:.+?/)??\1(?=/))", regex)
    return re.sub(f"{_WITHIN}({_NAMES})(?={_WITHIN})", r"(?>(?:/.+?)??/\1(?=/))", regex)


def _no_slash(found: re.Match[str]) -> str:
    """Let a set match no slash, as a name has none, and let what is special to Python alone be plain."""
    if found[1] in (None, "[^/]"):  # the second is pathspec's own, for * and ?
        return found[0]
    return "(?!/)[" + re.sub(r"([\[&~|])", r"\\\1", found[1][1:])
