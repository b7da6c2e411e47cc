"""IndexedCPClient and IndexCPClient: buffering, sending, failing, going on."""

import asyncio
import contextlib
import io
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from chunk_sender import KEY

from pp_assist.indexedcp import IndexCPClient, IndexedCPClient, UploadsFailed, buffer, wire
from pp_assist.indexedcp.retry import delay_s
from pp_assist.indexedcp.wire import content_digest as digest
from pp_server.indexedcp import IndexedCPServer


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test touches the home folder, or depends on the environment."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)  # names are sent as they are given, and servers take no absolute ones
    for name in ("INDEXEDCP_API_KEY", "INDEXCP_API_KEY", "INDEXEDCP_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


class Serving:
    """A server of ours on a port, in a thread; stopped and started again on the same one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self._http: uvicorn.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.server = IndexedCPServer(self.folder, api_keys=[KEY], path_mode="sanitize", log_level="WARNING")
        config = uvicorn.Config(self.server.create_app(), port=self.port, log_config=None, ws="none")
        self._http = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._http.run)
        self._thread.start()
        while not self._http.started:
            time.sleep(0.01)
        self.port = self._http.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        if self._http is not None:
            self._http.should_exit = True
            self._thread.join()
            self.server.close()
            self.server._executor.shutdown()
            self._http = None

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.iterdir() if ".indexcp_" not in path.name}


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    made = Serving(tmp_path / "uploads")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., IndexedCPClient]:
    def client(**options: Any) -> IndexedCPClient:
        defaults = {"api_key": KEY, "storage_path": str(tmp_path / "client.db"), "initial_retry_delay": 0.05}
        return IndexedCPClient(**(defaults | options))

    return client


Make = Callable[..., IndexedCPClient]


@contextlib.contextmanager
def answering(answer: Callable[[BaseHTTPRequestHandler, bytes], tuple[int, dict[str, str], Any]]) -> Iterator[str]:
    """Whatever another server would say."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, headers, said = answer(self, body)
            text = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = _answer

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def file(tmp_path: Path, name: str, size: int) -> Path:
    (tmp_path / name).write_bytes(os.urandom(size))
    return Path(name)


# -- the way it should go


@pytest.mark.parametrize("url", ["", "/", "/upload"])
@pytest.mark.parametrize("source", [False, True])
@pytest.mark.parametrize("parallel", [1, 4])
async def test_files_arrive(
    tmp_path: Path, serving: Serving, make: Make, url: str, source: bool, parallel: int
) -> None:
    events: list[dict[str, Any]] = []
    paths = [
        file(tmp_path, name, size) for name, size in (("a", 10), ("empty", 0), ("big", 1050), ("c d é文.txt", 100))
    ]
    client = make(
        server_url=serving.url + url,
        chunk_size=100,
        read_from_source=source,
        parallel_chunks=parallel,
        file_sha256=parallel > 1,
        on_upload_progress=events.append,
    )
    async with client:
        assert [await client.add_file(path.name) for path in paths] == [1, 1, 11, 1]
        results = await client.upload_buffered_files()
        assert results == {path.name: path.name for path in paths}
        assert client.storage is not None and await client.storage.count() == 0
        assert await client.upload_buffered_files() == {}
    assert serving.files() == {path.name: path.read_bytes() for path in paths}
    assert sorted((event["fileName"], event["chunkIndex"]) for event in events) == sorted(
        [("a", 0), ("empty", 0), ("c d é文.txt", 0), *(("big", n) for n in range(11))]
    )
    assert all(event["status"] == "success" and event["retryCount"] == 0 for event in events)


async def test_a_record_is_as_the_documents_say(tmp_path: Path, make: Make) -> None:
    path = str(file(tmp_path, "f", 250))
    async with make(chunk_size=100) as client:
        await client.add_file(path)
        assert client.storage is not None
        records = await client.storage.load_all()
        assert [record["id"] for record in records] == [f"{path}-{n}" for n in range(3)]
        assert b"".join(bytes.fromhex(record["data"]) for record in records) == (tmp_path / "f").read_bytes()
        first = records[0]
        assert first["fileName"] == path and first["chunkIndex"] == 0 and first["status"] == "pending"
        retry = first["retryMetadata"]
        assert retry == {"retryCount": 0, "lastAttempt": None, "nextRetry": retry["nextRetry"], "errors": []}
        first["retryMetadata"]["nextRetry"] = int(time.time() * 1000) + 60_000
        await client.storage.save(first["id"], first)
        with pytest.raises(RuntimeError, match=r"chunk\(s\) failed"):
            await client.upload_buffered_files("http://127.0.0.1:9")
        assert [record["retryMetadata"]["retryCount"] for record in await client.storage.load_all()] == [0, 0, 0]


async def test_what_is_buffered_survives(tmp_path: Path, serving: Serving, make: Make) -> None:
    paths = [file(tmp_path, f"f{n}", 150) for n in range(3)]
    async with make(chunk_size=100) as client:
        for path in paths:
            await client.add_file(path)
    async with make() as client:
        assert [record.chunks for record in await client.buffered_files()] == [2, 2, 2]
        await client.upload_buffered_files(serving.url)
    assert serving.files() == {path.name: path.read_bytes() for path in paths}


async def test_a_file_added_again_replaces_what_was_there(tmp_path: Path, serving: Serving, make: Make) -> None:
    async with make(chunk_size=10) as client:
        path = file(tmp_path, "f", 100)
        assert await client.add_file("f") == 10
        path.write_bytes(b"short")
        assert await client.add_file("f") == 1
        assert client.storage is not None and await client.storage.count() == 1
        await client.upload_buffered_files(serving.url)
    assert serving.files() == {"f": b"short"}


async def test_names_that_are_no_unicode(tmp_path: Path, serving: Serving, make: Make) -> None:
    name = os.fsdecode(b"caf\xe9")
    Path(name).write_bytes(b"x" * 30)
    async with make(chunk_size=10) as client:
        await client.add_file(name)
        assert list(await client.upload_buffered_files(serving.url)) == [name]
    assert os.path.exists(os.fsencode(serving.folder) + b"/caf\xe9")


async def test_two_clients_with_one_name_make_two_files(
    tmp_path: Path, serving: Serving, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = []
    clients = []
    for n in range(2):  # each reads its own file when it is added
        os.makedirs(tmp_path / str(n))
        monkeypatch.chdir(tmp_path / str(n))
        contents.append(file(tmp_path / str(n), "same", 2000).read_bytes())
        client = make(storage_path=str(tmp_path / f"{n}.db"), chunk_size=50)
        await client.initialize()
        await client.add_file("same")
        clients.append(client)
    await asyncio.gather(*(client.upload_buffered_files(serving.url) for client in clients))
    assert sorted(serving.files().values()) == sorted(contents)
    for client in clients:
        await client.close()


# -- what cannot be


async def test_what_cannot_be_is_said(tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotImplementedError, match="Encryption not supported"):
        make(encryption=True)
    with pytest.raises(ValueError, match="retry_strategy"):
        make(retry_strategy="never")
    client = make(unknown_argument=1)
    with pytest.raises(RuntimeError, match="not initialized"):
        await client.add_file(tmp_path)
    async with client:
        with pytest.raises(FileNotFoundError):
            await client.add_file(tmp_path / "missing")
        with pytest.raises(ValueError, match="Not a file"):
            await client.add_file(tmp_path)
        with pytest.raises(ValueError, match="server_url required"):
            await client.upload_buffered_files()
        with pytest.raises(ValueError, match="server_url"):
            await client.upload_buffered_files("ftp://x")
        client.api_key = None
        with pytest.raises(ValueError, match="api_key required"):
            await client.upload_buffered_files("http://127.0.0.1:9")
    assert client.storage is None
    assert ".indexcp/db/client.db" in IndexedCPClient().storage_path
    monkeypatch.setenv("INDEXCP_API_KEY", "old")
    assert IndexedCPClient().api_key == "old"
    monkeypatch.setenv("INDEXEDCP_API_KEY", "new")
    assert IndexedCPClient().api_key == "new"
    (tmp_path / "plain").write_text("")
    with pytest.raises(OSError):
        await make(storage_path=str(tmp_path / "plain" / "x.db")).initialize()


async def test_a_full_disk_leaves_the_buffer_as_it_was(tmp_path: Path, make: Make) -> None:
    async with make(chunk_size=1000) as client:
        await client.add_file(file(tmp_path, "f", 5000))
        assert client.storage is not None and client.storage.connection is not None
        client.storage.connection.execute("PRAGMA max_page_count = 30")
        with pytest.raises(OSError, match="No space left"):
            await client.add_file(file(tmp_path, "f", 500_000))
        assert await client.storage.count() == 5


async def test_a_source_that_changed_is_not_sent(tmp_path: Path, serving: Serving, make: Make) -> None:
    path = file(tmp_path, "f", 300)
    async with make(chunk_size=100, read_from_source=True) as client:
        await client.add_file(path)
        path.write_bytes(b"x" * 300)
        with pytest.raises(RuntimeError, match="add it again"):
            await client.upload_buffered_files(serving.url)
        assert serving.files() == {}
        await client.add_file(path)
        await client.upload_buffered_files(serving.url)
    assert list(serving.files().values()) == [b"x" * 300]


# -- trouble


async def test_a_file_stops_at_its_first_failing_chunk_and_all_that_remain_count_the_attempt(
    tmp_path: Path, make: Make
) -> None:
    asked: list[int] = []

    async def failing(server_url: str, chunk: bytes, index: int, name: str) -> dict[str, Any]:
        asked.append(index)
        if index == 2:
            raise OSError("no")
        return {"actualFilename": "x"}

    events: list[dict[str, Any]] = []
    async with make(chunk_size=10, on_upload_progress=events.append, initial_retry_delay=1.0) as client:
        client._upload_chunk = failing  # type: ignore[method-assign, assignment]
        await client.add_file(file(tmp_path, "f", 50))
        for attempt in range(1, 8):
            with pytest.raises(UploadsFailed, match=r"3 chunk\(s\) failed"):
                await client.upload_files(["f"], "http://127.0.0.1:9")
            assert client.storage is not None
            counts = [(r["status"], r["retryMetadata"]["retryCount"]) for r in await client.storage.load_all()]
            assert counts == [("uploaded", 0)] * 2 + [("pending", attempt)] * 3
        last = (await client.storage.load_all())[4]["retryMetadata"]
    assert asked == [0, 1, 2] + [2] * 6
    assert len(last["errors"]) == 5 and last["errors"][0]["message"] == "no"
    assert [event["nextRetryIn"] for event in events if event["status"] == "failed"] == [
        1000,
        2000,
        4000,
        8000,
        16000,
        32000,
        60000,
    ]


def test_strategies() -> None:
    assert [delay_s("exponential", n, 1.0, 2.0, 60.0) for n in (1, 2, 3, 4, 9, 10_000)] == [1, 2, 4, 8, 60, 60]
    assert [delay_s("linear", n, 2.0, 2.0, 60.0) for n in (1, 2, 3, 99)] == [2, 4, 6, 60]
    assert [delay_s(lambda k: k * 10.0, n, 1.0, 2.0, 60.0) for n in (1, 9)] == [10, 60]


@pytest.mark.parametrize("trouble", ["down", "key", "broken"])
async def test_nothing_is_lost_while_the_server_is_in_trouble(
    tmp_path: Path, serving: Serving, make: Make, trouble: str
) -> None:
    path = file(tmp_path, "f", 350)
    async with make(chunk_size=100, initial_retry_delay=50.0) as client:
        await client.add_file(path)
        if trouble == "down":
            serving.stop()
        elif trouble == "key":
            client.api_key = "wrong"
        with answering(lambda *_: (200, {}, b"<html>Sign in to the hotel</html>")) as nonsense:
            url = nonsense if trouble == "broken" else serving.url
            with pytest.raises(RuntimeError, match=r"4 chunk\(s\) failed"):
                await client.upload_buffered_files(url)
            with pytest.raises(RuntimeError, match=r"4 chunk\(s\) failed.*next try"):
                await client.upload_buffered_files(url)
    if trouble == "down":
        serving.start()
    async with make() as client:
        assert await client.upload_files(["f"], serving.url) == {"f": "f"}
    assert list(serving.files().values()) == [path.read_bytes()]


async def test_after_max_retries_it_is_left_until_it_is_added_again(tmp_path: Path, make: Make) -> None:
    path = file(tmp_path, "f", 10)
    async with make(max_retries=2, initial_retry_delay=0.0) as client:
        await client.add_file(path)
        for _ in range(3):
            with pytest.raises(RuntimeError, match=r"chunk\(s\) failed"):
                await client.upload_buffered_files("http://127.0.0.1:9")
        for _ in range(2):
            with pytest.raises(RuntimeError, match="given up after 3 attempts"):
                await client.upload_buffered_files("http://127.0.0.1:9")
        await client.add_file(path)
        with pytest.raises(RuntimeError, match=r"chunk\(s\) failed.*Connect"):
            await client.upload_buffered_files("http://127.0.0.1:9")


async def test_a_server_that_asks_to_wait_is_obeyed_and_no_attempt_counts(tmp_path: Path, make: Make) -> None:
    said = [(429, {"Retry-After": "0.05"})] * 2 + [(200, {})] + [(429, {"Retry-After": "3600"})]
    asked = []

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, str], Any]:
        if handler.command == "GET":
            return 404, {}, {}
        asked.append(int(handler.headers["X-Chunk-Index"]))
        status, headers = said.pop(0)
        return status, headers, {"actualFilename": "f", "error": "slow down"}

    with answering(answer) as url:
        async with make(chunk_size=10) as client:
            await client.add_file(file(tmp_path, "f", 20))
            with pytest.raises(RuntimeError, match="slow down"):
                await client.upload_buffered_files(url)
            assert client.storage is not None
            [_, waiting] = [record["retryMetadata"] for record in await client.storage.load_all()]
            assert asked == [0, 0, 0, 1]
            assert waiting["retryCount"] == 0 and waiting["nextRetry"] > time.time() * 1000 + 3_500_000


@pytest.mark.parametrize("lost", [0, 1, 3, 10])
async def test_a_lost_answer_costs_one_chunk_and_doubles_nothing(
    tmp_path: Path, serving: Serving, make: Make, lost: int
) -> None:
    path = file(tmp_path, "f", 1050)
    async with make(chunk_size=100, initial_retry_delay=0.0) as client:
        await client.add_file(path)
        send, sent = client._upload_chunk, []

        async def losing(server_url: str, chunk: bytes, index: int, name: str) -> dict[str, Any]:
            answer = await send(server_url, chunk, index, name)
            sent.append(index)
            if sent.count(index) == 1 and index == lost:
                raise OSError("the answer was lost")
            return answer

        client._upload_chunk = losing  # type: ignore[method-assign]
        with pytest.raises(RuntimeError):
            await client.upload_buffered_files(serving.url)
        assert await client.upload_buffered_files(serving.url) == {str(path): serving_name(serving)}
    assert len(sent) <= 12
    assert list(serving.files().values()) == [path.read_bytes()]


async def test_who_replaces_the_sending_may_send_other_bytes(tmp_path: Path, serving: Serving, make: Make) -> None:
    """The digest that was made while a chunk was read is that of the chunk, and of nothing else."""
    path = file(tmp_path, "f", 1000)
    async with make(chunk_size=100) as client:
        await client.add_file(path)
        send = client._upload_chunk

        async def inverted(server_url: str, chunk: bytes, index: int, name: str) -> dict[str, Any]:
            return await send(server_url, bytes(255 - byte for byte in chunk), index, name)

        client._upload_chunk = inverted  # type: ignore[method-assign]
        await client.upload_buffered_files(serving.url)
    assert list(serving.files().values()) == [bytes(255 - byte for byte in path.read_bytes())]


@pytest.mark.parametrize("synchronous", [False, True])
def test_each_chunk_is_hashed_once(
    tmp_path: Path, serving: Serving, make: Make, monkeypatch: pytest.MonkeyPatch, synchronous: bool
) -> None:
    hashed: list[bytes] = []
    monkeypatch.setattr(wire, "content_digest", lambda data: hashed.append(data) or digest(data))  # type: ignore[func-returns-value]
    path = file(tmp_path, "f", 1000)
    if synchronous:
        client = IndexCPClient(db_name=str(tmp_path / "s.db"), chunk_size=100, api_key=KEY)
        client.buffer_and_upload(path, serving.url)
        client.upload_chunk(serving.url, b"another upload of that name", 0, str(path))
        hashed.pop()
    else:

        async def upload() -> None:
            async with make(chunk_size=100) as each:
                await each.add_file(path)
                await each.upload_buffered_files(serving.url)

        asyncio.run(upload())
    assert b"".join(hashed) == path.read_bytes() and len(hashed) == 10


def serving_name(serving: Serving) -> str:
    [name] = serving.files()
    return name


async def test_an_old_server_that_knows_nothing_of_resuming_gets_everything_once(tmp_path: Path, make: Make) -> None:
    taken: list[int] = []

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, str], Any]:
        if handler.command == "GET":  # it has a status, of names alone: perhaps of another file
            return 200, {}, {"filename": "f", "receivedChunks": [0, 1, 2, 3]}
        taken.append(int(handler.headers["X-Chunk-Index"]))
        if len(taken) == 3:
            return 500, {}, {"error": "Write error"}
        return 200, {}, {"message": "Chunk received", "actualFilename": "f"}

    with answering(answer) as url:
        async with make(chunk_size=10, initial_retry_delay=0.0) as client:
            await client.add_file(file(tmp_path, "f", 40))
            with pytest.raises(RuntimeError, match="Write error"):
                await client.upload_buffered_files(url)
            await client.upload_buffered_files(url)
    assert taken == [0, 1, 2, 2, 3]


# -- in the background


async def until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


async def test_the_background_uploads_once_the_server_is_back(tmp_path: Path, serving: Serving, make: Make) -> None:
    serving.stop()
    errors: list[Exception] = []
    done: list[dict[str, Any]] = []
    called = asyncio.Event()

    async def complete(summary: dict[str, Any]) -> None:
        done.append(summary)
        called.set()

    async with make(on_upload_error=errors.append, on_upload_complete=complete, max_retry_delay=0.1) as client:
        paths = [file(tmp_path, f"f{n}", 100) for n in range(2)]
        for path in paths:
            await client.add_file(path)
        await client.start_upload_background(serving.url, check_interval=0.05)
        task = client.background_upload_task
        await client.start_upload_background(serving.url, check_interval=0.05)
        assert client.background_upload_task is task and task is not None
        await until(lambda: len(errors) >= 4)
        assert not done
        serving.start()
        await asyncio.wait_for(called.wait(), 20)
        await until(lambda: len(serving.files()) == 2)
        await client.stop_upload_background()
        assert client.background_upload_task is None
        assert task.done()
    assert sum(summary["succeeded"] for summary in done) == 2
    assert done[0]["total"] == done[0]["succeeded"] + done[0]["failed"]
    assert set(done[0]["files"].values()) <= {"confirmed", "pending"}


async def test_a_direct_upload_calls_no_completion_and_a_callback_that_fails_stops_nothing(
    tmp_path: Path, serving: Serving, make: Make
) -> None:
    called: list[Any] = []

    def failing(event: Any) -> None:
        called.append(event)
        raise ValueError("in a callback")

    async with make(on_upload_progress=failing, on_upload_complete=called.append) as client:
        await client.add_file(file(tmp_path, "f", 10))
        await client.upload_buffered_files(serving.url)
    assert len(called) == 1 and called[0]["status"] == "success"


async def test_confirmed_records_are_kept_for_a_while_without_their_bytes(
    tmp_path: Path, serving: Serving, make: Make
) -> None:
    async with make(keep_confirmed_s=0.3, chunk_size=50) as client:
        await client.add_file(file(tmp_path, "f", 100))
        await client.upload_buffered_files(serving.url)
        assert client.storage is not None
        assert [record["status"] for record in await client.storage.load_all()] == ["confirmed"] * 2
        assert all(record["data"] is None for record in await client.storage.load_all())
        assert await client.upload_buffered_files(serving.url) == {}
        await asyncio.sleep(0.4)
        await client.upload_buffered_files(serving.url)
        assert await client.storage.count() == 0


# -- without an event loop


def test_the_synchronous_client(tmp_path: Path, serving: Serving, home: Path) -> None:
    events: list[Any] = []
    done: list[Any] = []
    client = IndexCPClient(
        chunk_size=100, api_key=KEY, on_upload_progress=events.append, on_upload_complete=done.append, parallel_chunks=2
    )
    path = file(tmp_path, "f", 250)
    assert client.add_file("f") == 3
    assert client.get_buffered_files() == ["f"] and (home / ".indexcp" / "indexcp.db").exists()
    assert client.upload_buffered_files(f"{serving.url}/upload") == {"f": "f"}
    assert client.get_buffered_files() == [] and len(events) == 3 and done[0]["succeeded"] == 1
    file(tmp_path, "g", 10)
    assert client.buffer_and_upload("g", serving.url) == {"g": "g"}
    assert serving.files()["f"] == path.read_bytes()
    client.add_file("f")
    client.clear_buffer()
    assert client.get_buffered_files() == []
    assert client.upload_chunk(serving.url, b"x", 0, "h", KEY)["actualFilename"] == "h"
    assert client._get_received_chunks(serving.url, "h", KEY) == {0}
    assert client._get_received_chunks("http://127.0.0.1:9", "h", KEY) == set()


async def test_the_synchronous_client_works_beside_an_event_loop(tmp_path: Path, serving: Serving) -> None:
    client = IndexCPClient(api_key=KEY)
    assert len(client.buffer_and_upload(file(tmp_path, "f", 10), serving.url)) == 1


def test_the_synchronous_client_tries_again_and_then_goes_on_where_it_was(
    tmp_path: Path, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    client = IndexCPClient(chunk_size=100, api_key=KEY)
    send, tries = client.upload_chunk, []

    def failing(url: str, data: bytes, index: int, name: str, key: str | None = None) -> dict[str, Any]:
        tries.append(index)
        if index == 2 and tries.count(2) <= 6:
            raise OSError("the network")
        return send(url, data, index, name, key)

    client.upload_chunk = failing  # type: ignore[method-assign]
    path = file(tmp_path, "f", 450)
    client.add_file(path)
    with pytest.raises(RuntimeError, match="failed 4 times"):
        client.upload_buffered_files(serving.url)
    assert tries == [0, 1, 2, 2, 2, 2] and pauses[:3] == [1.0, 2.0, 4.0]
    client.upload_buffered_files(serving.url)
    assert tries[6:] == [2, 2, 2, 3, 4]
    assert list(serving.files().values()) == [path.read_bytes()]
    client.api_key, tries[:] = "wrong", []
    client.add_file(path)
    with pytest.raises(RuntimeError, match="401"):
        client.upload_buffered_files(serving.url)
    assert tries == [0]


def test_without_a_key_and_nobody_to_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(ValueError, match="api_key required"):
        IndexCPClient().upload_buffered_files("http://127.0.0.1:9")


async def test_many_chunks_are_asked_for_in_pages(make: Make, tmp_path: Path) -> None:
    """What is in memory, and how often the database is asked, does not grow with each chunk."""
    chunks = 3 * buffer._PAGE + 10
    file = tmp_path / "many"
    file.write_bytes(b"x" * chunks * 10)
    async with make(server_url="http://127.0.0.1:1", chunk_size=10, initial_retry_delay=1) as client:
        await client.add_file(file)
        storage = client.storage
        assert storage is not None and storage.connection is not None
        asked: list[str] = []
        storage.connection.set_trace_callback(asked.append)

        def questions(ask: Any) -> int:
            asked.clear()
            ask()
            return len(asked)

        assert await storage.run(questions, storage.files) == 1
        assert await storage.run(questions, lambda: list(storage.sized_records(str(file)))) == 5
        assert await storage.run(questions, lambda: storage.plan(str(file))) == 3
        [plan] = storage.rows(f"EXPLAIN QUERY PLAN {asked[0]}")
        assert "chunks_by_file" in plan[3]
        read, real = [], storage.rows
        storage.rows = lambda *args: read.append(real(*args)) or read[-1]  # type: ignore[method-assign, func-returns-value]
        with pytest.raises(UploadsFailed, match=f"{chunks} chunk"):
            await client.upload_buffered_files()
        records = [len(rows) for rows in read if rows and isinstance(rows[0][0], str) and "{" in rows[0][0]]
        assert max(records) == buffer._PAGE
        [listed] = await client.buffered_files()
        assert (listed.chunks, listed.pending, listed.retry_count) == (chunks, chunks, 1)
