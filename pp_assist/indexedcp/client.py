"""IndexedCPClient: files are added to a buffer, also offline, and uploaded when there is a server."""

import asyncio
import contextlib
import inspect
import os
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from pp_assist.core.errors import AssistError
from pp_assist.http import Http
from pp_assist.indexedcp import retry, wire
from pp_assist.indexedcp.buffer import CONFIRMED, BufferedFile, ChunkStorage, Plan, now_ms
from pp_assist.indexedcp.errors import ServerAsksToWait, UploadError, UploadsFailed
from pp_assist.indexedcp.logger import create_logger, from_environment
from pp_assist.indexedcp.sending import Failure, Record, Sending

Callback = Callable[[Any], Any]

DEFAULT_STORAGE = "~/.indexcp/db/client.db"
KEY_VARIABLES = ("INDEXEDCP_API_KEY", "INDEXCP_API_KEY")
TIMEOUT_S = 60.0
CHUNK_BYTES = 1024 * 1024


class IndexedCPClient:
    """A buffer and what sends it. Everything but `add_file` may be called by several tasks at a time."""

    def __init__(
        self,
        server_url: str | None = None,
        api_key: str | None = None,
        storage_path: str | None = None,
        chunk_size: int = CHUNK_BYTES,
        encryption: bool = False,
        log_level: str | None = None,
        max_retries: float = float("inf"),
        initial_retry_delay: float = 1.0,
        max_retry_delay: float = 60.0,
        retry_multiplier: float = 2.0,
        on_upload_progress: Callback | None = None,
        on_upload_error: Callback | None = None,
        on_upload_complete: Callback | None = None,
        *,
        retry_strategy: retry.RetryStrategy = "exponential",
        parallel_chunks: int = 1,
        read_from_source: bool = False,
        content_digest: bool = True,
        file_sha256: bool = False,
        keep_confirmed_s: float = 0.0,
        timeout: float = TIMEOUT_S,
        **_: Any,
    ) -> None:
        if encryption:
            raise NotImplementedError("Encryption not supported by this client")
        if chunk_size < 1:
            raise ValueError("chunk_size must be at least 1")
        retry.delay_s(retry_strategy, 1, initial_retry_delay, retry_multiplier, max_retry_delay)  # or raise
        self.server_url = server_url
        self.api_key = api_key or from_environment(KEY_VARIABLES)
        self.storage_path = os.path.expanduser(storage_path or DEFAULT_STORAGE)
        self.chunk_size = chunk_size
        self.encryption = encryption
        self.max_retries = max_retries
        self.initial_retry_delay = initial_retry_delay
        self.max_retry_delay = max_retry_delay
        self.retry_multiplier = retry_multiplier
        self.retry_strategy = retry_strategy
        self.on_upload_progress = on_upload_progress
        self.on_upload_error = on_upload_error
        self.on_upload_complete = on_upload_complete
        self.parallel_chunks = parallel_chunks
        self.read_from_source = read_from_source
        self.content_digest = content_digest
        self.file_sha256 = file_sha256
        self.keep_confirmed_s = keep_confirmed_s
        self.timeout = timeout
        self.logger = create_logger("IndexedCP.Client", log_level)
        self.storage: ChunkStorage | None = None
        self.background_upload_task: asyncio.Task[None] | None = None
        self._uploading = asyncio.Lock()
        self._sent: dict[tuple[str, int], tuple[Record, bytes]] = {}
        self._connections: dict[str, Http] = {}

    # the buffer

    async def initialize(self) -> None:
        """Open the buffer; what was in it is in it still."""
        if self.storage is None:
            storage = ChunkStorage(self.storage_path, self.logger.level)
            await storage.initialize()
            self.storage = storage

    async def add_file(self, filepath: str | os.PathLike[str]) -> int:
        """Add a file, in place of what is here under this name; return how many chunks it has.

        Raises:
            RuntimeError: not initialized, or the file changed while it was read.
            FileNotFoundError, ValueError, OSError: it is not there, no file, or cannot be read or buffered.
        """
        storage, path = self._opened(), os.fspath(filepath)
        added = storage.add_file, path, self.chunk_size, not self.read_from_source, self.file_sha256
        chunks = await storage.run(*added)
        self.logger.info("added %r: %d chunks", path, chunks)
        return chunks

    async def buffered_files(self) -> list[BufferedFile]:
        """Return what is in the buffer, and where it stands."""
        storage = self._opened()
        return await storage.run(storage.files)

    def _opened(self) -> ChunkStorage:
        if self.storage is None:
            raise RuntimeError("Client not initialized. Call initialize() first.")
        return self.storage

    # uploading

    async def upload_buffered_files(self, server_url: str | None = None) -> dict[str, str]:
        """Upload everything that is due; return for each path what the server calls it.

        Raises:
            ValueError: no server_url, or no api_key.
            UploadsFailed (a RuntimeError): something is still here; its `results` are what arrived.
        """
        url = self._checked_url(server_url)
        results, left = await self._round(url, None)
        if left:
            chunks = sum(file.pending for file, _ in left)
            reasons = "; ".join(dict.fromkeys(f"{file.name!r}: {error}" for file, error in left[:3]))
            raise UploadsFailed(f"{chunks} chunk(s) failed or are waiting for another try: {reasons}", results)
        return results

    async def upload_files(self, names: list[str], server_url: str | None = None) -> dict[str, str]:
        """As `upload_buffered_files`, of these only, whether they are due or not."""
        results, left = await self._round(self._checked_url(server_url), set(names))
        if left:
            reasons = "; ".join(f"{file.name!r}: {error}" for file, error in left[:3])
            raise UploadsFailed(f"{sum(file.pending for file, _ in left)} chunk(s) failed: {reasons}", results)
        return results

    def _checked_url(self, server_url: str | None) -> str:
        self._opened()
        url = server_url or self.server_url
        if not url:
            raise ValueError("server_url required: pass it here or to the constructor")
        if not self.api_key:
            raise ValueError("api_key required: pass it to the constructor or set INDEXEDCP_API_KEY")
        wire.upload_url(url)
        return url

    async def _round(
        self, url: str, only: set[str] | None
    ) -> tuple[dict[str, str], list[tuple[BufferedFile, Exception]]]:
        """Send each file once; return what arrived, and what is left and why."""
        storage = self._opened()
        results: dict[str, str] = {}
        stopped: dict[str, Exception] = {}
        async with self._uploading:
            if self.keep_confirmed_s:
                await storage.run(storage.drop_confirmed, now_ms() - int(self.keep_confirmed_s * 1000))
            for file in await storage.run(storage.files):
                if file.confirmed == file.chunks or (only is not None and file.name not in only):
                    continue
                obstacle = self._obstacle(file) if only is None else None
                outcome = obstacle or await self._send_file(url, file.name)
                if isinstance(outcome, str):
                    results[file.name] = outcome
                else:
                    stopped[file.name] = outcome
            left = [file for file in await storage.run(storage.files) if file.name in stopped] if stopped else []
        return results, [(file, stopped[file.name]) for file in left]

    def _obstacle(self, file: BufferedFile) -> Exception | None:
        """Return what keeps a file from being tried now, if anything does."""
        if file.retry_count > self.max_retries:
            return UploadError(f"given up after {file.retry_count} attempts; add it again")
        wait_ms = file.next_retry_ms - now_ms()
        if wait_ms > 0:
            return UploadError(f"failed {file.retry_count} times; next try in {wait_ms / 1000:.1f} s")
        return None

    async def _send_file(self, url: str, name: str) -> str | Exception:
        """Send one file; return the server's name for it, or what stopped it."""
        storage = self._opened()
        plan = await storage.run(storage.plan, name)

        async def send(record: Record, data: bytes) -> str:
            index = record["chunkIndex"]
            self._sent[name, index] = record, data
            try:
                return self._name_in(await self._upload_chunk(url, data, index, name), name)
            finally:
                del self._sent[name, index]

        options = self.parallel_chunks, self.max_retry_delay, self.content_digest
        sending = Sending(storage, plan, send, self._succeeded, *options)
        received: set[int] = set()
        is_trusted = False
        if len(plan.indexes) > 1 or plan.uploaded or plan.was_tried:
            received, is_trusted = await self._received(url, name, plan.first)
        await sending.run(received, is_trusted)
        if sending.failure is not None:
            return await self._failed(plan, sending.failure)
        await storage.run(storage.confirm, plan, self.keep_confirmed_s > 0)
        return sending.server_name or os.path.basename(name)

    @staticmethod
    def _name_in(said: Any, name: str) -> str:
        if isinstance(said, dict):
            said = said.get("actualFilename")
        return said if isinstance(said, str) else os.path.basename(name)

    async def _succeeded(self, record: Record) -> None:
        await self._call(
            self.on_upload_progress,
            {
                "fileName": record["fileName"],
                "chunkIndex": record["chunkIndex"],
                "status": "success",
                "retryCount": record.get("retryMetadata", {}).get("retryCount", 0),
            },
        )

    async def _failed(self, plan: Plan, failure: Failure) -> Exception:
        """Count the attempt on all chunks that are still to be sent; say so, and return why."""
        storage, error = self._opened(), failure.error
        failures = failure.record.get("retryMetadata", {}).get("retryCount", 0)
        if isinstance(error, ServerAsksToWait):
            delay_ms = int(error.seconds * 1000)
            await storage.run(storage.note_wait, plan, now_ms() + delay_ms)
        else:
            failures += 1
            delay_ms = int(
                1000
                * retry.delay_s(
                    self.retry_strategy, failures, self.initial_retry_delay, self.retry_multiplier, self.max_retry_delay
                )
            )
            await storage.run(storage.note_failure, plan, delay_ms, str(error) or type(error).__name__)
        self.logger.warning("upload of %r stopped at chunk %d: %s", *_place(failure.record), error)
        await self._call(
            self.on_upload_progress,
            {
                "fileName": failure.record["fileName"],
                "chunkIndex": failure.record["chunkIndex"],
                "status": "failed",
                "retryCount": failures,
                "nextRetryIn": delay_ms,
                "error": str(error),
            },
        )
        return error

    async def _call(self, callback: Callback | None, argument: Any) -> None:
        """Call back, a coroutine function too; what goes wrong there stops no upload."""
        if callback is None:
            return
        try:
            said = callback(argument)
            if inspect.isawaitable(said):
                await said
        except Exception:
            self.logger.exception("a callback failed")

    # the wire

    async def _upload_chunk(self, server_url: str, chunk: bytes, index: int, file_name: str) -> dict[str, Any]:
        """Send one chunk; return the server's answer."""
        record, as_read = self._sent.get((file_name, index), ({}, chunk))
        digest = record.get(wire.DIGEST) if chunk is as_read else None  # who replaces this may send other bytes
        headers = wire.chunk_headers(file_name, index, chunk, record, self.content_digest, digest)
        origin, path = wire.upload_url(server_url)
        try:
            answer = await self._http(origin).request("POST", path, content=[chunk], headers=headers)
        except AssistError as error:
            raise UploadError(str(error)) from error
        return wire.read_upload(answer)

    async def _received(self, server_url: str, name: str, record: Record) -> tuple[set[int], bool]:
        """Ask which chunks the server has; an old server, or none, has no word on it: then all are sent."""
        origin, path = wire.upload_url(server_url)
        try:
            answer = await self._http(origin).request(
                "GET", wire.status_path(path, name), headers=wire.upload_headers(record)
            )
        except AssistError:
            return set(), False
        return wire.read_status(answer, record)

    def _http(self, origin: str) -> Http:
        if origin not in self._connections:
            connections = max(1, self.parallel_chunks)
            self._connections[origin] = Http(origin, self.api_key or "", self.timeout, connections)
        return self._connections[origin]

    # in the background

    async def start_upload_background(self, server_url: str | None = None, check_interval: float = 5.0) -> None:
        """Upload whatever is due, and look again every *check_interval* seconds. A second start changes nothing."""
        if self.background_upload_task is None or self.background_upload_task.done():
            url = self._checked_url(server_url)
            self.background_upload_task = asyncio.create_task(self._background(url, check_interval))

    async def _background(self, url: str, check_interval: float) -> None:
        while True:
            try:
                await self._background_round(url)
            except Exception as error:
                self.logger.exception("the background upload failed")
                await self._call(self.on_upload_error, error)
            await asyncio.sleep(check_interval)

    async def _background_round(self, url: str) -> None:
        before = {file.name for file in await self.buffered_files() if self._obstacle(file) is None}
        results, left = await self._round(url, None)
        failed = [(file, error) for file, error in left if file.name in before]
        for _, error in failed:
            await self._call(self.on_upload_error, error)
        if results:
            summary: dict[str, Any] = {"succeeded": len(results), "failed": len(failed)}
            summary["total"] = len(results) + len(failed)
            summary["files"] = dict.fromkeys(results, CONFIRMED) | {file.name: file.status for file, _ in failed}
            await self._call(self.on_upload_complete, summary)

    async def stop_upload_background(self) -> None:
        """Stop it; a chunk that is on its way may be sent again later, and is taken once."""
        task, self.background_upload_task = self.background_upload_task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def close(self) -> None:
        """Stop the background upload, and let go of the buffer and of connections."""
        await self.stop_upload_background()
        while self._connections:
            await self._connections.popitem()[1].close()
        storage, self.storage = self.storage, None
        if storage is not None:
            await storage.close()

    async def __aenter__(self) -> Self:
        await self.initialize()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _place(record: Record) -> tuple[str, int]:
    return record["fileName"], record["chunkIndex"]
