"""Patterns: tables of what they leave out, and the same answers as git gives on trees nobody thought of."""

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pp_assist.core.patterns import BadPattern, Judge, Level, Rule, checked, parse, parse_file, translate


def left_out(path: bytes, *lines: str, base: bytes = b"") -> bool:
    """Ask for the name at the end of *path* (a folder's path ends with a slash)."""
    directory, _, name = path.rstrip(b"/").rpartition(b"/")
    patterns, problems = parse(lines, "setting")
    assert not problems
    return Judge([Level(base, patterns)], directory).rule(name, path.endswith(b"/")) is not None


@pytest.mark.parametrize(
    ("line", "yes", "no"),
    [
        ("foo", [b"foo", b"foo/", b"a/foo", b"a/foo/"], [b"foobar", b"afoo", b"foo/x"]),
        ("foo/", [b"foo/", b"a/foo/"], [b"foo", b"a/foo", b"foo/x"]),
        ("/foo", [b"foo", b"foo/"], [b"a/foo"]),
        ("a/b", [b"a/b", b"a/b/"], [b"x/a/b", b"a/b/c"]),
        ("*.o", [b"x.o", b"a/b/x.o", b".o", b"x.o/"], [b"x.oo", b"x.o/y"]),
        ("a/*.o", [b"a/x.o"], [b"a/b/x.o", b"x.o"]),
        ("**/a/b", [b"a/b", b"x/a/b", b"x/y/a/b"], [b"a/x/b"]),
        ("a/**/b", [b"a/b", b"a/x/b", b"a/x/y/b"], [b"x/a/b", b"a/xb"]),
        ("a/**", [b"a/x", b"a/x/y", b"a/x/"], [b"a", b"a/"]),
        ("a/**/", [b"a/x/", b"a/x/y/"], [b"a/", b"a/x"]),
        ("*", [b"a", b"a/", b"a/b"], []),
        ("**", [b"a", b"a/b"], []),
        ("*/", [b"a/", b"a/b/"], [b"a", b"a/b"]),
        ("/*", [b"a", b"a/"], [b"a/b"]),
        ("/**", [b"a", b"a/b"], []),
        ("f?o", [b"foo", b"f\xc3\xa9o", b"f\xe9o"], [b"fo", b"f/o"]),
        ("x[ab]y", [b"xay"], [b"xcy"]),
        ("x[!ab]y", [b"xcy"], [b"xay", b"x/y"]),
        ("x[^ab]y", [b"xcy"], [b"xby"]),
        ("x[+-9]y", [b"x.y"], [b"x/y"]),
        ("[[]a", [b"[a"], [b"a"]),
        ("[]&&|~]", [b"&", b"]", b"|"], [b"a"]),
        ("a***b", [b"ab", b"axxb"], [b"a/b"]),
        (r"\#a", [b"#a"], []),
        (r"\!a", [b"!a"], [b"a"]),
        (r"a\*", [b"a*"], [b"ab"]),
        (r"a\ ", [b"a "], [b"a"]),
        ("a   ", [b"a"], [b"a   "]),
        (" a", [b" a"], [b"a"]),
        ("a.b", [b"a.b"], [b"axb"]),
        ("caf\udce9", [b"caf\xe9"], [b"caf\xc3\xa9"]),
        ("*.log", [b"new\nline.log", b"caf\xe9.log", b"d\n/x.log"], [b"x.log\n"]),
        ("a/*/c", [b"a/\xff/c"], [b"a/c"]),
    ],
)  # fmt: skip
def test_what_one_pattern_means(line: str, yes: list[bytes], no: list[bytes]) -> None:
    assert [path for path in yes if not left_out(path, line)] == []
    assert [path for path in no if left_out(path, line)] == []


def test_the_last_line_that_matches_decides() -> None:
    assert left_out(b"a.txt", "*.txt")
    assert not left_out(b"a.txt", "*.txt", "!a.txt")
    assert left_out(b"a.txt", "!a.txt", "*.txt")
    assert left_out(b"docs/x.txt", "*.txt", "!docs/"), "the folder is taken in again, not what lies in it"


def test_paths_are_counted_from_the_source() -> None:
    assert left_out(b"a/b", "/b", base=b"a")
    assert left_out(b"b", "/b")
    assert not left_out(b"a/c/b", "/b", base=b"a")
    assert left_out(b"a/c/b", "c/b", base=b"a")


def test_the_deeper_source_decides_and_is_named() -> None:
    outer, _ = parse(["*.o"], "setting")
    inner, _ = parse(["", "# taken in again", "!keep.o", "*.c"], "/root/a/.ppignore")
    judge = Judge([Level(b"", outer), Level(b"a", inner)], b"a")
    assert judge.rule(b"keep.o", False) is None
    assert judge.rule(b"x.o", False) == Rule("*.o", "setting", 1)
    assert judge.rule(b"x.c", False) == Rule("*.c", "/root/a/.ppignore", 4)


def test_without_patterns_there_is_nothing_to_ask() -> None:
    assert not Judge([], b"a")
    assert not Judge([Level(b"", parse(["# nothing", ""], "setting")[0])], b"a")


@pytest.mark.parametrize("bad", ["a[b", "a\\", "/", "!", "//", "[z-a]", "[[:alpha:]]", "[a\\]b]"])
def test_a_bad_line_is_named_and_the_rest_counts(bad: str) -> None:
    patterns, problems = parse_file(f"{bad}\r\n*.o\r\n".encode(), "/x/.ppignore")
    assert [(problem.source, problem.line, problem.pattern) for problem in problems] == [("/x/.ppignore", 1, bad)]
    assert patterns.find("a.o")
    with pytest.raises(BadPattern, match=r"bracket|backslash|nothing"):
        translate(bad)


@pytest.mark.parametrize("bad", ["", "  ", "# comment", "a\nb", "a[", "a\0"])
def test_a_list_takes_only_patterns(bad: str) -> None:
    with pytest.raises(BadPattern):
        checked(bad)
    assert checked("*.o") == "*.o"


def test_a_mark_of_utf8_at_the_start_is_no_part_of_the_first_pattern() -> None:
    patterns, _ = parse_file(b"\xef\xbb\xbf*.o\n", "x")
    assert patterns.find("a.o")


# -- the same as git

NAMES = ["a", "b", "c", "ab", "a.o", "b.o", "a.c", "foo", "x-y"]
PIECES = ["a", "b", "*", "?", "**", "*.o", "a*", "[ab]", "[!a]", "foo", "f?o", "*b", "x[^a]y", "[+-9]"]


def random_pattern(chance: random.Random) -> str:
    text = "/".join(chance.choices(PIECES, k=chance.choice([1, 1, 1, 2, 2, 3])))
    return chance.choice(["", "", "!"]) + chance.choice(["", "", "/"]) + text + chance.choice(["", "", "/"])


def random_tree(chance: random.Random, folder: Path, depth: int = 0) -> None:
    for name in chance.sample(NAMES, 5):
        if depth < 3 and chance.random() < 0.5:
            (folder / name).mkdir()
            random_tree(chance, folder / name, depth + 1)
        else:
            (folder / name).write_text("")
    if depth == 0 or chance.random() < 0.3:
        (folder / ".gitignore").write_text("\n".join(random_pattern(chance) for _ in range(chance.randint(1, 6))))


def ours(root: Path) -> dict[str, tuple[str, int, str]]:
    """Return each path that is left out, outermost only, with source, line and pattern."""
    found: dict[str, tuple[str, int, str]] = {}

    def visit(directory: str, levels: list[Level]) -> None:
        file = root / directory / ".gitignore"
        if file.exists():
            source = str(file.relative_to(root))
            levels = [*levels, Level(directory.encode(), parse_file(file.read_bytes(), source)[0])]
        judge = Judge(levels, directory.encode())
        for entry in (root / directory).iterdir():
            if entry.name == ".git":
                continue
            path = str(entry.relative_to(root))
            if rule := judge.rule(entry.name.encode(), entry.is_dir()):
                found[path] = (rule.source, rule.line or 0, rule.pattern)
            elif entry.is_dir():
                visit(path, levels)

    visit("", [])
    return found


def gits(root: Path) -> dict[str, tuple[str, int, str]]:
    paths = sorted(str(path.relative_to(root)) for path in root.rglob("*") if ".git" not in path.parts)
    command = ["git", "-C", str(root), "check-ignore", "--no-index", "-v", "-z", "--stdin"]
    made = subprocess.run(command, input="\0".join(paths).encode(), capture_output=True, check=False)
    assert made.returncode in (0, 1), made.stderr
    fields = made.stdout.decode().split("\0")[:-1]
    rows = [fields[n : n + 4] for n in range(0, len(fields), 4)]
    told = {path: (source, int(line), pattern) for source, line, pattern, path in rows if not pattern.startswith("!")}
    return {path: rule for path, rule in told.items() if not any(str(above) in told for above in Path(path).parents)}


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize("seed", range(12))
def test_git_says_the_same_of_a_random_tree(tmp_path: Path, seed: int) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    random_tree(random.Random(seed), tmp_path)
    expected = gits(tmp_path)
    assert ours(tmp_path) == {path: rule for path, rule in expected.items() if not path.startswith(".git/")}


PIECES = ["*", "*", "**", "/", "a", "b", "?", "[ab]", "[!a]", "**/", "/**/", "a", r"\*", "."]


def test_wildcards_match_the_same_whether_one_place_is_tried_or_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, patterns, matched = random.Random(7), 0, 0
    while patterns < 1500:
        text = "".join(rng.choices(PIECES, k=rng.randint(1, 10)))
        try:
            quick = translate(text)
        except BadPattern:
            continue
        with monkeypatch.context() as changed:
            changed.setattr("pp_assist.core.patterns._steady", lambda regex: regex)
            every = translate(text)
        patterns += 1
        for _ in range(40):
            path = "/".join(filter(None, "".join(rng.choices("aab/*.", k=rng.randint(1, 10))).split("/")))
            path += rng.choice(["", "/"])
            assert bool(quick.fullmatch(path)) == bool(every.fullmatch(path)), (text, path)
            matched += every.fullmatch(path) is not None
    assert matched > 3000


SLOW = [
    ("*a" * 30 + "b", "a" * 255),
    ("*?a" * 20 + "b", "a" * 255),
    ("*[ab]" * 20 + "c", "a" * 255),
    ("**/a/" * 12 + "b", "/".join("a" * 200)),
    ("**/*a*/" * 10 + "b", "/".join(["aaa"] * 100)),
]


@pytest.mark.parametrize(("pattern", "path"), SLOW)
def test_no_pattern_takes_for_ever(pattern: str, path: str) -> None:
    """One `.ppignore` and one name would stop the whole daemon: nothing else runs while Python matches."""
    ask = f"from pp_assist.core.patterns import translate; print(translate({pattern!r}).fullmatch({path!r}))"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "None"
