"""Path modes: the table of docs/indexedcp.md, and names that never lead anywhere else."""

import os
import random
import re

import pytest

from pp_server.indexedcp.names import NameRefused, OutsideRefused, PathMode, other, place

STAMP = "1730728950123_a1b2c3d4"
NO = None

TABLE: list[tuple[str, str, str | None, str | None]] = [  # name, ignore (without T_R_), sanitize, allow-paths
    ("data.csv", "data.csv", "data.csv", "data.csv"),
    ("./data.csv", "data.csv", "data.csv", "data.csv"),
    ("reports/2024/data.csv", "reports_2024_data.csv", NO, "reports/2024/data.csv"),
    ("docs\\win\\p.docx", "docs_win_p.docx", NO, "docs/win/p.docx"),
    ("my document.txt", "my-document.txt", "my document.txt", "my document.txt"),
    ("folder/file (copy) [2].txt", "folder_file--copy---2-.txt", NO, "folder/file (copy) [2].txt"),
    ("a//b.txt", "a__b.txt", NO, "a/b.txt"),
    ("../etc/passwd", ".._etc_passwd", NO, NO),
    ("foo/../../x", "foo_.._.._x", NO, NO),
    ("/etc/passwd", "_etc_passwd", NO, NO),
    ("C:\\x", "C-_x", NO, NO),
    ("C:f.txt", "C-f.txt", NO, NO),
    ("\\\\srv\\s\\f", "__srv_s_f", NO, NO),
    ("..%2F..%2Fetc", "..-2F..%2Fetc", NO, NO),
    ("my..file.txt", "my..file.txt", NO, NO),
    (".", ".", NO, NO),
    ("..", "..", NO, NO),
    ("/", "_", NO, NO),
    ("", "", NO, NO),
    ("né文.txt", "né文.txt", "né文.txt", "né文.txt"),
    ("x:y.txt", "x-y.txt", NO, NO),
    ("a\0b.txt", "a-b.txt", NO, NO),
    ("folder/", "folder_", NO, NO),
    ("CON", "CON", NO, NO),
    ("lpt1.txt", "lpt1.txt", NO, NO),
    ("console.txt", "console.txt", "console.txt", "console.txt"),
    ("ends.", "ends.", NO, NO),
    ("ends ", "ends-", NO, NO),
    (".indexcp_chunks.db", ".indexcp_chunks.db", NO, NO),
    ("line\nbreak.txt", "line-break.txt", NO, NO),
    ("x" * 256, "x" * 232, NO, NO),
]


@pytest.mark.parametrize(("name", "ignore", "sanitize", "paths"), TABLE, ids=[repr(row[0])[:30] for row in TABLE])
def test_the_table(name: str, ignore: str, sanitize: str | None, paths: str | None) -> None:
    assert place(name, PathMode.IGNORE, STAMP) == (f"{STAMP}_{ignore}",)
    for mode, wanted in ((PathMode.SANITIZE, sanitize), (PathMode.ALLOW_PATHS, paths)):
        if wanted is None:
            with pytest.raises(NameRefused):
                place(name, mode, STAMP)
        else:
            assert place(name, mode, STAMP) == tuple(wanted.split("/"))


def test_an_option_strips_paths() -> None:
    assert place("reports/2024/data.csv", PathMode.SANITIZE, STAMP, strip_paths=True) == ("data.csv",)
    assert place("docs\\win\\p.docx", PathMode.SANITIZE, STAMP, strip_paths=True) == ("p.docx",)
    for name in ("../x", "/etc/passwd", "C:\\x", "a/", "a/CON", ""):
        with pytest.raises(NameRefused):
            place(name, PathMode.SANITIZE, STAMP, strip_paths=True)


def test_a_nul_byte_leads_outside() -> None:
    with pytest.raises(OutsideRefused):
        place("a\0b", PathMode.SANITIZE, STAMP)


def test_a_long_name_loses_its_middle_and_keeps_its_extension() -> None:
    [name] = place("é" * 300 + ".tar.gz", PathMode.IGNORE, STAMP)
    assert len(os.fsencode(name)) <= 255 and name.endswith(".gz") and name.startswith(f"{STAMP}_é")
    [beside] = other(("y" * 250 + ".txt",), STAMP)
    assert len(beside) == 255 and beside.endswith(".txt")


def test_beside_a_name_that_is_taken() -> None:
    assert other(("a", "report.pdf"), "17") == ("a", "report_17.pdf")


def corpus(count: int = 5000, seed: int = 7) -> list[str]:
    """Names that try to get out: pieces of traversal, encodings, drives, devices, controls, long ones."""
    chance = random.Random(seed)
    pieces = ["..", ".", "/", "\\", "//", "...", "%2e%2e", "%2F", "%5c", "..;", "\0", "C:", "~", "etc", "passwd", "é"]
    pieces += ["\u2215", "\uff0e\uff0e", "\u2024", "nul", "CON", " ", "\t", "\n", ":", "?", "*", "file.txt", "\udcff"]
    pieces += ["$HOME", "`x`", ".indexcp_", "x" * 300, "\\\\?\\", "\u202e", "a\u0301", "&", "|"]
    return ["".join(chance.choices(pieces, k=chance.randint(1, 7))) for _ in range(count)]


@pytest.mark.parametrize("mode", list(PathMode))
def test_whatever_is_sent_stays_inside(mode: PathMode) -> None:
    for name in corpus():
        try:
            parts = place(name, mode, STAMP)
        except NameRefused:
            assert mode is not PathMode.IGNORE
            continue
        for part in parts:
            assert part not in ("", ".", "..") and not re.search(r"[/\\\0]", part)
            assert len(part.encode("utf-8", "surrogateescape")) <= 255
            assert not part.startswith(".indexcp_")
