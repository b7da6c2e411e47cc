"""Where what comes back belongs, and streams that are not what they should be."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pp_assist.core.errors import ServerNonsense
from pp_assist.restore.command import _wanted
from pp_assist.restore.source import Source
from pp_assist.restore.streams import Pieces, contents, entries
from pp_assist.restore.wanted import Outside, relative_to, wanted
from pp_assist.restore.when import NOW, moment
from pp_server.wire.restore import TreeEntry


@pytest.mark.parametrize(
    ("path", "prefix", "relative"),
    [
        (b"/home/me/a", b"/home/me", b"a"),
        (b"/home/me/d/a", b"/home/me/", b"d/a"),
        (b"/home/me", b"/home/me", b""),
        (b"/a", b"/", b"a"),
        (b"/", b"/", b""),
        (b"/x/..a/...", b"/x", b"..a/..."),
        (b"C:/Users/a", b"C:/Users", b"a"),
    ],
)
def test_what_is_below_the_prefix_is_below_the_folder(path: bytes, prefix: bytes, relative: bytes) -> None:
    assert relative_to(path, prefix, "dir") == relative


@pytest.mark.parametrize(
    ("zone", "text", "meant"),
    [
        ("UTC", "2026-11-20", "2026-11-20T23:59:59.999000+00:00"),
        ("UTC", "2026-11-20T14:30", "2026-11-20T14:30:00+00:00"),
        ("America/New_York", "2026-11-20 14:30", "2026-11-20T19:30:00+00:00"),
        ("America/New_York", "2026-11-20T14:30:05.345Z", "2026-11-20T14:30:05.345000+00:00"),
        ("America/New_York", "1850-01-01T00:00", "1850-01-01T04:56:02+00:00"),
        ("America/Santiago", "2026-04-04", "2026-04-05T03:59:59.999000+00:00"),
    ],
)
def test_a_moment_is_what_a_person_means(zone: str, text: str, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A date is the end of the day, also of one whose last hour comes twice."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert moment(text).isoformat() == meant
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["yesterday", "", "2026-13-01", "0001-01-01T00:00+14:00", "9999-12-31T23:59-12:00"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        moment(text)


def test_one_file_keeps_its_name() -> None:
    assert relative_to(b"/home/me/a", b"/home/me/a", "file") == b"a"


@pytest.mark.parametrize(
    "path",
    [b"/home/other", b"/home/mean", b"/home/me/../other", b"/home/me/./a", b"/home/me//a", b"/home/me/a/",
     b"../home/me/a", b"home/me/a", b"/home/me/a\0b", b"/home/me/" + b"n" * 256, b"/home/me/.."],
)  # fmt: skip
def test_nothing_leads_elsewhere(path: bytes) -> None:
    with pytest.raises(Outside):
        relative_to(path, b"/home/me", "file")


@given(st.binary(max_size=30))
def test_whatever_a_server_says_every_part_is_a_name(path: bytes) -> None:
    try:
        relative = relative_to(b"/p/" + path, b"/p", "file")
    except Outside:
        return
    assert all(part not in (b"", b".", b"..") for part in relative.split(b"/"))
    assert b"\0" not in relative


def test_a_file_without_content_is_refused() -> None:
    entry = TreeEntry(filepath="/p/a", hostname="h", host_id="h", kind="file", gen=1)
    with pytest.raises(Outside):
        wanted(entry, b"/p")


async def _in_pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


A, B = "a" * 64, "b" * 64
GOOD = f'{{"sha256":"{A}","size":3}}\nx\ny{{"sha256":"{B}","size":null}}\n{{"contents":2}}\n'.encode()
TREE = b'{"filepath":"/a","hostname":"h","host_id":"i","kind":"dir","gen":1}\n{"entries":1}\n'


def read_contents(data: bytes, size: int = 7) -> list[tuple[str, bytes | None]]:
    async def read() -> list[tuple[str, bytes | None]]:
        return [each async for each in contents(Pieces(_in_pieces(data, size)))]

    return asyncio.run(read())


def read_tree(data: bytes) -> list[str]:
    async def read() -> list[str]:
        return [each.filepath async for each in entries(Pieces(_in_pieces(data, 5)))]

    return asyncio.run(read())


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_contents_are_read_however_they_arrive(size: int) -> None:
    assert read_contents(GOOD, size) == [(A, b"x\ny"), (B, None)]


@pytest.mark.parametrize("length", range(len(GOOD)))
def test_contents_that_were_cut_are_never_whole(length: int) -> None:
    with pytest.raises(ServerNonsense):
        read_contents(GOOD[:length])


@pytest.mark.parametrize(
    "data",
    [b"<html>\n", b"[]\n", b"null\n", b'{"sha256":"x"}\n', b'{"sha256":"x","size":-1}\n',
     b'{"sha256":"x","size":9e9}\n',
     b'{"sha256":"x","size":1000000000}\n', b'{"contents":5}\n', b"x" * 100_000],
)  # fmt: skip
def test_nonsense_is_not_believed(data: bytes) -> None:
    with pytest.raises(ServerNonsense):
        read_contents(data)


def test_trees_are_whole_or_nothing() -> None:
    assert read_tree(TREE) == ["/a"]
    for length in range(len(TREE)):
        with pytest.raises(ServerNonsense):
            read_tree(TREE[:length])
    for data in (b'{"entries":1}\n', b'{"entries":"x"}\n', b"{}\n", TREE.replace(b"dir", b"odd")):
        with pytest.raises(ServerNonsense):
            read_tree(data)


async def test_two_that_come_to_one_place_are_not_both_brought() -> None:
    """At the moment at which a folder took the place of a file: one would be written over the other."""

    def entry(path: str) -> TreeEntry:
        return TreeEntry(filepath=path, hostname="h", host_id="1", kind="file", gen=1, sha256="0" * 64)

    class Given(Source):
        def __init__(self) -> None:
            pass

        async def tree(self, *_: object) -> AsyncGenerator[TreeEntry, None]:
            for path in ("/d/a", "/d/a/a", "/d/a/b"):
                yield entry(path)

    places, refused = await _wanted(Given(), b"/d/a", {}, NOW)
    assert [place.relative for place in places] == [b"a", b"b"]
    assert len(refused) == 1 and refused[0].startswith("/d/a/a: ")
