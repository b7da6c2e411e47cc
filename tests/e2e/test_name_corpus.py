"""Three hundred odd names on their way: disk, database, JSON, server and back, and each deletion told exactly."""

import os
import sys
from urllib.parse import quote

import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.harness import name_of
from tests.e2e.name_corpus import COUNT, LISTED, corpus

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not allow these names")

UNASKED = 100
"""So many of all may be deleted without asking anybody."""


def test_the_corpus_is_three_hundred_different_names() -> None:
    names = corpus()
    assert len(names) == len(set(names)) == COUNT
    assert sum(len(name) == 255 for name in names) > 5
    assert len(set(names) & set(LISTED)) > 150


@pytest.mark.timeout(300)
def test_every_name_goes_all_the_way_and_back(make_world: MakeWorld) -> None:
    made = make_world()
    names = corpus()
    for number, name in enumerate(names):
        made.write(b"names/" + name, b"file %d" % number)
        made.write(b"folders/" + name + b"/" + name, b"below %d" % number)
    made.begin()
    assert made.finish(120) == 2 * COUNT, "and read back from the server, byte by byte"

    paths = {made.path(b"names/" + name) for name in names}
    listed = made.daemon.ask("GET", f"/files?limit=1000&path_prefix={quote(made.path(b'names'))}")
    assert listed["total"] == COUNT
    assert {name_of(file) for file in listed["files"]} == paths
    assert {file["status"] for file in listed["files"]} <= {"completed", "unchanged"}
    for path in sorted(paths):
        told = made.daemon.ask("GET", f"/explain?path={quote(path)}")
        assert name_of(told) == path
        assert name_of(told["receipt"]) == path
        (found,) = made.daemon.ask("GET", f"/files?path_prefix={quote(path)}")["files"]
        assert name_of(found) == path

    before = made.server.stats()["deletions"]
    for name in names[:UNASKED]:
        os.unlink(made.path(b"names/" + name))
    made.daemon.finish(made.tree, timeout_s=60)
    assert not (found := made.differences()), "\n".join(found[:20])
    assert made.server.stats()["deletions"] - before == UNASKED
    for name in names[UNASKED:]:
        os.unlink(made.path(b"names/" + name))
    made.daemon.scan()
    made.approve_deletions(COUNT - UNASKED)
    made.daemon.finish(made.tree, timeout_s=60)
    assert not (found := made.differences()), "\n".join(found[:20])
    assert made.server.stats()["deletions"] - before == COUNT
