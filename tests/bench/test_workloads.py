"""The benchmark's trees are what they say, and the same from the same seed; its line is as long and wide as asked."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import workloads
from tests.bench.contender import digests, folder_faults
from tests.bench.slowlink import Direction, SlowLink
from tests.bench.workloads import KIB, MIB, extent


def test_small_files_are_the_same_from_the_same_seed(tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("two", 1), ("other", 2)):
        workloads.small_files(tmp_path / name, 300, 60, seed)
    assert digests(tmp_path / "one") == digests(tmp_path / "two") != digests(tmp_path / "other")
    sizes = [entry.stat().st_size for entry in workloads.files_below(tmp_path / "one")]
    assert (len(sizes), min(sizes) >= KIB, max(sizes) <= 16 * KIB) == (300, True, True)
    below_4_kib = sum(size < 4 * KIB for size in sizes)
    assert 100 <= below_4_kib <= 200, "log-uniform: half of them are below the geometric mean"
    assert len({entry.path.rpartition("/")[0] for entry in workloads.files_below(tmp_path / "one")}) == 60


def test_mutations_change_as_many_files_as_they_say(tmp_path: Path) -> None:
    workloads.small_files(tmp_path, 400, 8)
    before = digests(tmp_path)
    assert workloads.mutate(tmp_path) == {"modified": 4, "deleted": 4, "renamed": 4}
    after = digests(tmp_path)
    assert len(after) == 396
    assert sum(name.endswith(".renamed") for name in after) == 4
    assert sum(after[name] != before[name] for name in after.keys() & before.keys()) == 4


def test_a_large_file_is_edited_where_it_should_be(tmp_path: Path) -> None:
    workloads.large_file(tmp_path, 3 * MIB)
    path = tmp_path / "large.bin"
    before = path.read_bytes()
    workloads.overwrite(tmp_path)
    after = path.read_bytes()
    middle = len(before) // 2
    assert after[:middle] == before[:middle] and after[middle + 4 * KIB :] == before[middle + 4 * KIB :]
    assert after != before
    workloads.insert(tmp_path)
    assert path.read_bytes() == after[:1000] + b"X" + after[1000:]


def test_real_files_are_found_here_and_their_lack_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workloads, "WHEELS", ())  # as if there were no network
    sources = workloads.real_files(tmp_path / "tree", tmp_path / "cache", 200)
    assert (extent(tmp_path / "tree").files, len(sources)) == (200, 1)
    monkeypatch.setattr(workloads, "installed_trees", list)
    with pytest.raises(workloads.NoWorkload, match="only 0 of 200"):
        workloads.real_files(tmp_path / "other", tmp_path / "cache", 200)


def test_faults_of_a_copy_are_named(tmp_path: Path) -> None:
    for name in ("tree", "copy"):
        workloads.small_files(tmp_path / name, 5, 1)
    copy = tmp_path / "copy" / "g000" / "d00000"
    assert folder_faults(tmp_path / "tree", tmp_path / "copy") == []
    (copy / "f0000000.dat").unlink()
    (copy / "f0000001.dat").write_bytes(b"other")
    (copy / "more").write_bytes(b"")
    found = folder_faults(tmp_path / "tree", tmp_path / "copy")
    assert [fault.partition(":")[0] for fault in found] == ["missing", "too many", "different"]


def test_bytes_leave_one_after_the_other_and_arrive_later() -> None:
    way = Direction(delay_s=0.5, bytes_per_s=1000.0)
    now = time.monotonic()
    first, second = way.arrival(1000), way.arrival(500)
    assert first >= now + 1.5 and second == pytest.approx(first + 0.5)
    assert way.bytes == 1500


@contextlib.contextmanager
def _echo() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                while data := connection.recv(65536):
                    connection.sendall(data)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(5)


def test_what_goes_over_the_line_comes_out_as_it_was() -> None:
    sent = bytes(range(256)) * 2000
    with _echo() as port, SlowLink(round_trip_s=0.01, mbit_per_s=1000) as link:
        with socket.create_connection(("127.0.0.1", link.to(port))) as connection:
            threading.Thread(target=lambda: (connection.sendall(sent), connection.shutdown(socket.SHUT_WR))).start()
            received = b""
            while data := connection.recv(65536):
                received += data
        assert received == sent
        assert link.up.bytes == link.down.bytes == len(sent)
    assert asyncio.all_tasks(link._loop) == set()
