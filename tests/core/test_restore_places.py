"""Where what comes back belongs, and streams that are not what they should be."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pp_assist.core.errors import ServerNonsense
from pp_assist.restore.streams import Pieces, contents, entries
from pp_assist.restore.wanted import Outside, relative_to, wanted
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
