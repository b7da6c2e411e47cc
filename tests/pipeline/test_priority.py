"""Large files are hashed after what others on the machine do; nothing else steps back."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pair import noise, running_pair, write

from pp_assist import posix, priority

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")

LARGE = 5 << 20


def nice() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


async def test_only_threads_that_hash_large_files_step_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, found = posix.open_file, {}

    def open_file(directory_fd: int, name: bytes) -> int:
        found[threading.current_thread().name.rpartition("_")[0]] = nice()
        return opened(directory_fd, name)

    monkeypatch.setattr(posix, "open_file", open_file)
    before = nice()
    async with running_pair(tmp_path) as pair:
        for number in range(5):
            write(pair.tree / f"small {number}", f"{number}")
            write(pair.tree / f"large {number}", noise(LARGE, number))
        await pair.assert_equal()
    assert nice() == before
    assert found.pop("hash-large") == min(19, before + priority.NICE)
    assert set(found) == {"hash", "send"}
    assert set(found.values()) == {before}


def test_what_is_read_comes_last_too(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.uname().machine not in priority._IO_SET:
        pytest.skip("no number of that system call for this machine")

    def stepped_back() -> int:
        priority.step_back()
        return _io_priority()

    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(stepped_back).result() == (2 << 13 | 7)
    assert _io_priority() != (2 << 13 | 7)


def _io_priority() -> int:
    import ctypes

    number = priority._IO_SET[os.uname().machine] + 1
    return int(ctypes.CDLL(None).syscall(number, 1, threading.get_native_id()))


def test_where_it_is_forbidden_work_goes_on(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def forbidden(*_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setpriority", forbidden)
    monkeypatch.setattr(priority, "_call", forbidden)
    caplog.set_level("INFO")
    priority.step_back()
    assert caplog.text.count("Operation not permitted") == 2
