"""Content that changes without a trace in the file's times: no wrong byte leaves, and hashing again finds it.

On tmpfs, what is written through a mapping touches neither mtime nor ctime: a real change that no stat tells of.
"""

import mmap
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pair import Pair, noise, running_pair, write

from pp_assist.checksum.rehash import DAY_MS, Rehash
from pp_assist.core.model import FileState, Stage
from pp_assist.disk import stat_of

MIB = 1 << 20
SHARED_MEMORY = Path("/dev/shm")


@pytest.fixture
def folder() -> Iterator[Path]:
    if not SHARED_MEMORY.is_dir():
        pytest.skip("there is no /dev/shm")
    made = Path(tempfile.mkdtemp(dir=SHARED_MEMORY))
    yield made
    shutil.rmtree(made)


@pytest.fixture
async def pair(folder: Path) -> AsyncIterator[Pair]:
    async with running_pair(folder) as started:
        yield started


def change_silently(path: Path, offset: int) -> None:
    before = stat_of(path.stat())
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[offset] ^= 1
    assert stat_of(path.stat()) == before, "this file system tells of it: nothing is proven here"


@pytest.mark.parametrize("end", ["killed", "stopped"])
async def test_after_a_kill_what_was_written_shortly_before_is_hashed_again(pair: Pair, end: str) -> None:
    """It may have been the power: then a file may look as when it was hashed, and be what it was before that."""
    write(pair.tree / "a", noise(5000, 1))
    write(pair.tree / "b", noise(5000, 2))
    await pair.assert_equal()
    await (pair.kill_daemon() if end == "killed" else pair.stop_daemon())
    change_silently(pair.tree / "a", 17)
    await pair.start_daemon()
    if end == "killed":
        await pair.assert_equal()
        assert pair.bytes_sent == 5000
    else:
        await pair.settle()
        assert pair.daemon
        assert pair.daemon.checksums.stats.processed.total == 0


async def test_no_byte_of_another_version_leaves(pair: Pair) -> None:
    """Changed after it was hashed: its chunk is never sent, and what was announced is given up."""
    big = pair.tree / "big.bin"
    write(big, noise(4 * MIB, 1))
    await pair.stop_server()
    await pair.scan()
    await pair.until(lambda counts: counts.files[FileState.READY_FOR_UPLOAD] == 1)
    change_silently(big, 2 * MIB + 5)
    await pair.start_server()
    pair.weather.requests.clear()
    await pair.assert_equal()
    chunks = [path for method, path in pair.weather.requests if method == "PUT"]
    first, second = list(dict.fromkeys(path.split("/")[3] for path in chunks))
    sent = {path.rpartition("/")[2] for path in chunks if first in path}
    assert sent <= {"0", "1", "3"}
    assert ("DELETE", f"/api/uploads/{first}") in pair.weather.requests
    assert {path.rpartition("/")[2] for path in chunks if second in path} == {"0", "1", "2", "3"}


async def test_hashing_again_finds_it(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    """Not before its time; then it is counted, logged, and stored as a new version."""
    path = pair.tree / "deed.txt"
    write(path, "sold for 100")
    write(pair.tree / "other.txt", "untouched")
    await pair.assert_equal()
    daemon = pair.daemon
    assert daemon is not None
    await _hashed_long_ago(pair, 29)
    change_silently(path, 9)
    again = Rehash(daemon.db, daemon.queues, daemon.clock, days=30)
    assert await again.some() == 0
    await _hashed_long_ago(pair, 31)
    assert await again.some() == 2
    daemon.queues.checksum.wake()
    await pair.until(lambda counts: counts.queued(*Stage) == 0)
    await pair.assert_equal()
    assert daemon.checksums.stats.silent_changes == 1
    assert "deed.txt has other content" in caplog.text
    assert "other.txt" not in caplog.text
    assert await again.some() == 0, "what was just hashed is not due"


async def _hashed_long_ago(pair: Pair, days: int) -> None:
    daemon = pair.daemon
    assert daemon is not None
    async with daemon.db.transaction() as tx:
        at_ms = daemon.clock.now_ms() - days * DAY_MS
        await tx.execute("UPDATE files SET hashed_at_ms = ?, racy = 0", (at_ms,))
