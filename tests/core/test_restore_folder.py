"""Making files in a folder that is not only ours, of a server that says whatever it likes."""

import errno
import hashlib
import os
import stat
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pp_assist import posix
from pp_assist.core.errors import Refused, ServerNonsense, ServerUnavailable
from pp_assist.restore import command
from pp_assist.restore import restore as restoring
from pp_assist.restore.folder import BEGUN_MODE, Done, Folder, temporary_name
from pp_assist.restore.large import BeingMade, LargeFile
from pp_assist.restore.restore import restore
from pp_assist.restore.wanted import Outcome, Wanted
from pp_server.wire.restore import TreeEntry


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    opened = Folder(os.fsencode(tmp_path), overwrite=False, owners=False)
    yield opened
    opened.close()


def file(name: str, content: bytes, **facts: Any) -> Wanted:
    usual = {"link_target": None, "mtime_ns": None, "mode": 0o640, "uid": None, "gid": None}
    return Wanted(name.encode(), "file", len(content), hashlib.sha256(content).hexdigest(), **{**usual, **facts})


class Answering:
    """A server that has these contents, and answers to questions for many with others only."""

    def __init__(self, one_by_one: Mapping[str, bytes], together: Sequence[tuple[str, bytes]], error: bool) -> None:
        self.one_by_one, self.together, self.error = one_by_one, together, error

    async def contents(self, digests: Sequence[str]) -> AsyncGenerator[tuple[str, bytes | None], None]:
        for each in self.together:
            yield each
        if self.error:
            raise ServerNonsense("what comes next makes no sense")

    async def content(self, digest: str, offset: int) -> AsyncGenerator[bytes, None]:
        if digest not in self.one_by_one:
            raise Refused("there is no such content")
        yield self.one_by_one[digest][offset:]


@pytest.mark.parametrize("error", [False, True])
async def test_what_a_server_leaves_out_is_asked_for_by_itself(folder: Folder, tmp_path: Path, error: bool) -> None:
    files = [file(name, name.encode()) for name in ("a", "b", "c")]
    a, b, _ = (each.digest for each in files)
    server = Answering({b: b"b"}, [(a, b"a"), ("f" * 64, b"never asked for"), (a, b"a")], error)
    done: list[Done] = []
    await restore(server, folder, files, done.extend)  # type: ignore[arg-type]
    outcomes = {each.name: outcome for each, outcome, _ in done}
    assert outcomes == {b"a": Outcome.RESTORED, b"b": Outcome.RESTORED, b"c": Outcome.FAILED}
    assert len(done) == 3
    assert {name for name in os.listdir(tmp_path) if not name.startswith(".pp-get-")} == {"a", "b"}


class Overloaded:
    """A server that can serve nobody now, and says when it may; it counts who asks all the same."""

    def __init__(self, times: int, wait_s: float | None) -> None:
        self.left, self.wait_s, self.asked = times, wait_s, 0

    def _answer(self) -> None:
        self.asked += 1
        self.left -= 1
        if self.left >= 0:
            raise ServerUnavailable("the server answers 503: overloaded", self.wait_s)

    async def contents(self, digests: Sequence[str]) -> AsyncGenerator[tuple[str, bytes | None], None]:
        self._answer()
        for each in digests:
            yield each, None

    async def content(self, digest: str, offset: int) -> AsyncGenerator[bytes, None]:
        self._answer()
        yield b"x"


@pytest.mark.parametrize("together", [True, False])
async def test_a_server_that_can_serve_nobody_is_not_asked_for_each_file(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    monkeypatch.setattr(restoring, "RESTS_S", (0.0, 0.0))
    files = [file(str(number), b"%d" % number) for number in range(100)]
    server = Overloaded(1000, None)
    with pytest.raises(ServerUnavailable):
        await restore(server, folder, files, lambda _: None, together=together)  # type: ignore[arg-type]
    assert server.asked == (1 if together else 3)


@pytest.mark.parametrize(("asked_for_s", "rests"), [(None, [1.0, 2.0]), (5.0, [5.0, 5.0]), (3600.0, [30.0, 30.0])])
async def test_a_server_that_can_serve_nobody_now_is_asked_again_when_it_says(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked_for_s: float | None, rests: list[float]
) -> None:
    rested: list[float] = []

    async def sleep(seconds: float) -> None:
        rested.append(seconds)

    monkeypatch.setattr(restoring.asyncio, "sleep", sleep)
    server = Overloaded(2, asked_for_s)
    await restore(server, folder, [file("a", b"x")], lambda _: None, together=False)  # type: ignore[arg-type]
    assert (rested, (tmp_path / "a").read_bytes()) == (rests, b"x")


def settled(path: Path, *directories: Wanted) -> tuple[int, int]:
    opened = Folder(os.fsencode(path), overwrite=False, owners=False)
    opened.settle_directories(directories)
    opened.close()
    found = path.stat()
    return stat.S_IMODE(found.st_mode), found.st_mtime_ns


def test_only_a_folder_that_was_made_for_it_becomes_like_the_one_it_was(tmp_path: Path) -> None:
    before = Wanted(b"", "dir", 0, None, None, 5_000_000_007, 0o750, None, None)
    (tmp_path / "mine").mkdir(mode=0o711)
    os.utime(tmp_path / "mine", ns=(3, 3))
    assert settled(tmp_path / "mine", before) == (0o711, 3)
    assert settled(tmp_path / "above" / "new", before) == (0o750, 5_000_000_007)
    assert settled(tmp_path / "for one file")[0] == 0o755
    Folder(os.fsencode(tmp_path / "cut"), overwrite=False, owners=False).close()  # before it was settled
    assert settled(tmp_path / "cut", before) == (0o750, 5_000_000_007)


def test_a_folder_is_restored_only_where_something_about_it_is_not_right(folder: Folder, tmp_path: Path) -> None:
    known = Wanted(b"known", "dir", 0, None, None, 5_000_000_007, 0o750, os.getuid(), os.getgid())
    plain = Wanted(b"plain", "dir", 0, None, None, None, None, None, None)

    def outcomes() -> dict[bytes, Outcome]:
        again = Folder(os.fsencode(tmp_path), overwrite=False, owners=True)
        again.make_directories([b"known", b"plain"])
        done = again.settle_directories([known, plain])
        again.close()
        return {each.name: outcome for each, outcome, _ in done}

    assert outcomes() == {b"known": Outcome.RESTORED, b"plain": Outcome.RESTORED}
    assert outcomes() == {b"known": Outcome.RIGHT, b"plain": Outcome.RIGHT}
    (tmp_path / "known").chmod(0o700)
    assert outcomes() == {b"known": Outcome.RESTORED, b"plain": Outcome.RIGHT}
    (tmp_path / "known" / "new").write_text("")
    assert outcomes() == {b"known": Outcome.RESTORED, b"plain": Outcome.RIGHT}
    assert (tmp_path / "known").stat().st_mtime_ns == 5_000_000_007


@pytest.mark.parametrize(("uid", "gid", "mode"), [(0, 0, 0o6755), (1, 0, 0o755), (0, 1, 0o755), (None, None, 0o755)])
def test_nobody_gets_the_rights_of_another_owner(
    folder: Folder, tmp_path: Path, uid: int | None, gid: int | None, mode: int
) -> None:
    """Numbers are as seen from us: 0 is our own."""
    facts = {
        "uid": None if uid is None else os.getuid() + uid, "gid": None if gid is None else os.getgid() + gid,
        "mode": 0o6755,
    }  # fmt: skip
    folder.write([(file("small", b"x", **facts), b"x")])
    large = LargeFile(folder, file("large", b"x", **facts))
    large.write(b"x")
    large.finish()
    large.close()
    for name in ("small", "large"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode, name


def test_a_file_without_permissions_is_somebodys(folder: Folder, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_bytes(b"newer")
    for mode in (0, 0o200):
        mine.chmod(mode)
        ((_, outcome, _),) = filter(None, folder.sort_out([file("mine", b"older")]))
        assert outcome is Outcome.DIFFERS
    mine.chmod(0o600)
    assert mine.read_bytes() == b"newer"
    mine.chmod(BEGUN_MODE)
    assert folder.sort_out([file("mine", b"older")]) == [None]
    assert not mine.exists()


def test_facts_that_no_file_can_have_spoil_one_file(folder: Folder, tmp_path: Path) -> None:
    wanted = [file("a", b"x", mtime_ns=10**30), file("b", b"x", mode=2**40), file("c", b"x")]
    assert [outcome for _, outcome, _ in folder.write([(each, b"x") for each in wanted])] == [
        Outcome.FAILED,
        Outcome.FAILED,
        Outcome.RESTORED,
    ]
    assert os.listdir(tmp_path) == ["c"]


@pytest.mark.parametrize("trap", ["link", "another_name", "fifo", "open_to_all"])
def test_a_large_file_goes_on_only_with_what_is_certainly_ours(folder: Folder, tmp_path: Path, trap: str) -> None:
    content, elsewhere = b"c" * 1000, tmp_path / "elsewhere"
    elsewhere.write_bytes(b"V" * 5000)
    wanted = file("large", content)
    begun = tmp_path / os.fsdecode(temporary_name(wanted))
    match trap:
        case "link":
            begun.symlink_to(elsewhere)
        case "another_name":
            os.link(elsewhere, begun)
        case "fifo":
            os.mkfifo(begun)
        case "open_to_all":
            begun.write_bytes(content[:10])
            begun.chmod(0o666)
    made = LargeFile(folder, wanted)
    assert made.offset == 0
    made.write(content)
    assert made.finish() is Outcome.RESTORED
    made.close()
    assert elsewhere.read_bytes() == b"V" * 5000
    found = (tmp_path / "large").lstat()
    assert (found.st_nlink, stat.S_IMODE(found.st_mode)) == (1, 0o640)
    assert (tmp_path / "large").read_bytes() == content


def test_a_large_file_is_made_by_one_at_a_time(folder: Folder, tmp_path: Path) -> None:
    content = b"c" * 1000
    wanted = file("large", content)
    first = LargeFile(folder, wanted)
    first.write(content[:500])
    with pytest.raises(BeingMade):
        LargeFile(folder, wanted)
    first.write(content[500:])
    assert first.finish() is Outcome.RESTORED
    first.close()
    second = LargeFile(folder, wanted)
    assert second.offset == 0
    second.close()
    assert (tmp_path / "large").read_bytes() == content


def test_who_comes_when_a_large_file_gets_its_name_does_not_write_into_it(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"c" * 1000
    wanted = file("large", content)
    first = LargeFile(folder, wanted)
    first.write(content)
    lock = posix.lock

    def late(fd: int) -> None:
        monkeypatch.setattr(posix, "lock", lock)
        first.finish()
        first.close()
        lock(fd)

    monkeypatch.setattr(posix, "lock", late)
    with pytest.raises(BeingMade):
        LargeFile(folder, wanted)
    assert os.listdir(tmp_path) == ["large"]


@pytest.mark.parametrize("what", ["link", "read"])
def test_a_disk_in_trouble_takes_nothing_of_what_has_come(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    content = b"c" * 1000
    wanted = file("large", content)
    first = LargeFile(folder, wanted)
    first.write(content if what == "link" else content[:500])

    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, what, fails)
        if what == "read":
            first.close()
        with pytest.raises(OSError, match="Input/output"):
            first.finish() if what == "link" else LargeFile(folder, wanted)
    if what == "link":
        first.close()
    assert os.listdir(tmp_path) == [os.fsdecode(temporary_name(wanted))]
    second = LargeFile(folder, wanted)
    assert second.offset == (1000 if what == "link" else 500)
    second.write(content[second.offset :])
    assert second.finish() is Outcome.RESTORED
    second.close()
    assert (tmp_path / "large").read_bytes() == content


@pytest.mark.parametrize("is_taken", [False, True])
def test_where_a_file_can_have_one_name_only_a_large_one_is_made_all_the_same(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_taken: bool
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "link", refused)
    content = b"c" * 1000
    made = LargeFile(folder, file("large", content))
    made.write(content)
    if is_taken:
        (tmp_path / "large").write_bytes(b"mine")
    assert made.finish() is (Outcome.DIFFERS if is_taken else Outcome.RESTORED)
    made.close()
    assert os.listdir(tmp_path) == ["large"]
    assert (tmp_path / "large").read_bytes() == (b"mine" if is_taken else content)


def test_what_a_server_says_does_not_steer_a_terminal() -> None:
    entry = TreeEntry(filepath="/a", hostname="laptop\x1b[31m", host_id="h", kind="file", gen=1, mtime_ns=10**22)
    assert command._line(entry).isprintable()
