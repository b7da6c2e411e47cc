"""Trouble on the way, at the server, at home: nothing is lost, nothing is dropped, it goes on by itself."""

import os
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest
from pair import Pair, noise, running_pair, write

from pp_assist.core.errors import ServerUnreachable
from pp_assist.core.events import Event
from pp_assist.core.model import FileState, Stage, WorkState
from pp_assist.http import Http
from pp_assist.uploader import confirmed

PASSING = ["lost_request", "lost_response", "twice", "500", "502", "503", "429", "html", "other_json", "401"]


LARGE = 300_000


@pytest.mark.parametrize("size", [1000, LARGE])
@pytest.mark.parametrize("word", PASSING)
async def test_every_request_may_fail_once(pair: Pair, word: str, size: int) -> None:
    """Each request in turn meets the trouble, alone."""
    for position in range(4):
        write(pair.tree / f"f{position}", noise(size, position))
        pair.weather.forecast = ["ok"] * position + [word]
        await pair.assert_equal()


@pytest.mark.parametrize(
    ("word", "size", "requests"),
    [("404", LARGE, 3), ("413", LARGE, 3), ("422", LARGE, 3), ("404", 1000, 2), ("422", 1000, 2)],
)
async def test_a_file_the_server_refuses_is_parked_until_it_changes(
    pair: Pair, word: str, size: int, requests: int
) -> None:
    write(pair.tree / "good", "x")
    await pair.assert_equal()
    for position in range(requests):
        path = pair.tree / f"f{position}"
        write(path, noise(size, position))
        pair.weather.forecast = ["ok"] * position + [word]
        await pair.scan()
        await pair.until(lambda c: c.in_state(WorkState.PARKED, Stage.UPLOAD) == 1)
        await pair.scan()
        assert (await pair.counts()).in_state(WorkState.PARKED, Stage.UPLOAD) == 1
        if position:
            os.utime(path, (position, position))
        else:
            await pair.scan(force=True)  # a person asks
        await pair.assert_equal()


async def test_nothing_is_lost_while_the_server_is_away(pair: Pair) -> None:
    write(pair.tree / "before", "x")
    await pair.assert_equal()
    await pair.stop_server()
    for n in range(30):
        write(pair.tree / f"{n}", f"{n}")
    (pair.tree / "before").unlink()
    await pair.scan()
    counts = await pair.until(lambda c: c.queued(Stage.UPLOAD) == 30 and c.queued(Stage.DELETION) == 1)
    assert counts.in_state(WorkState.BACKOFF, *Stage) == 0, "the server's absence is no file's fault"
    assert pair.daemon
    await pair.server_in_state("unreachable")
    await pair.start_server()
    await pair.assert_equal()
    assert pair.daemon.link.reason is None


async def test_how_the_server_stands_is_told_once_it_is_written_down_and_however_often_that_fails_first(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(pair.tree / "before", "x")
    await pair.assert_equal()
    assert pair.daemon
    happened: list[str] = []
    servers, failing = pair.daemon.servers, ["the disk is full"]
    note = servers.note

    async def noted(number: int, state: str, *more: Any) -> None:
        if failing:
            raise sqlite3.OperationalError(failing.pop())
        await note(number, state, *more)
        happened.append(f"{state} written")

    def told(event: Event, *_: object, **more: Any) -> None:
        if event is Event.SERVER:
            happened.append(f"{more['state']} told")

    monkeypatch.setattr(servers, "note", noted)
    monkeypatch.setattr(pair.daemon.link, "_tell", told)
    await pair.stop_server()
    write(pair.tree / "after", "y")
    await pair.scan()
    await pair.server_in_state("unreachable")
    await pair.start_server()
    await pair.assert_equal()
    assert happened == ["unreachable written", "unreachable told", "ok written", "ok told"]


async def test_a_wrong_key_loses_nothing_and_a_new_one_mends_it(pair: Pair) -> None:
    assert pair.daemon
    good = pair.api_key
    await pair.daemon.servers.remove(1)
    await pair.daemon.servers.add("bad", "http://server", "pp_wrong", 0)
    write(pair.tree / "f", "x")
    await pair.scan()
    await pair.until(lambda c: c.queued(Stage.UPLOAD) == 1 and pair.daemon.link.reason == "needs_login")  # type: ignore
    await pair.server_in_state("needs_login")
    await pair.daemon.servers.add("good", "http://server", good, 0, is_default=True)
    await pair.assert_equal()


async def test_without_a_server_files_wait(tmp_path: Path) -> None:
    async with running_pair(tmp_path) as pair:
        assert pair.daemon
        await pair.daemon.servers.remove(1)
        write(pair.tree / "f", "x")
        await pair.scan()
        await pair.until(lambda c: c.queued(Stage.UPLOAD) == 1 and pair.daemon.link.reason == "no_server")  # type: ignore
        await pair.daemon.servers.add("main", "http://server", pair.api_key, 0)
        await pair.assert_equal()


async def test_a_restarted_daemon_sends_nothing_again(pair: Pair) -> None:
    for n in range(20):
        write(pair.tree / f"{n}", noise(5000, n))
    await pair.assert_equal()
    await pair.stop_daemon()
    await pair.start_daemon()
    await pair.assert_equal()
    assert pair.bytes_sent == 0


async def test_a_daemon_that_lost_its_memory_sends_no_content_again(pair: Pair) -> None:
    for n in range(20):
        write(pair.tree / f"{n}", noise(5000, n))
    await pair.assert_equal()
    await pair.stop_daemon()
    for file in (pair.folder / "state").iterdir():
        file.unlink()
    await pair.start_daemon()
    write(pair.tree / "3", "changed meanwhile")
    await pair.assert_equal()
    assert pair.bytes_sent == len("changed meanwhile")


async def test_an_upload_that_was_cut_short_goes_on_where_it_was(pair: Pair) -> None:
    mib = 1 << 20
    write(pair.tree / "large", noise(8 * mib, 1))
    pair.weather.forecast = ["ok"] * 5 + ["lost_request"] * 3
    await pair.scan()
    await pair.until(lambda c: c.queued(Stage.UPLOAD) == 1 and pair.bytes_sent >= 3 * mib)
    await pair.stop_daemon()
    await pair.start_daemon()
    await pair.assert_equal()
    assert pair.bytes_sent <= 5 * mib


async def test_a_file_changed_while_it_is_sent_is_never_mixed(pair: Pair) -> None:
    """Every version that the server ever has existed as a whole on the disk."""
    path = pair.tree / "f"
    versions = [noise(3 << 20, n) for n in range(6)]
    write(path, versions[0])
    await pair.scan()
    for version in versions[1:]:
        seen = len(pair.weather.requests)
        await pair.until(lambda _: len(pair.weather.requests) > seen)  # noqa: B023
        write(path, version)
        await pair.scan()
    await pair.assert_equal()


async def test_a_file_that_cannot_be_read_stays_with_its_reason_and_holds_up_no_other(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pp_assist import posix

    real = posix.open_file

    def failing(directory_fd: int, name: bytes) -> int:
        if name == b"secret":
            raise PermissionError(13, "Permission denied")
        return real(directory_fd, name)

    monkeypatch.setattr(posix, "open_file", failing)
    write(pair.tree / "secret", "x")
    write(pair.tree / "open", "y")
    await pair.scan()
    counts = await pair.until(lambda c: c.files[FileState.COMPLETED] == 1)
    counts = await pair.until(lambda c: c.in_state(WorkState.BACKOFF, Stage.CHECKSUM) == 1)
    assert counts.files[FileState.DISCOVERED] == 1
    monkeypatch.undo()
    await pair.assert_equal()


async def test_a_file_that_is_gone_is_not_completed_even_if_no_chunk_of_it_is_needed(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pp_assist.uploader.client import UploadClient

    write(pair.tree / "f", noise(LARGE, 1))
    await pair.assert_equal()
    initiate, complete, completed = UploadClient.initiate, UploadClient.complete, []

    async def unlinking(self: UploadClient, request: dict[str, object]) -> object:
        answer = await initiate(self, request)
        (pair.tree / "copy").unlink(missing_ok=True)
        return answer

    async def counting(self: UploadClient, *args: object) -> object:
        completed.append(args)
        return await complete(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(UploadClient, "initiate", unlinking)
    monkeypatch.setattr(UploadClient, "complete", counting)
    write(pair.tree / "copy", noise(LARGE, 1))
    await pair.scan()
    await pair.until(lambda _: not (pair.tree / "copy").exists())
    await pair.scan()
    await pair.assert_equal()
    assert not completed


async def test_an_uploader_that_crashed_goes_on_uploading(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    from pp_assist.uploader.client import UploadClient

    write(pair.tree / "f", "x")
    await pair.assert_equal()
    real, failures = UploadClient.deletions, [RuntimeError("a bug")]

    async def failing(self: UploadClient, files: list[dict[str, object]]) -> object:
        if failures:
            raise failures.pop()
        return await real(self, files)

    monkeypatch.setattr(UploadClient, "deletions", failing)
    (pair.tree / "f").unlink()
    await pair.scan()
    await pair.until(lambda _: not pair.supervisor.running["uploader"])
    write(pair.tree / "g", "y")
    await pair.assert_equal()


@pytest.mark.parametrize("error", [AttributeError("no getpeername"), RuntimeError("handler is closed"), OSError("?")])
async def test_whatever_httpx_lets_through_means_that_the_server_is_unreachable(error: Exception) -> None:
    class Broken(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise error

    http = Http("http://localhost", "key", 1.0, 1, Broken())
    with pytest.raises(ServerUnreachable):
        await http.request("GET", "/")
    await http.close()


async def test_a_component_that_crashes_is_restarted(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    from pp_assist.scanner.record import Recorder

    real, failures = Recorder.record, [RuntimeError("a bug")]

    async def failing(*args: object) -> object:
        if failures:
            raise failures.pop()
        return await real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(Recorder, "record", failing)
    write(pair.tree / "f", "x")
    await pair.scan()
    await pair.until(lambda _: not pair.supervisor.running["scanner"])
    await pair.until(lambda _: pair.supervisor.running["scanner"])
    await pair.assert_equal()


async def test_another_server_is_given_everything(pair: Pair) -> None:
    """The receipts of the first one do not count for the second: its files would be nowhere else."""
    for n in range(12):
        write(pair.tree / f"{n}", noise(2000, n))
    await pair.assert_equal()
    await pair.stop_server()
    (pair.folder / "server").rename(pair.folder / "first server")
    pair.api_key = ""
    await pair.start_server()
    assert pair.daemon
    await pair.daemon.servers.remove(1)
    await pair.daemon.servers.add("second", "http://server", pair.api_key, 0)
    await pair.until(lambda c: c.files[FileState.COMPLETED] < 12 or c.queued(Stage.UPLOAD) > 0)
    await pair.assert_equal()
    sent = pair.bytes_sent
    assert sent == 2 * 12 * 2000
    await pair.stop_daemon()
    await pair.start_daemon()
    await pair.assert_equal()
    assert pair.bytes_sent == 0


async def test_a_deletion_the_server_refuses_does_not_hold_up_the_others(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pp_assist.core.errors import Refused
    from pp_assist.uploader.client import UploadClient

    real = UploadClient.deletions

    async def picky(self: UploadClient, files: list[dict[str, object]]) -> object:
        if any(str(file["filepath"]).endswith("/7") for file in files):
            raise Refused("not that one")
        return await real(self, files)

    for n in range(9):
        write(pair.tree / f"{n}", f"{n}")
    await pair.assert_equal()
    monkeypatch.setattr(UploadClient, "deletions", picky)
    for n in range(9):
        (pair.tree / f"{n}").unlink()
    await pair.scan()
    await pair.until(lambda c: c.queued(Stage.VANISHED) == 0 and c.queued(Stage.DELETION) == 1)
    monkeypatch.undo()
    await pair.assert_equal()


@pytest.mark.parametrize(
    ("error", "state"), [(OSError(5, "Input/output error"), WorkState.BACKOFF), (KeyError("x"), WorkState.PARKED)]
)
async def test_an_error_nobody_thought_of_parks_a_file_unless_it_is_the_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, state: WorkState
) -> None:
    from pp_assist.uploader import batch

    real, failing = batch.pack, True

    def pack(*args: object) -> object:
        if failing:
            raise error
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(batch, "pack", pack)
    async with running_pair(tmp_path) as pair:
        write(pair.tree / "f", "x")
        await pair.scan()
        await pair.until(lambda counts: counts.in_state(state, Stage.UPLOAD) == 1)
        failing = False
        if state == WorkState.PARKED:
            await pair.scan(force=True)
        await pair.assert_equal()


async def test_what_could_not_be_loaded_this_time_is_tried_again(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where two threads load the same modules at once: no fault of the file's, which is not parked for it."""
    really, failures = confirmed.check_leaves, [ImportError("half done")]

    def check_leaves(*args: Any) -> Any:
        if failures:
            raise failures.pop()
        return really(*args)

    monkeypatch.setattr(confirmed, "check_leaves", check_leaves)
    write(pair.tree / "a", "x")
    await pair.assert_equal()
    assert not failures
