"""`SftpService`: connections to SFTP servers per project, files to and from them, and an API that is told of arrivals.

The coroutines do their work in threads: nothing blocks the event loop. The plain methods block their caller.
"""

import asyncio
import logging
import os
import posixpath
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from pp_assist.sftp import announcing
from pp_assist.sftp.announcing import Announce, Batch, Payload, Poster, Signer, message_of, new_id
from pp_assist.sftp.errors import RemoteChanged, SftpError
from pp_assist.sftp.outbox import NotTaken
from pp_assist.sftp.polling import draft_of
from pp_assist.sftp.pool import Pool
from pp_assist.sftp.project import Project, project_of, state_folder
from pp_assist.sftp.signing import sign
from pp_assist.sftp.variables import variable

log = logging.getLogger(__name__)

T = TypeVar("T")
Config = Mapping[str, Any]

THREADS = 20
API_ATTEMPTS = 4
API_PAUSE_S = 0.5
LEDGER = "sftp-service.db"


class SftpService:
    """A pool of connections, empty at first. May be used from many tasks and threads."""

    def __init__(
        self,
        *,
        signer: Signer = sign,
        build_payload: Payload = announcing.payload,
        known_hosts: str | None = None,
        state_file: str | None = None,
        rest_seconds: float = 1.2,
    ) -> None:
        """Make an empty pool.

        *signer*, *build_payload*: for an API that has its own scheme. *known_hosts*: instead of the usual files; also
        where the first key of a host is remembered. *state_file*: what is being announced. *rest_seconds*: how long a
        file must look the same before it counts as complete.
        """
        self._pool = Pool()
        self._poster = Poster(signer)
        self._build = build_payload
        self._known_hosts = known_hosts
        self._state_file = state_file
        self._rest_s = rest_seconds
        self._threads = ThreadPoolExecutor(THREADS, "sftp")
        if level := variable("LOG_LEVEL"):
            number = logging.getLevelName(level.upper())
            if isinstance(number, int):
                logging.getLogger("pp_assist.sftp").setLevel(number)

    # -- connections

    def get_sftp_connection(self, client_config: Config) -> tuple[Any, Any]:
        """Return the kept (SFTPClient, Transport) of a project; where it is no good any more, a new one. Blocking.

        A client serves one thread at a time: whoever works beside others calls the other methods, or `connect_to_sftp`.

        Raises:
            SftpError: the server cannot be reached, shows a key that is not believed, or does not let us in.
        """
        project = self._project(client_config)
        return self._pool.main(project.id, project, partial(_connect, project))

    def close_all_connections(self) -> None:
        """Close everything that is kept. What is asked for later is opened anew."""
        self._pool.close()

    async def connect_to_sftp(self, client_config: Config) -> tuple[Any, Any]:
        """Return a new (SFTPClient, Transport) that is nobody else's; (None, None) where there is none."""
        try:
            sftp, transport = await self._in_thread(lambda: _connect(self._project(client_config)))
            return sftp, transport
        except (SftpError, ValueError) as error:
            log.error("no connection: %s", error)
            return None, None

    def create_sftp_connection(self, host: str, port: int, username: str, password: str) -> tuple[Any, Any]:
        """Return a new (SFTPClient, Transport), by password. Blocking.

        Raises:
            SftpError: as `get_sftp_connection`.
        """
        return _connect(
            self._project({"sftp_host": host, "sftp_port": port, "sftp_user": username, "sftp_pass": password})
        )

    # -- files

    def is_file_fully_uploaded(self, sftp: Any, filepath: str, delay: float = 1.2) -> bool:
        """Say whether a file is there, and had the same size and time *delay* seconds apart. Blocking."""
        from pp_assist.sftp.connecting import told_apart

        try:
            with told_apart():
                before = sftp.stat(filepath)
                time.sleep(delay)
                after = sftp.stat(filepath)
        except SftpError as error:
            log.info("%s: %s", filepath, error)
            return False
        return (before.st_size, before.st_mtime) == (after.st_size, after.st_mtime)

    async def upload_file_to_folder(self, path: str, project_id: str, file_path: str, project_config: Config) -> bool:
        """Put a local file into the remote folder *path*: under a temporary name first, and checked."""
        remote = posixpath.join(path, os.path.basename(file_path))
        draft = draft_of(remote)
        config = {**project_config, "project_id": project_id or project_config.get("project_id")}

        def put(client: Any) -> bool:
            from pp_assist.sftp import storing

            storing.put(client, file_path, remote, draft)
            return True

        return await self._done(config, put, f"upload {file_path}")

    async def get_file_from_sftp(self, path: str, client_config: Config) -> str | None:
        """Fetch a remote file into a new temporary folder; return where it is, or None. The folder is the caller's."""
        folder = await self._in_thread(tempfile.mkdtemp, None, "sftp-")
        local = os.path.join(folder, posixpath.basename(path) or "file")
        begun: tuple[int, int] | None = None

        def get(client: Any) -> bool:
            nonlocal begun
            from pp_assist.sftp.connecting import told_apart
            from pp_assist.sftp.fetching import fetch

            with told_apart():
                real = client.normalize(path)
                there = client.stat(real)
            version = there.st_size or 0, there.st_mtime or 0
            if begun not in (None, version):
                raise RemoteChanged("it changed while it was read")
            begun = version
            fetch(client, os.fsencode(real), *version, local, lambda: None)
            return True

        if await self._done(client_config, get, f"fetch {path}"):
            return local
        await self._in_thread(_remove_folder, folder)
        return None

    async def remove_file_from_path(self, file_path: str, client_config: Config) -> bool:
        """Remove a remote file."""
        is_asked = False

        def remove(client: Any) -> bool:
            nonlocal is_asked
            from pp_assist.sftp.connecting import look, told_apart

            with told_apart():
                if not is_asked or look(client, file_path) is not None:  # else only the answer was lost
                    is_asked = True
                    client.remove(file_path)
            return True

        return await self._done(client_config, remove, f"remove {file_path}")

    # -- announcing

    async def call_api_for_files(
        self,
        project_config: Config,
        files: Sequence[Mapping[str, Any]],
        uploaded_by: str,
        source: str,
        api_url: str | None = None,
        profile_code: str | None = None,
    ) -> bool:
        """Tell the API of a batch of files, `{"filename", "backup_path"}` each; say whether it was taken."""
        url = api_url or variable("DOC_AI_API_URL")
        if not url:
            log.error("no API to tell of files: neither api_url nor DOC_AI_API_URL")
            return False
        profile = profile_code or variable("PROFILE_CODE")
        batch = Batch(new_id(), str(project_config.get("project_id") or ""), profile, uploaded_by, source, files)
        message = message_of(batch, url, str(project_config.get("secret") or ""), self._build)
        for attempt in range(API_ATTEMPTS):
            try:
                await self._in_thread(self._poster.post, message)
                return True
            except NotTaken as error:
                log.warning("the API did not take %s (attempt %d): %s", message.id, attempt + 1, error)
            if attempt < API_ATTEMPTS - 1:
                await asyncio.sleep(API_PAUSE_S * 2**attempt)
        return False

    async def poll_sftp_for_project(
        self,
        project_config: Config,
        interval: int,
        api_url: str | None,
        sftp: Any = None,
        source_files_dir: str | None = None,
        in_progress_dir: str | None = None,
    ) -> None:
        """Move the PDFs that are complete aside, for today, and tell the API of them: one pass.

        What is moved and not yet taken by the API is written down, and told by the next pass, also after a kill.
        *interval* is not used.
        """
        try:
            await self._in_thread(self._poll, project_config, api_url, sftp, source_files_dir, in_progress_dir)
        except SftpError as error:
            log.error("polling failed: %s", error)

    def _poll(
        self, config: Config, api_url: str | None, sftp: Any, source_dir: str | None, in_progress_dir: str | None
    ) -> None:
        """Do one pass.

        Raises:
            SftpError: it could not be done to its end.
        """
        url = api_url or variable("DOC_AI_API_URL")
        base, secret = str(config.get("path") or ""), str(config.get("secret") or "")
        source = source_dir or variable("SOURCE_FILES") or ""
        aside = in_progress_dir or variable("IN_Progress_Path")
        if not url or not aside:
            log.error("nothing is polled: it needs IN_Progress_Path, and an API (api_url or DOC_AI_API_URL)")
            return
        project = self._project(config)
        told = Announce(
            url, secret, project_id=str(config.get("project_id") or ""), profile_code=variable("PROFILE_CODE"),
            uploaded_by=project.username,
        )  # fmt: skip
        folders = posixpath.join(base, source), posixpath.join(base, aside)
        ledger_file = self._state_file or os.path.join(state_folder(), LEDGER)
        connect = partial(_connect, project)

        def poll(client: Any) -> None:
            from pp_assist.sftp.pdfpolling import poll_once

            poll_once(client, ledger_file, project, *folders, told, self._rest_s, self._build, self._poster)

        if sftp is not None:
            poll(sftp)
        else:
            self._pool.run(project.id, project, connect, poll)

    # -- inside

    def _project(self, config: Config) -> Project:
        return project_of(config, self._known_hosts or variable("SFTP_KNOWN_HOSTS"))

    async def _done(self, config: Config, work: Any, what: str) -> bool:
        """Do *work* with a client of the pool; what goes wrong is logged, and False."""
        try:
            project = self._project(config)
            run = partial(self._pool.run, project.id, project, partial(_connect, project), work)
            return bool(await self._in_thread(run))
        except (SftpError, OSError, ValueError) as error:
            log.error("cannot %s: %s", what, error)
            return False

    async def _in_thread(self, function: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)


def _connect(project: Project) -> tuple[Any, Any]:
    """Return a new (SFTPClient, Transport). What speaks SFTP is imported only now."""
    from pp_assist.sftp.connecting import Login, connect

    login = Login(project.username, project.password, project.key_file, project.passphrase)
    return connect(project.host, project.port, login, project.rules)


def _remove_folder(folder: str) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
