"""A crowd at a server that is killed: whatever was acknowledged is there. And the oracle notices what is not."""

import asyncio
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.harness import Server
from tests.oracle.crowd import Crowd
from tests.oracle.customer import Taste
from tests.oracle.oracle import Broken, Fact, Oracle, State
from tests.oracle.watch import watch_crowd

DIGEST = "ab" * 32


def test_a_crowd_and_two_kills_lose_nothing(tmp_path: Path) -> None:
    found = watch_crowd(tmp_path, seed=3, clients=8, kills=2, kill_every_s=1.5)
    assert found.kills == 2
    assert found.acknowledged > 50
    assert found.tombstones > 0
    assert found.contents_read_at_the_end > 30
    assert found.contents_read_after_rebuild == found.contents_read_at_the_end


def test_a_server_put_back_to_an_earlier_day_is_found_out(tmp_path: Path) -> None:
    """The check itself is checked: a copy of the data that lacks the last few answers does not pass."""
    server = Server(tmp_path)
    with closing(Oracle(tmp_path / "oracle.jsonl")) as oracle, closing(server):
        server.start()
        crowd = Crowd(server, oracle, 3, 1, Taste())
        asyncio.run(crowd.era(0.5))
        assert server.stop() == 0
        shutil.copytree(server.data, tmp_path / "earlier")
        server.start()
        asyncio.run(crowd.era(0.5))
        asyncio.run(crowd.verify())
        assert server.stop() == 0
        server.use_data(tmp_path / "earlier")
        server.start()
        with pytest.raises(Broken, match=r"permitted is|was acknowledged"):
            asyncio.run(crowd.verify())


def fact(gen: int, sha256: str = DIGEST) -> Fact:
    return Fact("host", "/a", gen, sha256, 1 if sha256 else 0)


def receipt(of: Fact, sequence: int) -> dict[str, object]:
    return {
        "host_id": of.host,
        "filepath": of.path,
        "gen": of.gen,
        "sha256": of.sha256,
        "size": of.size,
        "sequence": sequence,
    }


def test_what_is_asked_together_is_there_together(tmp_path: Path) -> None:
    with closing(Oracle(tmp_path / "oracle.jsonl")) as oracle:
        old, gone, moved = fact(1), fact(2, ""), Fact("host", "/b", 2, DIGEST, 1)
        oracle.note(State.ACKED, old, receipts=[receipt(old, 1)])
        oracle.note(State.ASKED, gone, moved)
        was, now = {"/a": (1, DIGEST, 1)}, {"/b": (2, DIGEST, 1)}
        assert oracle.wrong_in_listing("host", was) == []
        assert oracle.wrong_in_listing("host", now) == []
        assert oracle.wrong_in_listing("host", was | now) != []
        assert oracle.wrong_in_listing("host", {}) != []
        with closing(Oracle(tmp_path / "oracle.jsonl")) as other:
            other.catch_up()
            assert other.wrong_in_listing("host", was | now) != []
        oracle.note(State.ASKED, gone)
        assert oracle.wrong_in_listing("host", {}) == [], "what is asked for again alone may happen alone"
        oracle.note(State.ASKED, gone, moved)
        assert oracle.wrong_in_listing("host", {}) == [], "and may have happened before it is asked for together again"


def test_what_may_be_there_follows_from_what_was_asked_and_answered(tmp_path: Path) -> None:
    with closing(Oracle(tmp_path / "oracle.jsonl")) as oracle:
        first, second, gone = fact(1), fact(2, "cd" * 32), fact(3, "")
        oracle.note(State.BEGUN, first)
        assert oracle.permitted("host", "/a") == {None}
        oracle.note(State.ASKED, first)
        assert oracle.permitted("host", "/a") == {None, first}
        assert oracle.wrong_in_listing("host", {}) == []
        oracle.note(State.ACKED, first, receipts=[receipt(first, 1)])
        assert oracle.permitted("host", "/a") == {first}
        assert oracle.wrong_in_listing("host", {}) != []
        oracle.note(State.ASKED, second)
        oracle.note(State.ASKED, gone)
        assert oracle.permitted("host", "/a") == {first, second, gone}
        oracle.note(State.ACKED, gone)
        assert oracle.permitted("host", "/a") == {gone}
        assert oracle.wrong_in_listing("host", {"/a": (2, second.sha256, second.size)}) != []
        assert oracle.wrong_in_listing("host", {"/unheard-of": (1, DIGEST, 1)}) != []
        with pytest.raises(Broken, match="was given to"):
            oracle.note(State.ACKED, second, receipts=[receipt(second, 1)])
        with closing(Oracle(tmp_path / "oracle.jsonl")) as other:
            with pytest.raises(Broken):
                other.catch_up()
            assert other.permitted("host", "/a") == {gone}
