"""A scan of what is as it was hands nothing on to be written down, and of what is not, only that."""

import os
from pathlib import Path

from pair import Pair, running_pair, write

from pp_assist.core.model import Listing, Stage


async def news(pair: Pair) -> list[Listing]:
    """Return what a scan would write down now."""
    assert pair.daemon
    (root,) = await pair.daemon.roots.all()
    recorder = pair.daemon.recorder
    return [listing for seen in [s async for s in recorder.batches(root, b"")] for listing in seen.listings]


def asked(listings: list[Listing]) -> dict[bytes, frozenset[bytes] | None]:
    return {listing.directory: listing.asked for listing in listings}


async def test_only_what_differs_is_handed_on(tmp_path: Path) -> None:
    async with running_pair(tmp_path) as pair:
        for folder, name in ((folder, name) for folder in "abc" for name in "xyz"):
            write(pair.tree / folder / "deep" / name, folder + name)
        write(pair.tree / ".ppignore", "*.o\nout/\n")
        write(pair.tree / "a" / "left.o", "left out")
        write(pair.tree / "out" / "file", "left out")
        write(pair.tree / "a" / ".DS_Store", "junk")
        os.symlink("x", pair.tree / "b" / "link")
        os.mkfifo(pair.tree / "b" / "pipe")
        await pair.settle()
        await pair.scan()
        assert await news(pair) == []

        with open(pair.tree / "a" / "deep" / "x", "a") as file:
            file.write("more")
        assert asked(await news(pair)) == {b"a/deep": frozenset({b"x"})}
        (pair.tree / "b" / "deep" / "y").unlink()
        write(pair.tree / "c" / "new" / "file", "new")
        assert asked(await news(pair)) == {
            b"": frozenset({b"c", b"out"}),  # its time has changed with what is in it; and what is not seen at a glance
            b"a/deep": frozenset({b"x"}),
            b"b": frozenset({b"deep", b"pipe"}),
            b"b/deep": frozenset({b"y"}),
            b"c": frozenset({b"new"}),
            b"c/new": None,
        }
        await pair.settle()
        await pair.scan()
        assert await news(pair) == []


async def test_what_waits_is_not_handed_on_again(tmp_path: Path) -> None:
    async with running_pair(tmp_path, quiet_seconds=3600) as pair:
        for number in range(10):
            write(pair.tree / "d" / f"{number}", "young")
        await pair.scan()
        assert (await pair.counts()).queued(Stage.CHECKSUM) == 11
        assert await news(pair) == []
        write(pair.tree / "d" / "3", "still being written")
        assert asked(await news(pair)) == {b"d": frozenset({b"3"})}


async def test_a_forced_scan_hands_everything_on(tmp_path: Path) -> None:
    async with running_pair(tmp_path) as pair:
        write(pair.tree / "d" / "f", "x")
        await pair.assert_equal()
        assert pair.daemon
        (root,) = await pair.daemon.roots.all()
        (seen,) = [seen async for seen in pair.daemon.recorder.batches(root, b"", force=True)]
        assert asked(list(seen.listings)) == {b"": None, b"d": None}
        assert seen.looked_at == 2
