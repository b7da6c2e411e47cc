"""One drop folder without a daemon: what is looked at, what is fetched, and over how many clients."""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from pp_assist.sftp import clearing, connecting
from pp_assist.sftp import spool as spool_module
from pp_assist.sftp.clearing import Clearing, Keeping
from pp_assist.sftp.dropfolder import FETCHERS, DropFolder
from pp_assist.sftp.errors import RemoteChanged, RemoteRefused, SftpUnreachable, TooManyNames
from pp_assist.sftp.ledger import Arrival, Ledger, State
from pp_assist.sftp.plan import Plan
from pp_assist.sftp.polling import Seen
from pp_assist.sftp.spool import Room, Spool, SpoolKeeper
from tests.sftp.sftp_servers import Other, running
from tests.sftp.test_transfers import connection


class Kept:
    """Keeps nothing, and has a receipt for everything."""

    def __init__(self) -> None:
        self.names: list[bytes] = []
        self.together: threading.Barrier | None = None
        """Where set, so many must be kept at the same time."""
        self.out: set[bytes] = set()

    def keep(self, client: Any, remote: bytes, arrival: Arrival) -> str | None:
        if self.together is not None:
            self.together.wait(30)
        self.names.append(arrival.name)
        return None

    def stored(self, arrivals: Sequence[Arrival]) -> list[tuple[str, str]]:
        return [(arrival.id, "0" * 64) for arrival in arrivals]

    def left_out(self, files: Sequence[tuple[bytes, Seen]]) -> set[bytes]:
        return {name for name, _ in files} & self.out


class Looked:
    """A drop folder, looked at twice."""

    def __init__(self, server: Other, tmp_path: Path, **plan: Any) -> None:
        self.kept = Kept()
        self.ledger = Ledger(str(tmp_path / "sftp.db"))
        plan = {"source": "s", "folder": b"/in", "rest_ms": 0} | plan
        self.now = 0
        self.folder = DropFolder(Plan(**plan), self.ledger, self.kept, self.mono_ms)
        self.server = server
        self.client, self.transport = connection(server)
        for _ in range(2):
            self.folder.look(self.client)

    def mono_ms(self) -> int:
        self.now += 1
        return self.now

    def advance(self, clients: Any = None) -> int:
        @contextmanager
        def ours() -> Iterator[Any]:
            client, transport = connection(self.server)
            with closing(transport):
                yield client

        with closing(self.transport):
            return self.folder.advance(clients or ours)


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Other]:
    server = Other(tmp_path / "locked-server")
    server.options = ("--locked",)
    with running(server):
        yield server


def write(server: Other, *names: str) -> None:
    for name in names:
        path = server.root / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_a_folder_that_is_listed_for_nobody_holds_up_no_other(locked: Other, tmp_path: Path) -> None:
    write(locked, "a", "locked/b", "open/c")
    looked = Looked(locked, tmp_path)
    assert looked.advance() == 2
    assert sorted(looked.kept.names) == [b"a", b"open/c"]
    assert list(looked.folder.unread) == [b"locked"]


@pytest.mark.parametrize(
    ("folder", "aside"), [(b".", b"in_progress"), (b"in", b"/in/done"), (b"/link", b"/in/done"), (b"/in", b"/in/done")]
)
def test_what_was_moved_aside_is_not_found_again(other: Other, tmp_path: Path, folder: bytes, aside: bytes) -> None:
    """However the folder and the one for what was taken from it are spelled: it would be moved again, for ever."""
    write(other, "a")
    (other.root / "link").symlink_to("in")
    write(other, f"../{aside.decode().removeprefix('/')}/11272026/moved")
    looked = Looked(other, tmp_path, folder=folder, after="move", in_progress=aside)
    assert [os.path.basename(name) for name in looked.folder.observed] == [b"a"]


def test_nothing_is_moved_aside_into_the_folder_itself(other: Other, tmp_path: Path) -> None:
    write(other, "a")
    with pytest.raises(RemoteRefused, match="into the folder itself"):
        Looked(other, tmp_path, after="move", in_progress=b"/in")


def test_so_many_names_are_listed_in_all_its_folders_together(
    other: Other, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(other, *(f"{folder}/{number}" for folder in "abc" for number in range(3)))
    monkeypatch.setattr(connecting, "MOST_NAMES", 20)  # the server names a folder itself, and the one above it
    looked = Looked(other, tmp_path)
    assert len(looked.folder.observed) == 9
    monkeypatch.setattr(connecting, "MOST_NAMES", 11)
    with pytest.raises(TooManyNames, match="more than 11"):
        looked.folder.look(looked.client)
    looked.transport.close()


def test_what_is_below_is_left_alone_where_nobody_asks_for_it(other: Other, tmp_path: Path) -> None:
    write(other, "a", "below/b")
    looked = Looked(other, tmp_path, recursive=False)
    assert looked.advance() == 1
    assert looked.kept.names == [b"a"]


def test_what_a_rule_leaves_out_is_not_fetched(other: Other, tmp_path: Path) -> None:
    write(other, "a", "Thumbs.db")
    looked = Looked(other, tmp_path)
    looked.ledger.forget_open("s")
    looked.kept.out = {b"Thumbs.db"}
    looked.folder.look(looked.client)
    assert (looked.folder.left_out, looked.folder.arriving) == ({b"Thumbs.db"}, set())
    assert looked.advance() == 1
    assert looked.kept.names == [b"a"]


def test_several_are_fetched_at_a_time_each_over_a_client_of_its_own(other: Other, tmp_path: Path) -> None:
    write(other, *(f"{number:02}" for number in range(12)))
    looked = Looked(other, tmp_path)
    looked.kept.together = threading.Barrier(FETCHERS)
    lent: list[Any] = []

    @contextmanager
    def clients() -> Iterator[Any]:
        client, transport = connection(other)
        with closing(transport):
            lent.append(client)
            yield client

    assert looked.advance(clients) == 12
    assert len(set(lent)) == 12
    assert looked.ledger.counts("s")[State.SETTLED] == 12


def test_a_connection_that_breaks_ends_the_turn_and_loses_nothing(other: Other, tmp_path: Path) -> None:
    write(other, *(f"{number:02}" for number in range(12)))
    looked = Looked(other, tmp_path)
    calls = 0
    counting = threading.Lock()

    @contextmanager
    def clients() -> Iterator[Any]:
        nonlocal calls
        with counting:
            calls += 1
            if calls > 5:
                raise SftpUnreachable("broken")
        client, transport = connection(other)
        with closing(transport):
            yield client

    with pytest.raises(SftpUnreachable):
        looked.advance(clients)
    counts = looked.ledger.counts("s")
    assert counts[State.FOUND] + counts[State.FETCHED] == 12
    assert counts[State.FETCHED] == 5


def test_what_changes_while_it_is_fetched_is_still_on_its_way(other: Other, tmp_path: Path) -> None:
    """Who waits until nothing is on its way any more must not take it for done."""
    write(other, "a")
    looked = Looked(other, tmp_path)
    assert looked.folder.arriving == set()
    (other.root / "in" / "a").write_bytes(b"longer")

    def keep(client: Any, remote: bytes, arrival: Arrival) -> str | None:
        raise RemoteChanged("it changed while it was read")

    looked.kept.keep = keep  # type: ignore[method-assign]
    looked.folder.refused[b"a"] = 0, "an earlier one could not be read"
    assert looked.advance() == 0
    assert looked.ledger.open("s") == []
    assert (looked.folder.arriving, looked.folder.refused) == ({b"a"}, {})


def test_a_later_version_of_what_is_on_its_way_is_on_its_way_too(other: Other, tmp_path: Path) -> None:
    write(other, "a", "b")
    looked = Looked(other, tmp_path)
    (other.root / "in" / "a").write_bytes(b"longer")
    looked.folder.look(looked.client)
    looked.transport.close()
    assert len(looked.ledger.open("s")) == 2
    assert looked.folder.arriving == {b"a"}


# -- the spool


class Spooled:
    """A file of a spool that arrived; *receipts* says of names what the server has confirmed."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.spool = Spool(str(tmp_path / "state"), "sftp://u@h/in")
        self.spool.make()
        self.files = Path(os.fsdecode(self.spool.files))
        self.ledger = Ledger(str(tmp_path / "sftp.db"))
        self.receipts: dict[bytes, Any] = {}
        stored = lambda conn, root, names: {name: self.receipts[name] for name in names if name in self.receipts}  # noqa: E731
        monkeypatch.setattr(spool_module.drop_folders, "stored", stored)

        class NoDatabase:
            def reading(self) -> AbstractContextManager[None]:
                return nullcontext()

        left_out = lambda files: [False] * len(files)  # noqa: E731
        self.keeper = SpoolKeeper(self.spool, NoDatabase(), 1, lambda: None, left_out, Room())  # type: ignore[arg-type]

    def put(self, name: bytes, data: bytes, mtime_s: int = 1000, confirmed: bool = True) -> None:
        draft = os.path.join(self.spool.drafts, "draft")
        Path(draft).write_bytes(data)
        os.utime(draft, (mtime_s, mtime_s))
        self.spool.place(draft, name)
        if confirmed:
            self.receipts[name] = self.spool.look(name), "0" * 64

    def arrive(self, name: bytes, seen: Seen, settled: bool = True) -> Arrival:
        self.ledger.add("s", [(name, seen)])
        [arrival] = self.ledger.open("s")
        self.ledger.stored([(arrival.id, "0" * 64)])
        if settled:
            self.ledger.settle([arrival.id])
        found = self.ledger.last("s", name)
        assert found is not None
        return found

    def clear(self, keep_ms: int = 0, keep_bytes: int = 1 << 40) -> list[str]:
        Clearing(self.spool, self.keeper, self.ledger, "s", Keeping(keep_ms, keep_bytes)).clear(2_000_000_000_000)
        return sorted(path.name for path in self.files.rglob("*"))


@pytest.fixture
def spooled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Spooled:
    return Spooled(tmp_path, monkeypatch)


def test_an_earlier_version_in_the_spool_is_no_receipt_for_a_later_one(spooled: Spooled) -> None:
    """A power cut can take the new name of a fetched file, and leave the one that was there, with its receipt."""
    spooled.put(b"a", b"one", 1000)
    first, second = Arrival("1", b"a", Seen(3, 1000), State.FETCHED, None, None), Seen(3, 1001)
    later = first._replace(seen=second)
    assert spooled.keeper.stored([first]) == [("1", "0" * 64)]
    assert spooled.keeper.stored([later]) == []
    assert spooled.keeper.lost([first, later]) == ["1"]


def test_nothing_is_fetched_that_would_fill_the_disk(spooled: Spooled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "KEEP_FREE_BYTES", 1 << 60)
    arrival = Arrival("1", b"a", Seen(3, 1000), State.FOUND, None, None)
    with pytest.raises(OSError, match="no room"):
        spooled.keeper.keep(None, b"/in/a", arrival)


class Disk:
    """One with so many bytes; what lies in the drafts is taken."""

    def __init__(self, spooled: Spooled, monkeypatch: pytest.MonkeyPatch, size_bytes: int) -> None:
        self.drafts = Path(spooled.spool.drafts)
        self.size_bytes = size_bytes
        monkeypatch.setattr(spool_module, "KEEP_FREE_BYTES", 100)
        monkeypatch.setattr(spool_module.shutil, "disk_usage", lambda _: self)
        monkeypatch.setattr(spool_module, "fetch", self.fetch)
        self.fetching: Callable[[], object] = lambda: None

    @property
    def free(self) -> int:
        return self.size_bytes - sum(draft.stat().st_size for draft in self.drafts.iterdir())

    def fetch(self, client: Any, remote: bytes, size_bytes: int, mtime_s: int, draft: str, check: Any) -> int:
        """Half of it comes; then something happens."""
        Path(draft).write_bytes(b"x" * (size_bytes // 2))
        self.fetching()
        Path(draft).write_bytes(b"x" * size_bytes)
        return size_bytes


def version(number: int, size_bytes: int = 700) -> Arrival:
    return Arrival(str(number), b"%d" % number, Seen(size_bytes, 1000), State.FOUND, None, None)


def test_what_is_promised_to_one_file_is_no_room_for_another(spooled: Spooled, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(spooled, monkeypatch, 1024)

    def another() -> None:
        disk.fetching = lambda: None
        with pytest.raises(OSError, match="no room"):
            spooled.keeper.keep(None, b"/in/2", version(2))
        spooled.keeper.keep(None, b"/in/3", version(3, 200))  # for this one there is

    disk.fetching = another
    assert spooled.keeper.keep(None, b"/in/1", version(1)) is None
    assert sorted(path.name for path in spooled.files.iterdir()) == ["1", "3"]


def test_drafts_for_which_there_is_no_room_make_room_for_others(
    spooled: Spooled, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(spooled, monkeypatch, 1024)
    for number in (1, 2):
        (disk.drafts / str(number)).write_bytes(b"x" * 400)
    with pytest.raises(OSError, match="no room"):
        spooled.keeper.keep(None, b"/in/1", version(1))
    assert spooled.keeper.keep(None, b"/in/2", version(2)) is None
    assert list(disk.drafts.iterdir()) == []


def test_a_draft_goes_where_the_disk_is_full_and_stays_where_the_connection_broke(
    spooled: Spooled, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(spooled, monkeypatch, 1024)

    def raising(error: Exception) -> Callable[[], object]:
        def fail() -> None:
            raise error

        return fail

    for error, left in ((SftpUnreachable("broken"), ["1"]), (OSError(errno.ENOSPC, "full"), [])):
        disk.fetching = raising(error)
        with pytest.raises(type(error)):
            spooled.keeper.keep(None, b"/in/1", version(1))
        assert [draft.name for draft in disk.drafts.iterdir()] == left
    disk.fetching = lambda: None
    assert spooled.keeper.keep(None, b"/in/1", version(1)) is None  # nothing is promised to those any more


def test_copies_go_once_they_are_stored_and_dealt_with(spooled: Spooled) -> None:
    spooled.put(b"deep/er/done", b"1")
    spooled.arrive(b"deep/er/done", Seen(1, 1000))
    spooled.put(b"unconfirmed", b"1", confirmed=False)
    spooled.arrive(b"unconfirmed", Seen(1, 1000))
    spooled.put(b"newer", b"2", 2000)
    spooled.arrive(b"newer", Seen(1, 1000))
    spooled.put(b"long forgotten", b"1")
    spooled.put(b"nobody's", b"1", confirmed=False)
    spooled.put(b"unsettled", b"1")
    spooled.arrive(b"unsettled", Seen(1, 1000), settled=False)
    assert spooled.clear() == sorted(["newer", "nobody's", "unconfirmed", "unsettled"])


def test_copies_are_kept_for_a_while_and_not_more_than_so_much(spooled: Spooled) -> None:
    for number in range(4):
        name = b"%d" % number
        spooled.put(name, b"x" * 100)
        spooled.arrive(name, Seen(100, 1000))
        time.sleep(0.005)  # the oldest go first
    assert spooled.clear(keep_ms=1 << 60) == ["0", "1", "2", "3"]
    assert spooled.clear(keep_ms=1 << 60, keep_bytes=250) == ["2", "3"]
    assert spooled.clear(keep_ms=0) == []


def test_copies_that_may_not_go_stand_before_no_others(spooled: Spooled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clearing, "AT_A_TIME", 2)
    for name in (b"1 stuck", b"2 stuck", b"3", b"4 stuck", b"5"):
        spooled.put(name, b"x", confirmed=b"stuck" not in name)
        spooled.arrive(name, Seen(1, 1000))
        time.sleep(0.005)
    rounds = Clearing(spooled.spool, spooled.keeper, spooled.ledger, "s", Keeping(0, 1 << 40))
    assert [rounds.clear(2_000_000_000_000) for _ in range(4)] == [0, 1, 1, 0]
    spooled.receipts[b"1 stuck"] = spooled.spool.look(b"1 stuck"), "0" * 64
    assert sum(rounds.clear(2_000_000_000_000) for _ in range(2)) == 1
    assert sorted(path.name for path in spooled.files.iterdir()) == ["2 stuck", "4 stuck"]


@pytest.mark.parametrize(("before", "after"), [(b"a", b"a/b/c"), (b"a/b/c", b"a")])
def test_a_folder_takes_the_place_of_a_file_that_is_stored_and_the_other_way_round(
    spooled: Spooled, monkeypatch: pytest.MonkeyPatch, before: bytes, after: bytes
) -> None:
    """The copy that stays in the spool for a month is in nobody's way; one that is not stored waits for its receipt."""
    spooled.put(before, b"one", confirmed=False)
    arrived = spooled.arrive(before, Seen(3, 1000))
    clearing = Clearing(spooled.spool, spooled.keeper, spooled.ledger, "s", Keeping(1 << 40, 1 << 40))
    spooled.keeper.make_way = clearing.make_way

    def fetch(client: Any, remote: bytes, size: int, mtime: int, draft: str, check: object) -> None:
        Path(draft).write_bytes(b"three")

    monkeypatch.setattr(spool_module, "fetch", fetch)
    coming = Arrival("2", after, Seen(5, 2000), State.FOUND, None, None)
    with pytest.raises(OSError, match="not stored yet"):
        spooled.keeper.keep(None, b"/in", coming)
    assert spooled.spool.look(before) is not None
    spooled.receipts[before] = spooled.spool.look(before), arrived.sha256
    assert spooled.keeper.keep(None, b"/in", coming) is None
    assert [str(path.relative_to(spooled.files)) for path in spooled.files.rglob("*") if path.is_file()] == [
        os.fsdecode(after)
    ]
