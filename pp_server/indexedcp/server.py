"""A server for IndexedCP that stands alone: three lines of Python, one folder."""

import hmac
import os
import secrets
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from starlette.responses import Response

from pp_server.core.errors import ServerError, Unauthorized
from pp_server.durable import Durable
from pp_server.indexedcp import http
from pp_server.indexedcp.folder import Folder
from pp_server.indexedcp.logs import create_logger
from pp_server.indexedcp.model import Finished
from pp_server.indexedcp.names import NameRefused, PathMode
from pp_server.indexedcp.placing import Rules
from pp_server.indexedcp.receiving import Receiver
from pp_server.wire.digest import digest_of
from pp_server.wire.names import display

WORKERS = 8
DATABASE = ".indexcp_chunks.db"


class IndexedCPServer:
    """Takes chunks over HTTP into *upload_dir*. Nothing is opened before the first request, or question, comes.

    Raises:
        ValueError: there is no such path mode.
        NotImplementedError: encryption is asked for.
    """

    def __init__(
        self,
        upload_dir: str | os.PathLike[str] = "./uploads",
        port: int = 3000,
        api_keys: Sequence[str] | None = None,
        path_mode: str = "ignore",
        log_level: str | None = None,
        encryption: bool = False,
        *,
        sanitize_strip_paths: bool = False,
        tracking_db: str | os.PathLike[str] | None = None,
        idle_seconds: float = 30.0,
        unfinished_seconds: float = 7 * 86400.0,
        keep_finished_seconds: float = 30 * 86400.0,
        cors_origins: Sequence[str] = (),
        durable: Durable | None = None,
    ) -> None:
        if encryption:
            raise NotImplementedError("Encryption not supported by this server")
        try:
            mode = PathMode(path_mode)
        except ValueError:
            raise ValueError(f"Invalid path_mode: {path_mode!r} (ignore, sanitize or allow-paths)") from None
        self.upload_dir = Path(upload_dir)
        self.port = port
        self.api_keys = list(api_keys) if api_keys else [secrets.token_hex(32)]
        self.path_mode = mode.value
        self.encryption = encryption
        self.logger = create_logger("IndexedCP.Server", log_level)
        self._durable = durable or Durable()
        self._cors_origins = list(cors_origins)
        self._rules = Rules(
            mode, sanitize_strip_paths, idle_seconds, unfinished_seconds, keep_finished_s=keep_finished_seconds
        )
        self._tracking_db = os.fspath(tracking_db or self.upload_dir / DATABASE)
        self._folder = Folder(os.fspath(self.upload_dir), self._durable)
        self._executor = ThreadPoolExecutor(WORKERS, thread_name_prefix="indexedcp")
        self._receiver: Receiver | None = None

    # what the documents name

    def create_app(self) -> FastAPI:
        """Return the application; its lifespan closes what is open."""

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            yield
            self.close()

        app = FastAPI(title="IndexedCP Server", lifespan=lifespan)
        if self._cors_origins:
            app.add_middleware(
                CORSMiddleware,
                allow_origins=self._cors_origins,
                allow_methods=["GET", "POST", "OPTIONS"],
                allow_headers=["*"],
            )

        @app.get("/health")
        async def health() -> dict[str, str]:
            """Say that the server answers; needs no key."""
            return {"status": "ok", "service": "IndexedCP Server"}

        @app.post("/upload")
        async def upload(request: Request) -> Response:
            """Take one chunk."""
            try:
                owner = self._owner(request)
                return await http.upload(request, owner, self._opened(), self._executor)
            except (NameRefused, ServerError, OSError) as error:
                return http.refusal(error)

        @app.get("/upload/status")
        async def status(request: Request) -> Response:
            """Say which chunks of a file were received."""
            try:
                owner = self._owner(request)
                return await http.status(request, owner, self._opened(), self._executor)
            except (NameRefused, ServerError, OSError) as error:
                return http.refusal(error)

        return app

    def get_server_info(self) -> dict[str, Any]:
        """Return how the server is set up, and how many uploads run."""
        return {
            "port": self.port,
            "upload_dir": str(self.upload_dir),
            "path_mode": self.path_mode,
            "api_keys_count": len(self.api_keys),
            "encryption": self.encryption,
            "active_sessions": len(self.upload_sessions),
        }

    @property
    def upload_sessions(self) -> dict[Any, Any]:
        """The uploads that run."""
        receiver = self._opened()
        receiver.end_idle()
        return receiver.running

    def clear_sessions(self) -> None:
        """End all uploads: what comes next begins a new file."""
        self._opened().end_all()
        self.upload_sessions.clear()

    def is_chunk_received(self, filename: str, chunk_index: int) -> bool:
        """Say whether a chunk of the last upload of that name was received."""
        return chunk_index in self.get_received_chunks(filename)

    def mark_chunk_received(self, filename: str, chunk_index: int) -> None:
        """Have a chunk count as received where somebody asks by name."""
        self._opened().mark(filename, chunk_index)

    def get_received_chunks(self, filename: str) -> set[int]:
        """Return the chunks that were received of the last upload of that name."""
        return self._opened().received_of(filename)

    def close(self) -> None:
        """Let go of the records; the next request opens them again."""
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.close()

    # inside

    def _opened(self) -> Receiver:
        if self._receiver is None:
            self._receiver = Receiver(self._folder, self._tracking_db, self._rules, self._durable, self._finished)
        return self._receiver

    def _finished(self, over: Finished) -> None:
        self.logger.info("received %s (%s bytes)", display(os.fsencode("/".join(over.parts))), over.size_bytes)

    def _owner(self, request: Request) -> str:
        """Return a name for whoever has the key: not the key itself, which is recorded nowhere."""
        sent = request.headers.get("authorization", "").removeprefix("Bearer ").strip().encode()
        good = [key for key in self.api_keys if hmac.compare_digest(key.encode(), sent)]
        if not good:
            raise Unauthorized("Invalid or missing API key")
        return digest_of(good[0].encode())[:16]
