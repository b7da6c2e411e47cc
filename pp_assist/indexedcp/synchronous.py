"""IndexCPClient: the same buffer and the same way of sending, for programs without an event loop."""

import asyncio
import getpass
import os
import sys
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from pp_assist.core.errors import AssistError
from pp_assist.http import BlockingHttp
from pp_assist.indexedcp import retry, wire
from pp_assist.indexedcp.client import CHUNK_BYTES, KEY_VARIABLES, TIMEOUT_S, Callback, IndexedCPClient
from pp_assist.indexedcp.errors import ServerAsksToWait, Unauthorized, UploadError
from pp_assist.indexedcp.logger import from_environment
from pp_assist.indexedcp.sending import Record

T = TypeVar("T")

FOLDER = "~/.indexcp"


class IndexCPClient:
    """Files are added to ``~/.indexcp/DB_NAME.db`` and uploaded. A chunk that fails is tried again, with pauses."""

    def __init__(
        self,
        db_name: str = "indexcp",
        chunk_size: int = CHUNK_BYTES,
        max_retries: int = 3,
        initial_retry_delay: float = 1.0,
        *,
        api_key: str | None = None,
        retry_strategy: retry.RetryStrategy = "exponential",
        max_retry_delay: float = 60.0,
        retry_multiplier: float = 2.0,
        on_upload_progress: Callback | None = None,
        on_upload_error: Callback | None = None,
        on_upload_complete: Callback | None = None,
        parallel_chunks: int = 1,
        log_level: str | None = None,
        timeout: float = TIMEOUT_S,
        **more: Any,
    ) -> None:
        self.db_name = db_name
        self.db_path = os.path.join(os.path.expanduser(FOLDER), f"{db_name}.db")
        self.chunk_size = chunk_size
        self.max_retries = max_retries
        self.initial_retry_delay = initial_retry_delay
        self.api_key = api_key or from_environment(KEY_VARIABLES)
        self._on_error = on_upload_error
        self._on_complete = on_upload_complete
        self._delay: Callable[[int], float] = lambda failures: retry.delay_s(
            retry_strategy, failures, self.initial_retry_delay, retry_multiplier, max_retry_delay
        )
        self._delay(1)
        self._timeout = timeout
        self._http: BlockingHttp | None = None
        self._plans: dict[str, Record] = {}
        self._options = more | {
            "storage_path": self.db_path,
            "chunk_size": chunk_size,
            "on_upload_progress": on_upload_progress,
            "parallel_chunks": parallel_chunks,
            "log_level": log_level,
        }

    # what the documents name

    def add_file(self, file_path: str | os.PathLike[str]) -> int:
        """Add a file to the buffer; return how many chunks it has."""
        return self._with_client(lambda client: client.add_file(file_path))

    def upload_buffered_files(self, server_url: str) -> dict[str, str]:
        """Upload the buffer; return for each path what the server calls it. What it has already is not sent again.

        Raises:
            UploadsFailed (a RuntimeError): a chunk failed as often as `max_retries` allows; its file is still here.
        """
        return self._upload(server_url, None)

    def buffer_and_upload(self, file_path: str | os.PathLike[str], server_url: str) -> dict[str, str]:
        """Add a file and upload it."""
        self.add_file(file_path)
        return self._upload(server_url, [os.fspath(file_path)])

    def get_buffered_files(self) -> list[str]:
        """Return the files that wait, oldest first."""
        files = self._with_client(lambda client: client.buffered_files())
        return [file.name for file in files if file.confirmed < file.chunks]

    def clear_buffer(self) -> None:
        """Forget all that waits."""

        async def clear(client: IndexedCPClient) -> None:
            assert client.storage is not None
            await client.storage.run(client.storage.clear)

        self._with_client(clear)

    def upload_chunk(
        self, server_url: str, chunk_data: bytes, index: int, file_name: str, api_key: str | None = None
    ) -> dict[str, Any]:
        """Send one chunk, once; return the server's answer."""
        origin, path = wire.upload_url(server_url)
        headers = wire.chunk_headers(file_name, index, chunk_data, self._plans.get(file_name, {}), True)
        return wire.read_upload(self._ask("POST", origin + path, headers, chunk_data, api_key))

    def _upload_chunk_with_retry(
        self, server_url: str, chunk_data: bytes, index: int, file_name: str, api_key: str | None = None
    ) -> dict[str, Any]:
        """Send one chunk, again after a failure, up to `max_retries` times. A refused key is not tried again."""
        failures = 0
        while True:
            try:
                return self.upload_chunk(server_url, chunk_data, index, file_name, api_key)
            except (Unauthorized, ServerAsksToWait):
                raise
            except Exception as error:
                failures += 1
                if failures > self.max_retries:
                    raise UploadError(f"chunk {index} failed {failures} times: {error}") from error
                time.sleep(self._delay(failures))

    def _get_received_chunks(self, server_url: str, filename: str, api_key: str | None = None) -> set[int]:
        """Return which chunks the server has; none where it does not say."""
        return self._status(server_url, filename, api_key)[0]

    # inside

    def _upload(self, server_url: str, only: list[str] | None) -> dict[str, str]:
        self.api_key = self.api_key or _asked_key()

        async def upload(client: IndexedCPClient) -> dict[str, str]:
            client.api_key = self.api_key
            names = only or [file.name for file in await client.buffered_files() if file.confirmed < file.chunks]
            return await client.upload_files(names, server_url)

        self._http = BlockingHttp(self._timeout)
        try:
            results = self._with_client(upload)
        except Exception as error:
            if self._on_error is not None:
                self._on_error(error)
            raise
        finally:
            self._http.close()
            self._http = None
        if results and self._on_complete is not None:
            self._on_complete({"succeeded": len(results), "failed": 0, "total": len(results)})
        return results

    def _status(self, server_url: str, name: str, api_key: str | None) -> tuple[set[int], bool]:
        origin, path = wire.upload_url(server_url)
        record = self._plans.get(name, {})
        try:
            url = origin + wire.status_path(path, name)
            return wire.read_status(self._ask("GET", url, wire.upload_headers(record), None, api_key), record)
        except UploadError:
            return set(), False

    def _ask(self, method: str, url: str, headers: dict[str, str], content: bytes | None, key: str | None) -> Any:
        http = self._http or BlockingHttp(self._timeout)
        key = key or self.api_key or ""
        try:
            return http.request(method, url, {**headers, "Authorization": f"Bearer {key}"}, content)
        except AssistError as error:
            raise UploadError(str(error)) from error
        finally:
            if http is not self._http:  # one question alone, not part of an upload: nobody closes it later
                http.close()

    def _with_client(self, work: Callable[["_Client"], Coroutine[Any, Any, T]]) -> T:
        """Run *work* with the buffer open, in an event loop of its own."""

        async def run() -> T:
            async with _Client(self) as client:
                return await work(client)

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(run())
        with ThreadPoolExecutor(1) as thread:  # whoever calls us has a loop already
            return thread.submit(asyncio.run, run()).result()


class _Client(IndexedCPClient):
    """Sends through the synchronous client's own methods, so that they can be called, and replaced, alone."""

    def __init__(self, outer: IndexCPClient) -> None:
        super().__init__(**outer._options)
        self.content_digest = False  # the other one makes the headers
        self._outer = outer

    async def _upload_chunk(self, server_url: str, chunk: bytes, index: int, file_name: str) -> dict[str, Any]:
        self._outer._plans[file_name], _ = self._sent.get((file_name, index), ({}, chunk))
        send = self._outer._upload_chunk_with_retry
        return await asyncio.to_thread(send, server_url, chunk, index, file_name, self.api_key)

    async def _received(self, server_url: str, name: str, record: Record) -> tuple[set[int], bool]:
        self._outer._plans[name] = record
        return await asyncio.to_thread(self._outer._status, server_url, name, self.api_key)


def _asked_key() -> str:
    """Return the API key from whoever sits there.

    Raises:
        ValueError: nobody does.
    """
    if not sys.stdin.isatty():
        raise ValueError("api_key required: pass it to the constructor or set INDEXCP_API_KEY")
    return getpass.getpass("API key: ")
