"""Whatever ends a fetch, and whenever: no descriptor stays open, and none is closed while a thread uses it."""

import asyncio
import contextlib
import hashlib
import os
import threading
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pp_assist import posix
from pp_assist.core.fetching import Fetch, Order
from pp_assist.disk import resolve
from pp_assist.restore import folder, large
from pp_assist.restore.fetch import fetch
from pp_assist.restore.folder import Folder
from pp_assist.restore.large import LargeFile
from pp_assist.restore.wanted import Wanted
from pp_server.wire.restore import MAX_CONTENT_BYTES, TreeEntry

MOST_DESCRIPTORS = 1024
CONTENT = b"x" * (MAX_CONTENT_BYTES + 1)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """It has one large file, of which nobody knows the mode."""

    async def greet(self) -> None:
        pass

    async def tree(self, prefix: bytes | None, host: Mapping[str, str]) -> AsyncGenerator[TreeEntry, None]:
        facts: dict[str, Any] = {
            "filepath": "/r/a", "filepath_b64": None, "kind": "file", "file_size": len(CONTENT), "sha256": DIGEST,
            "host_id": "host", "hostname": "laptop",
        }  # fmt: skip
        yield TreeEntry.model_construct(**(dict.fromkeys(TreeEntry.model_fields) | facts))

    async def content(self, digest: str, offset: int) -> AsyncGenerator[bytes, None]:
        yield CONTENT[offset:]


def descriptors() -> set[tuple[int, int, int]]:
    """Return what is open, each with what it leads to."""
    found = set()
    for number in range(MOST_DESCRIPTORS):
        with contextlib.suppress(OSError):
            facts = os.fstat(number)
            found.add((number, facts.st_dev, facts.st_ino))
    return found


def job_in(path: Path) -> Fetch:
    place = os.fsencode(path)
    return Fetch(1, Order(b"/r/a", place, b"a", place, resolve(place)[1]), 0, b"a")


def fetching(job: Fetch) -> "asyncio.Task[None]":
    return asyncio.create_task(fetch(Server(), "host", job, lambda: None))  # type: ignore[arg-type]


async def test_the_server_of_these_tests_gives_the_file(tmp_path: Path) -> None:
    before = descriptors()
    await fetching(job_in(tmp_path))
    assert (tmp_path / "a").read_bytes() == CONTENT and descriptors() == before


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(("where", "what"), [(posix, "open_root"), (Folder, "file_at"), (large, "_opened")])
async def test_a_fetch_that_is_cancelled_lets_go_of_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: object, what: str, times: int
) -> None:
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()
    inner: Callable[..., Any] = getattr(where, what)
    used: list[object] = []

    def slow(*args: Any) -> Any:
        begun.set()
        go_on.wait(10)
        try:
            return inner(*args)
        finally:
            used.extend(os.fstat(each._fd) for each in args if isinstance(each, Folder))
            done.set()

    job, before = job_in(tmp_path), descriptors()
    monkeypatch.setattr(where, what, slow)
    task = fetching(job)
    assert await asyncio.to_thread(begun.wait, 10)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0.05)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5):
        while not done.is_set() or descriptors() != before:
            await asyncio.sleep(0.01)
    assert len(used) == (what == "file_at")
    monkeypatch.undo()
    await fetching(job_in(tmp_path))  # nobody holds the lock of the file that was begun
    assert (tmp_path / "a").read_bytes() == CONTENT


def fails(*_: object) -> Any:
    raise OSError(5, "Input/output error")


def test_a_folder_or_file_that_cannot_be_looked_at_is_let_go_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, at_first = os.fsencode(tmp_path), descriptors()
    _, known = resolve(place)
    with monkeypatch.context() as patched:
        patched.setattr(folder, "identity_of", fails)
        with pytest.raises(OSError, match="Input/output"):
            Folder(place, False, False, known)
    wanted = Wanted(b"a", "file", len(CONTENT), DIGEST, None, None, None, None, None)
    with contextlib.closing(Folder(place, False, False, known)) as opened:
        before = descriptors()
        with monkeypatch.context() as patched:
            patched.setattr(os, "read", fails)
            with pytest.raises(OSError, match="Input/output"):
                LargeFile(opened, wanted)
        assert descriptors() == before
    assert descriptors() == at_first
