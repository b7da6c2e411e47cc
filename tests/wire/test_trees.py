"""Moving a directory: both sides count and hash its entries alike."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pp_server.wire.batch import MoveTree
from pp_server.wire.digest import EMPTY
from pp_server.wire.receipts import Receipt, Words, canonical
from pp_server.wire.trees import Entry, MovedTree, is_beneath, moved_receipts, placed, relative_to, tree_digest

NAMES = st.binary(min_size=1, max_size=8).filter(lambda name: not {0, 0x2F} & set(name))
MOVE = {"op": "move_tree", "filepath": "/new", "source": "/old", "gen": 3, "count": 1, "digest": EMPTY}


def test_the_digest_is_of_paths_kinds_and_contents_each_ended_by_nul() -> None:
    entries = [Entry(b"", "dir", None, 0), Entry(b"caf\xe9", "file", EMPTY, 7), Entry(b"link", "symlink", None, 0)]
    text = b"\0dir\0\0caf\xe9\0file\0" + EMPTY.encode() + b"\0link\0symlink\0\0"
    assert tree_digest(entries) == hashlib.sha256(text).hexdigest()
    assert tree_digest([]) == EMPTY


@given(st.lists(NAMES, min_size=1), st.lists(NAMES))
def test_a_path_in_a_folder_is_found_again(folder: list[bytes], inside: list[bytes]) -> None:
    at, relative = b"/" + b"/".join(folder), b"/".join(inside)
    assert relative_to(at, placed(at, relative)) == relative
    assert is_beneath(placed(at, relative), at)
    assert not is_beneath(at + b"0", at)


def test_each_entry_has_a_tombstone_and_then_a_version() -> None:
    moved = MovedTree("server", "bob", "host", b"/old", b"/n\xff", 3, 11, "2026-11-20T13:28:11.902Z")
    receipts = list(moved_receipts(moved, [Entry(b"", "dir", None, 0), Entry(b"a", "file", EMPTY, 5)]))
    assert [(r.sequence, r.filepath, r.filepath_b64, r.status, r.kind, r.sha256, r.size) for r in receipts] == [
        (11, "/old", None, "deleted", "dir", None, 0),
        (12, "/n\ufffd", "L27/", "active", "dir", None, 0),
        (13, "/old/a", None, "deleted", "file", EMPTY, 5),
        (14, "/n\ufffd/a", "L27/L2E=", "active", "file", EMPTY, 5),
    ]
    assert {(r.gen, r.server_id, r.owner, r.host_id) for r in receipts} == {(3, "server", "bob", "host")}


@given(st.text(st.characters(blacklist_categories=["Cs"])), st.none() | st.text(), st.none() | st.just(EMPTY))
def test_what_is_hashed_is_json_in_its_canonical_form(path: str, encoded: str | None, digest: str | None) -> None:
    said = Words("s", 'o"\n\u2028', "h\\", path, encoded, 2**53, "file", "active", digest, 0, "2026", 1)
    fields = {name: getattr(said, name) for name in Words.__dataclass_fields__ if getattr(said, name) is not None}
    assert json.loads(canonical(said)) == fields
    assert canonical(said) == json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert canonical(said) == canonical(Receipt.model_validate(fields))


@pytest.mark.parametrize(
    "change",
    [
        {"filepath": "/old"},
        {"filepath": "/old/inside"},
        {"source": "/new/inside"},
        {"source": "/old/"},
        {"filepath": "/"},
        {"count": 0},
        {"digest": "0"},
        {"gen": -1},
    ],
)
def test_a_move_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    assert MoveTree.model_validate(MOVE).source_path == b"/old"
    assert MoveTree.model_validate(MOVE | {"filepath": "/old2"}).path == b"/old2"
    with pytest.raises(ValidationError):
        MoveTree.model_validate(MOVE | change)
