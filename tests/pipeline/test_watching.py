"""Events as hints: whatever becomes of them, the next scan makes it good, and until then the status says so."""

import asyncio
import os
import random
import shutil
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from pair import DEADLINE_S, Pair, entries_in, noise, running_pair, write

from pp_assist.core.model import FileState, Stage
from pp_assist.scanner import guard, inotify, scanner
from pp_assist.scanner.filesystems import file_system, why_events_are_not_enough
from pp_assist.scanner.watch_linux import LinuxEvents
from pp_assist.scanner.watch_others import OtherEvents
from pp_assist.store.queue import LONGEST_SLEEP_S

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify")

QUEUED_EVENTS = Path("/proc/sys/fs/inotify/max_queued_events")


@pytest.fixture(autouse=True)
def impatient_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are written to are looked at ten times as often."""
    monkeypatch.setattr(scanner, "LATER_WAIT_S", 0.2)


@asynccontextmanager
async def watching_pair(folder: Path, **settings: object) -> AsyncIterator[Pair]:
    """A pair that scans once at the start and then hears of everything by events."""
    async with running_pair(folder, **{"use_filesystem_events": True, "canary_seconds": 3600.0} | settings) as pair:
        await condition(pair, "healthy")
        yield pair


@pytest.fixture
async def watching(tmp_path: Path) -> AsyncIterator[Pair]:
    async with watching_pair(tmp_path) as pair:
        yield pair


def many_others(pair: Pair, count: int) -> None:
    """Write more files, so that those that go are not so many that a person is asked."""
    for number in range(count):
        write(pair.tree / f"other{number}", f"{number}")


async def until(told: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not told():
            await asyncio.sleep(0.01)


async def condition(pair: Pair, wanted: str) -> str | None:
    """Wait until the root is in that condition, and no scan is just ending; return the reason."""
    assert pair.daemon
    stage = pair.daemon.scanner
    await until(lambda: stage.condition(1)[0] == wanted)
    if wanted == "healthy":
        await stage.request_scan([]).finished.wait()
    return stage.condition(1)[1]


def scans(pair: Pair) -> int:
    assert pair.daemon
    return pair.daemon.scanner.stats.scans_finished


async def heard(pair: Pair) -> None:
    """Wait until the server has the tree by events alone; then a scan finds nothing that was missed."""
    before = scans(pair)
    names = set(entries_in(pair.tree))
    end = time.monotonic() + DEADLINE_S + LONGEST_SLEEP_S  # what a queue was not woken for, it finds by itself
    while True:
        counts, live = await pair.counts(), set(await pair.live_entries())
        if counts.queued(*Stage) == 0 and live == names:
            break
        different = sorted(live ^ names)
        assert time.monotonic() < end, f"not told of: {different[:20]}, or work is left: {counts.work}"
        await asyncio.sleep(0.05)
    assert scans(pair) == before, "not by events"
    await pair.assert_equal()
    assert pair.daemon
    assert pair.daemon.scanner.stats.missed_changes == 0


@contextmanager
def reader_stopped(pair: Pair) -> Iterator[LinuxEvents]:
    """Stop the thread that reads events, for the block."""
    assert pair.daemon
    watcher = pair.daemon.scanner._watcher
    assert watcher is not None
    assert isinstance(watcher.events, LinuxEvents)
    with watcher.events.lock:
        yield watcher.events


async def test_a_scan_comes_after_what_events_have_told_of(watching: Pair) -> None:
    for number in range(300):
        write(watching.tree / f"{number % 20}" / f"{number}", f"{number}")
    assert watching.daemon
    stage = watching.daemon.scanner
    assert stage._watcher is not None
    await until(stage._watcher.sink.woken.is_set)
    await watching.scan()
    told = await watching.daemon.db.rows("SELECT noticed_by, COUNT(*) FROM files GROUP BY 1")
    assert [tuple(row) for row in told] == [("event", 320)]
    await watching.assert_equal()


async def test_directories_made_at_once_with_files_in_them(watching: Pair) -> None:
    for number in range(40):
        write(watching.tree / f"a{number}" / "b" / "c" / "d" / "file", f"{number}")
    await heard(watching)
    for number in range(40):
        write(watching.tree / f"a{number}" / "b" / "c" / "late", f"{number}")
    await heard(watching)


async def test_trees_moved_in_renamed_and_moved_out_are_watched_where_they_are(watching: Pair) -> None:
    many_others(watching, 100)
    outside = watching.folder / "outside"
    for number in range(20):
        write(outside / "deep" / f"{number}" / "file", f"{number}")
    outside.rename(watching.tree / "in")
    await heard(watching)
    write(watching.tree / "in" / "deep" / "3" / "late", "in a tree that came from elsewhere")
    await heard(watching)
    (watching.tree / "in" / "deep").rename(watching.tree / "up")
    write(watching.tree / "up" / "4" / "late", "in a tree that was renamed")
    await heard(watching)
    (watching.tree / "up").rename(outside)
    await heard(watching)
    with reader_stopped(watching) as events:
        watched = {place.directory for place in events._by_watch.values() if place.root_id}
    assert watched == {b"", b"in"}
    write(outside / "4" / "ghost", "of no concern")
    outside.rename(watching.tree / "back")
    (watching.tree / "back" / "4" / "ghost").unlink()
    await heard(watching)


async def test_a_storm_of_renames(watching: Pair) -> None:
    rng = random.Random(5)
    many_others(watching, 500)
    for number in range(10):
        write(watching.tree / f"{number}" / "sub" / "file", f"{number}")
    await heard(watching)
    for _ in range(400):
        one, other = rng.sample(range(12), 2)
        source, target = watching.tree / f"{one}", watching.tree / f"{other}"
        if source.exists() and not target.exists():
            source.rename(target)
        if rng.random() < 0.1:
            await asyncio.sleep(0.02)
    await heard(watching)
    for folder in watching.tree.iterdir():
        if folder.is_dir():
            write(folder / "sub" / "after the storm", folder.name)
    await heard(watching)


async def test_directories_made_and_removed_and_made_again(watching: Pair) -> None:
    for turn in range(30):
        write(watching.tree / "d" / "e" / "file", f"{turn}")
        if turn % 3:
            await asyncio.sleep(0.03)
        if turn < 29:
            shutil.rmtree(watching.tree / "d")
    await heard(watching)
    write(watching.tree / "d" / "e" / "late", "x")
    await heard(watching)


async def test_20_000_files_come_and_go(watching: Pair) -> None:
    for number in range(20_000):
        path = watching.tree / f"{number % 50}-{number}"
        path.touch()
        if number % 1000:
            path.unlink()
    await heard(watching)


async def test_what_changes_without_being_written_and_closed(watching: Pair) -> None:
    """A file that stays open, one that is cut by name, another mode, another time; a folder's mode, a link."""
    for name in ("open", "cut", "mode", "time"):
        write(watching.tree / name, "content")
    (watching.tree / "folder").mkdir()
    os.symlink("one", watching.tree / "link")
    await heard(watching)
    with open(watching.tree / "open", "ab") as file:
        file.write(b" and more")
        file.flush()
        os.truncate(watching.tree / "cut", 3)
        (watching.tree / "mode").chmod(0o604)
        os.utime(watching.tree / "time", (5, 5))
        (watching.tree / "folder").chmod(0o711)
        (watching.tree / "link").unlink()
        os.symlink("two", watching.tree / "link")
        before = scans(watching)
        async with asyncio.timeout(DEADLINE_S):
            while True:
                by_name = {os.path.basename(each["filepath"]): each for each in await watching.listing("any")}
                sizes = by_name["open"]["file_size"], by_name["cut"]["file_size"]
                modes = by_name["mode"]["mode"], by_name["folder"]["mode"]
                others = by_name["time"]["mtime_ns"], by_name["link"]["link_target"]
                if (sizes, modes, others) == ((16, 3), (0o604, 0o711), (5 * 10**9, "two")):
                    break
                await asyncio.sleep(0.05)
        assert scans(watching) == before


async def test_more_events_than_the_kernel_keeps(watching: Pair) -> None:
    """The reader stands still: events are lost, among them those of new directories. It is said, and made good."""
    assert watching.daemon
    limit = int(QUEUED_EVENTS.read_text())
    for name in ("leaves", "goes", "moves"):
        write(watching.tree / name / "below" / "file", name)
    many_others(watching, 100)
    await heard(watching)
    before = scans(watching)
    with reader_stopped(watching):
        write(watching.tree / "first", "x")
        time.sleep(0.05)  # what is read already is not in the queue
        for number in range(limit // 2 + 100):
            (watching.tree / f"t{number % 2}").touch()
            (watching.tree / f"t{number % 2}").unlink()
        for number in range(20):
            write(watching.tree / f"lost{number}" / "below" / "file", f"{number}")
        (watching.tree / "leaves").rename(watching.folder / "outside")
        (watching.tree / "moves").rename(watching.tree / "moved")
        shutil.rmtree(watching.tree / "goes")
        (watching.folder / "outside" / "below" / "file").write_text("of no concern any more")
    await until(lambda: scans(watching) > before)
    assert scans(watching) == before + 1
    await condition(watching, "healthy")
    await watching.assert_equal()
    assert watching.daemon.scanner.stats.missed_changes == 21 + 3, "the folder that was moved is one change"
    with reader_stopped(watching) as events:
        watched = {place.directory for place in events._by_watch.values() if place.root_id}
    tree = os.fsencode(watching.tree)
    assert watched == {os.path.relpath(folder, tree) if folder != tree else b"" for folder, _, _ in os.walk(tree)}
    write(watching.tree / "moved" / "below" / "late", "x")
    watching.daemon.scanner.stats.missed_changes = 0
    for number in range(20):
        write(watching.tree / f"lost{number}" / "below" / "late", f"{number}")
    await heard(watching)


async def test_while_events_were_lost_the_path_is_behind(watching: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    assert watching.daemon
    stage = watching.daemon.scanner
    go_on = asyncio.Event()
    real = stage._look_at_everything

    async def held_up(*args: object) -> object:
        await go_on.wait()
        return await real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(stage, "_look_at_everything", held_up)
    watcher = stage._watcher
    assert watcher is not None
    with watcher.sink.noting():
        watcher.sink.lost("a storm")
    assert await condition(watching, "behind") == "a storm"
    assert not watcher.proven(1)
    with watcher.sink.noting():
        watcher.sink.lost("another storm")  # the scan that has begun does not make up for it
    await asyncio.sleep(0.1)
    go_on.set()
    assert await condition(watching, "healthy") is None


async def test_it_is_behind_from_the_moment_on_that_hints_are_given_up(watching: Pair) -> None:
    """Also while those before them are still being followed, and nobody has taken note of it."""
    assert watching.daemon
    stage = watching.daemon.scanner
    watcher = stage._watcher
    assert watcher
    with watcher.sink.noting() as notes:
        notes.now.distrust(1, "too many changes at once")
    assert stage.condition(1) == ("behind", "too many changes at once"), "nobody had a turn since"
    assert not watcher.proven(1)
    looked = watching.daemon.scanner.stats.files_scanned
    write(watching.tree / "there", "is something to look at")
    async with asyncio.timeout(DEADLINE_S):
        while stage.condition(1)[0] == "behind":
            await asyncio.sleep(0)
    await watching.settle()
    assert stage.stats.files_scanned > looked, "a scan has made up for it"


async def test_a_reader_that_died_is_replaced(tmp_path: Path) -> None:
    async with watching_pair(tmp_path, canary_seconds=0.1) as pair:
        assert pair.daemon
        watcher = pair.daemon.scanner._watcher
        assert watcher is not None
        await until(lambda: watcher.proven(1))
        dead = watcher.events
        dead.close()
        write(pair.tree / "d" / "unheard", "x")
        await until(lambda: watcher.events is not dead and watcher.proven(1))
        await pair.assert_equal()
        pair.daemon.scanner.stats.missed_changes = 0
        write(pair.tree / "d" / "late", "x")
        await heard(pair)


async def test_a_reader_that_hears_nothing_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread is alive, only nothing comes any more."""
    monkeypatch.setattr(guard, "CANARY_S", 0.3)
    async with watching_pair(tmp_path, canary_seconds=0.1) as pair:
        assert pair.daemon
        watcher = pair.daemon.scanner._watcher
        assert watcher is not None
        deaf = watcher.events
        assert isinstance(deaf, LinuxEvents)
        await until(lambda: watcher.proven(1))
        with deaf.lock:
            deaf._by_watch.clear()
            assert deaf.alive
        write(pair.tree / "d" / "unheard", "x")
        await until(lambda: watcher.events is not deaf and watcher.proven(1))
        await pair.assert_equal()
        pair.daemon.scanner.stats.missed_changes = 0
        write(pair.tree / "d" / "late", "x")
        await heard(pair)


async def test_after_a_sleep_everything_is_scanned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with watching_pair(tmp_path, canary_seconds=0.1) as pair:
        assert pair.daemon
        before, asleep = scans(pair), pair.daemon.clock.asleep_ms()
        await asyncio.sleep(0.5)
        assert scans(pair) == before
        monkeypatch.setattr(pair.daemon.clock, "asleep_ms", lambda: asleep + 60_000)
        await until(lambda: scans(pair) > before)
        await condition(pair, "healthy")


@pytest.mark.parametrize("moved", ["above/tree", "above"])
async def test_a_root_that_goes_and_comes_is_noticed_without_a_scan_being_due(tmp_path: Path, moved: str) -> None:
    """Where a folder above is moved, the root itself is told nothing: its place is looked at with the canary."""
    pair = Pair(tmp_path, use_filesystem_events=True, canary_seconds=0.1)
    pair.tree = tmp_path / "above" / "tree"
    write(pair.tree / "f", "first")
    try:
        await pair.start_server()
        await pair.start_daemon()
        assert pair.daemon
        await condition(pair, "healthy")
        await heard(pair)
        (tmp_path / moved).rename(tmp_path / "away")
        async with asyncio.timeout(DEADLINE_S):
            while (await pair.daemon.roots.all())[0].status != "unhealthy":
                await asyncio.sleep(0.01)
        (tmp_path / "away").rename(tmp_path / moved)
        await condition(pair, "healthy")
        write(pair.tree / "late", "second")
        await heard(pair)
        assert (await pair.counts()).files[FileState.COMPLETED] == 2
    finally:
        await pair.stop_daemon()
        await pair.stop_server()


async def test_a_writer_that_never_rests_does_not_keep_the_daemon_busy(watching: Pair) -> None:
    """Thousands of writes a second to a file that stays open are a few looks a second."""
    assert watching.daemon
    stop = threading.Event()

    def write_on() -> None:
        with open(watching.tree / "log", "ab", buffering=0) as file:
            while not stop.wait(0.0005):
                file.write(b"line\n")

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        before = watching.daemon.scanner.stats.announced_changes
        await asyncio.sleep(2)
        looks = watching.daemon.scanner.stats.announced_changes - before
        assert 1 <= looks <= 2 / 0.2 + 3
    finally:
        stop.set()
        writer.join()
    await heard(watching)


async def test_many_bytes_in_one_name_and_names_that_are_no_text(watching: Pair) -> None:
    for name in (b"x" * 255, b"\xff\xfe\n", "Grüße".encode()):
        with open(os.fsencode(watching.tree) + b"/" + name, "wb") as file:
            file.write(noise(100, len(name)))
    await heard(watching)


MOUNTS = b"""\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:30 / /home rw,relatime - btrfs /dev/sdb rw
31 30 0:31 / /home/me/with\\040blank rw - nfs4 server:/export rw
32 30 0:32 / /home/me/phone rw - fuse.sshfs phone:/ rw
33 30 0:33 / /home/me/disk rw - fuseblk /dev/sdc1 rw
"""


@pytest.mark.parametrize(
    ("path", "kind", "foreign"),
    [
        (b"/home/me", "btrfs", False),
        (b"/homes", "ext4", False),
        (b"/home/me/with blank", "nfs4", True),
        (b"/home/me/with blank/below", "nfs4", True),
        (b"/home/me/phone", "fuse.sshfs", True),
        (b"/home/me/disk/x", "fuseblk", False),
    ],
)
def test_file_systems_that_others_write_to(tmp_path: Path, path: bytes, kind: str, foreign: bool) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_bytes(MOUNTS)
    assert file_system(path, str(mounts)) == kind
    assert bool(why_events_are_not_enough(path, str(mounts))) is foreign
    assert why_events_are_not_enough(path, str(tmp_path / "none")) is None


@pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")
async def test_without_inotify_events_are_used_and_never_proven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What other systems have (watchdog) runs here, too."""
    monkeypatch.setattr(inotify, "AVAILABLE", False)
    async with watching_pair(tmp_path, canary_seconds=0.1) as pair:
        assert pair.daemon
        watcher = pair.daemon.scanner._watcher
        assert watcher is not None
        assert isinstance(watcher.events, OtherEvents)
        await until(lambda: watcher.canary_passed)
        assert not watcher.proven(1)
        write(pair.tree / "a" / "b" / "file", "x")
        await heard(pair)
        (pair.tree / "a").rename(pair.tree / "c")
        await heard(pair)


async def test_what_a_change_was_noticed_by_is_written_with_it(tmp_path: Path) -> None:
    write(tmp_path / "tree" / "before", "x")
    async with running_pair(tmp_path, use_filesystem_events=True) as pair:
        assert pair.daemon
        await pair.assert_equal()
        await noticed(pair, b"before", "start")
        write(pair.tree / "new", "x")
        await noticed(pair, b"new", "event")
        await pair.stop_daemon()
    async with running_pair(tmp_path) as pair:  # nobody tells
        await pair.settle()
        write(pair.tree / "before", "changed")
        await pair.scan()
        await noticed(pair, b"before", "scan")
        await noticed(pair, b"new", "event")
        (pair.tree / "new").unlink()
        await pair.scan()
        await noticed(pair, b"new", "scan")


async def noticed(pair: Pair, name: bytes, by: str) -> None:
    """Wait until that is what made us see the last change of a file."""
    await pair.until_value(f"SELECT noticed_by FROM files WHERE name = x'{name.hex()}'", by)
