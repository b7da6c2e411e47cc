"""What is stored is moved aside or removed, and nothing else: whatever has its name at the last moment."""

import dataclasses
import hashlib
import os
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pp_assist.core.drop_folders import After
from pp_assist.sftp import storing, taking
from pp_assist.sftp.dropfolder import DropFolder
from pp_assist.sftp.errors import RemoteChanged, RemoteRefused, SftpUnreachable
from pp_assist.sftp.ledger import Arrival, Ledger, State
from pp_assist.sftp.plan import Plan
from pp_assist.sftp.polling import Seen, is_wanted
from pp_assist.sftp.taking import TakingAway
from tests.sftp.dropped import files_below
from tests.sftp.sftp_servers import Other
from tests.sftp.test_drop_folder_steps import Kept
from tests.sftp.test_transfers import connection

DATA = b"stored by now"


class Taken:
    """A file that is stored, and who takes it away."""

    def __init__(self, server: Other, folder: Path, after: After) -> None:
        self.inbox = server.root / "in"
        self.inbox.mkdir()
        self.file = self.inbox / "a.txt"
        self.file.write_bytes(DATA)
        self.ledger = Ledger(str(folder / "sftp.db"))
        self.plan = Plan("s", b"/in", after=after, in_progress=b"/done" if after == "move" else None)
        self.taking = TakingAway(self.plan, self.ledger, lambda: datetime(2026, 11, 27))
        self.client, self.transport = connection(server)
        self.ledger.add("s", [(b"a.txt", Seen(len(DATA), int(self.file.stat().st_mtime)))])
        self.ledger.stored([(self.ledger.open("s")[0].id, hashlib.sha256(DATA).hexdigest())])

    @property
    def arrival(self) -> Arrival:
        found = self.ledger.last("s", b"a.txt")
        assert found is not None
        return found

    def replace(self, data: bytes) -> None:
        (self.inbox / ".new").write_bytes(data)
        os.utime(self.inbox / ".new", (1000, 1000))
        os.replace(self.inbox / ".new", self.file)

    def take_away(self) -> Arrival:
        self.taking.take_away(self.client, self.arrival)
        return self.arrival


@pytest.fixture(params=["remove", "move"])
def taken(request: pytest.FixtureRequest, other: Other, tmp_path: Path) -> Any:
    made = Taken(other, tmp_path, request.param)
    yield made
    made.transport.close()


def aside(taken: Taken) -> list[str]:
    return ["done/11272026/a.txt"] if taken.plan.after == "move" else []


def test_it_is_taken_away(taken: Taken) -> None:
    settled = taken.take_away()
    assert settled.state is State.SETTLED
    assert settled.target == (b"/done/11272026/a.txt" if aside(taken) else None)
    assert files_below(taken.inbox.parent) == aside(taken)


def test_what_replaces_it_at_the_last_moment_is_put_back(taken: Taken, monkeypatch: pytest.MonkeyPatch) -> None:
    real, moves = storing.move, []

    def move(client: Any, source: bytes, target: bytes) -> None:
        if not moves:
            (taken.inbox / ".new").write_bytes(b"nobody has this")
            os.replace(taken.inbox / ".new", taken.file)
        moves.append(target)
        real(client, source, target)

    monkeypatch.setattr(taking, "move", move)
    settled = taken.take_away()
    assert len(moves) == 2
    assert (settled.state, settled.target) == (State.SETTLED, None)
    assert files_below(taken.inbox.parent) == ["in/a.txt"]
    assert taken.file.read_bytes() == b"nobody has this"


def replaced_while_moved(
    taken: Taken, monkeypatch: pytest.MonkeyPatch, *then: Callable[[], object], data: bytes = b"nobody has this"
) -> None:
    """Another version gets the name right before the file is moved; each of *then* is done before a further move."""
    real, steps = storing.move, iter([lambda: taken.replace(data), *then])

    def move(client: Any, source: bytes, target: bytes) -> None:
        next(steps, lambda: None)()
        real(client, source, target)

    monkeypatch.setattr(taking, "move", move)


def cut() -> None:
    raise SftpUnreachable("the connection broke")


def contents(taken: Taken) -> dict[str, bytes]:
    return {name: (taken.inbox.parent / name).read_bytes() for name in files_below(taken.inbox.parent)}


def test_what_could_not_be_put_back_is_put_back_later(taken: Taken, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced_while_moved(taken, monkeypatch, cut, cut)
    for _ in range(2):
        with pytest.raises(SftpUnreachable):
            taken.take_away()
        assert taken.arrival.state is State.MOVING
    settled = taken.take_away()
    assert (settled.state, settled.target) == (State.SETTLED, None)
    assert contents(taken) == {"in/a.txt": b"nobody has this"}


def test_what_cannot_have_its_name_again_gets_one_that_is_looked_at(
    taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third version has it by then."""
    replaced_while_moved(taken, monkeypatch, lambda: taken.replace(b"the third"))
    with pytest.raises(RemoteRefused):
        taken.take_away()
    settled = taken.take_away()
    assert (settled.state, settled.target) == (State.SETTLED, None)
    name = f"a.{settled.id[:8]}.txt"
    assert contents(taken) == {"in/a.txt": b"the third", f"in/{name}": b"nobody has this"}
    assert is_wanted(name.encode(), ["*.txt"])


def test_what_changes_while_it_is_read_is_another_version(taken: Taken, monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(*_: object) -> str:
        raise RemoteChanged("it became shorter while it was read")

    monkeypatch.setattr(taking, "digest_of", changed)
    replaced_while_moved(taken, monkeypatch, data=b"x" * len(DATA))
    settled = taken.take_away()
    assert (settled.state, settled.target) == (State.SETTLED, None)
    assert files_below(taken.inbox.parent) == ["in/a.txt"]


def test_what_somebody_else_put_where_it_was_to_go_is_theirs(
    other: Other, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = Taken(other, tmp_path, "move")
    theirs = other.root / "done/11272026/a.txt"
    real = storing.move

    def move(client: Any, source: bytes, target: bytes) -> None:
        if not theirs.exists():
            theirs.write_bytes(b"theirs")
        real(client, source, target)

    monkeypatch.setattr(taking, "move", move)
    with pytest.raises(RemoteRefused, match="already"):
        taken.take_away()
    settled = taken.take_away()
    assert settled.state is State.SETTLED
    assert contents(taken) == {"done/11272026/a.txt": b"theirs", f"done/11272026/a.{settled.id[:8]}.txt": DATA}
    taken.transport.close()


def test_a_server_that_copies_where_others_rename(taken: Taken, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file has another time then: what is in it decides."""
    real = storing.move

    def move(client: Any, source: bytes, target: bytes) -> None:
        real(client, source, target)
        client.utime(target, (1, 1))

    monkeypatch.setattr(taking, "move", move)
    assert taken.take_away().state is State.SETTLED
    assert files_below(taken.inbox.parent) == aside(taken)


def test_it_goes_on_after_a_kill_that_came_after_the_move(taken: Taken, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(taken.taking, "_settle", killed)
        with pytest.raises(Killed):
            taken.take_away()
    assert not taken.file.exists()
    taken.file.write_bytes(b"the next of that name")
    assert taken.take_away().state is State.SETTLED
    assert files_below(taken.inbox.parent) == sorted([*aside(taken), "in/a.txt"])
    assert taken.file.read_bytes() == b"the next of that name"


def test_nothing_is_removed_under_the_name_that_others_write_to(
    other: Other, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that lets nobody rename: another version may have the name by the time of a removal."""
    taken = Taken(other, tmp_path, "remove")

    def refused(*_: object) -> None:
        raise RemoteRefused("no renaming here")

    monkeypatch.setattr(taking, "move", refused)
    for _ in range(2):
        with pytest.raises(RemoteRefused, match="no renaming"):
            taken.take_away()
        assert taken.arrival.state is State.MOVING
    assert contents(taken) == {"in/a.txt": DATA}
    taken.transport.close()


def test_what_was_replaced_within_the_same_second_by_as_many_bytes_is_put_back(taken: Taken) -> None:
    """Where the rest is shorter than that second, size and time tell nothing: the content decides."""
    taken.plan = dataclasses.replace(taken.plan, rest_ms=200)
    taken.taking = TakingAway(taken.plan, taken.ledger, lambda: datetime(2026, 11, 27))
    taken.file.write_bytes(DATA[::-1])
    os.utime(taken.file, (taken.arrival.seen.mtime_s, taken.arrival.seen.mtime_s))
    assert taken.take_away().state is State.SETTLED
    assert contents(taken) == {"in/a.txt": DATA[::-1]}


def test_where_the_server_tells_no_times_the_content_decides(taken: Taken) -> None:
    before = taken.arrival
    taken.ledger.forget([before.id])
    taken.ledger.add("s", [(before.name, Seen(len(DATA), 0))])
    taken.ledger.stored([(taken.arrival.id, before.sha256 or "")])
    taken.file.write_bytes(DATA[::-1])
    os.utime(taken.file, (0, 0))
    assert taken.take_away().state is State.SETTLED
    assert contents(taken) == {"in/a.txt": DATA[::-1]}


@pytest.mark.parametrize("is_replaced", [False, True])
def test_what_nobody_has_fetched_and_is_gone_was_not_taken_by_us(taken: Taken, is_replaced: bool) -> None:
    """As in a polling of PDFs: it must not be told of, whoever took it. Another version is found by itself."""
    before = taken.arrival
    taken.ledger.forget([before.id])
    taken.ledger.add("s", [(before.name, before.seen)])
    if is_replaced:
        taken.replace(b"another one")
    else:
        taken.file.unlink()
    with pytest.raises(RemoteChanged):
        taken.take_away()
    assert taken.arrival.state is State.FOUND
    assert files_below(taken.inbox.parent) == (["in/a.txt"] if is_replaced else [])


def test_what_nobody_has_fetched_and_is_replaced_at_the_last_moment_was_not_taken_by_us(
    taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, real = taken.arrival, storing.move
    taken.ledger.forget([before.id])
    taken.ledger.add("s", [(before.name, before.seen)])

    def move(client: Any, source: bytes, target: bytes) -> None:
        if source == b"/in/a.txt":
            taken.replace(b"another one")
        real(client, source, target)

    monkeypatch.setattr(taking, "move", move)
    with pytest.raises(RemoteChanged):
        taken.take_away()
    assert contents(taken) == {"in/a.txt": b"another one"}


class Earlier:
    """Another life of the folder began to take the file away, and was removed; its receipt is worth nothing by now."""

    def __init__(self, taken: Taken, target: str | None) -> None:
        self.taken = taken
        doomed = f"in/.a.txt.{taken.arrival.id[:8]}.part"
        self.target = doomed if taken.plan.after == "remove" else "done/11272026/a.txt"
        taken.ledger.moving(taken.arrival.id, f"/{self.target}".encode())
        if target == "there":
            (taken.inbox.parent / self.target).parent.mkdir(parents=True, exist_ok=True)
            taken.file.rename(taken.inbox.parent / self.target)
        elif target == "gone":
            taken.file.unlink()
        taken.ledger.forget_open("s")
        taken.ledger.forget_open("s")

    def again(self) -> list[str]:
        """What is there once the folder is watched again, and has had a turn; nothing is kept anew meanwhile."""
        kept = Kept()
        folder = DropFolder(self.taken.plan, self.taken.ledger, kept, lambda: 0)
        folder.advance(lambda: nullcontext(self.taken.client))
        assert kept.names == []
        return files_below(self.taken.inbox.parent)


@pytest.mark.parametrize("target", [None, "there", "gone"])
def test_what_an_earlier_life_began_to_take_away_is_fetched_again_first(taken: Taken, target: str | None) -> None:
    earlier = Earlier(taken, target)
    is_moved = taken.plan.after == "move" and target == "there"
    assert earlier.again() == ([] if target == "gone" else [earlier.target] if is_moved else ["in/a.txt"])
    assert taken.ledger.open("s") == []
    assert len(taken.ledger.unannounced("s")) == is_moved


def test_what_replaced_it_in_an_earlier_life_is_put_back(taken: Taken) -> None:
    earlier = Earlier(taken, "there")
    (taken.inbox.parent / earlier.target).write_bytes(b"nobody has this")
    assert earlier.again() == ["in/a.txt"]
    assert taken.file.read_bytes() == b"nobody has this"


def test_what_was_to_be_moved_when_nobody_says_where_to_is_refused(other: Other, tmp_path: Path) -> None:
    taken = Taken(other, tmp_path, "leave")
    with pytest.raises(RemoteRefused, match="no folder"):
        taken.take_away()
    taken.transport.close()
