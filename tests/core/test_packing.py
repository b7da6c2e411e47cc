"""What a batch says of a file, and the directories that files are read in."""

import json
import os
from pathlib import Path

import pytest

from pp_assist.core.errors import RootUnhealthy
from pp_assist.core.model import Claim, Folder, Hashed, Kind, Location, Stage, Stat
from pp_assist.disk import Directories, resolve
from pp_assist.uploader.packing import _operation
from pp_assist.uploader.way import offer_of

STAT = Stat(5, -6, 7, 8, 9)
SHA256 = "a" * 64


def claim_of(name: bytes, hashed: Hashed) -> Claim:
    folder = Folder(1, b"/r", 1, 1, b"d", b"/r")
    return Claim(1, 4, Stage.UPLOAD, 0, 0, Location(folder, name), None, None, hashed, None)


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("name", [b"plain", 'q"uo\\te\n\x01 \u00e9 \U0001f600'.encode(), b"caf\xe9"])
def test_a_put_says_of_a_file_what_every_offer_says(name: bytes, inline: bool) -> None:
    claim = claim_of(name, hashed := Hashed(STAT, 0o644, os.getuid(), 12345, SHA256))
    expected = {"op": "put", **offer_of(claim), "content": "inline" if inline else "held"}
    assert json.loads(_operation(claim, hashed, inline)) == expected


@pytest.mark.parametrize(("kind", "target"), [(Kind.DIR, None), (Kind.SYMLINK, b"to\xff")])
def test_a_put_of_what_has_no_content_names_none(kind: Kind, target: bytes | None) -> None:
    claim = claim_of(b"n", hashed := Hashed(STAT, 0o755, 1, 2, "", kind=kind, target=target))
    assert json.loads(_operation(claim, hashed, False)) == {"op": "put", **offer_of(claim)}


def folder_in(tree: Path, directory: bytes) -> Folder:
    path, identity = resolve(os.fsencode(tree))
    return Folder(1, path, identity.device, identity.inode, directory, path, root_file_system=identity.file_system)


def test_neighbours_are_opened_in_one_directory_and_each_other_one_is_proven_anew(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in ("a", "b"):
        (tree / name).mkdir(parents=True)
        (tree / name / "f").write_text(name)
    first, second = folder_in(tree, b"a"), folder_in(tree, b"b")
    with Directories() as directories:
        fd = directories.open_file(Location(first, b"f"))
        assert os.read(fd, 10) == b"a"
        os.close(fd)
        tree.rename(tmp_path / "elsewhere")
        tree.mkdir()
        fd = directories.open_file(Location(first, b"f"))  # the one that was proven, wherever it is by now
        os.close(fd)
        with pytest.raises(RootUnhealthy):
            directories.open_file(Location(second, b"f"))
        with pytest.raises(RootUnhealthy):
            directories.open_file(Location(first, b"f"))


def test_no_link_on_the_way_is_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "f").write_text("secret")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "d").symlink_to(tmp_path / "outside")
    with Directories() as directories, pytest.raises(FileNotFoundError):  # ENOTDIR: no folder of ours is there
        directories.open_file(Location(folder_in(tmp_path / "tree", b"d"), b"f"))
