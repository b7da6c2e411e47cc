"""The real daemon's stages against the real server application, in one process, with weather in between."""

import asyncio
import hashlib
import json
import os
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from pp_assist import disk, posix
from pp_assist.core.model import STORABLE, TRACKED, FileState, Server, Stage
from pp_assist.daemon import Daemon, build
from pp_assist.http import Http
from pp_assist.scanner.ledger import Entry
from pp_assist.settings import Settings
from pp_assist.steering.bandwidth import Bandwidth
from pp_assist.store.counting import Counts
from pp_assist.store.report import Report
from pp_assist.supervisor import Supervisor
from pp_assist.uploader.settings import UploaderSettings
from pp_assist.uploader.way import Host
from pp_server.app import create_app
from pp_server.core.model import DEFAULT_SCOPES, Scope
from pp_server.settings import Settings as ServerSettings

DEADLINE_S = 30.0
ME = Host("host-1", "laptop")


@dataclass
class Weather(httpx.AsyncBaseTransport):
    """What happens to requests on their way: one word per request, then "ok" for ever."""

    inner: httpx.AsyncBaseTransport | None = None
    forecast: list[str] = field(default_factory=list)
    damage: Callable[[str, bytes], bytes] = lambda path, body: body
    """What becomes of a request's body on its way."""
    lie: Callable[[str, Any], Any] = lambda path, answer: answer
    """What becomes of an answer (JSON, of a success) on its way."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    chunk_sizes: list[int] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append((request.method, request.url.path))
        if request.method == "PUT":
            self.chunk_sizes.append(int(request.headers["Content-Length"]))
        word = self.forecast.pop(0) if self.forecast else "ok"
        if word == "lost_request" or (inner := self.inner) is None:
            raise httpx.ConnectError("nobody there", request=request)
        if word.isdigit():
            return httpx.Response(int(word), json={"detail": "no", "code": "made_up"}, request=request)
        if word == "html":
            return httpx.Response(200, text="<html>Please log in to this WiFi</html>", request=request)
        if word == "other_json":
            return httpx.Response(200, json={"ok": True}, request=request)
        if word == "slow":
            await asyncio.sleep(0.4)
        if word == "twice":
            await request.aread()
            await inner.handle_async_request(request)
        body = await request.aread()
        if (damaged := self.damage(request.url.path, body)) != body:
            headers = {**request.headers, "Content-Length": str(len(damaged))}
            request = httpx.Request(request.method, request.url, headers=headers, content=damaged)
        response = await inner.handle_async_request(request)
        if response.is_success and response.headers.get("Content-Type") == "application/json":
            told = json.loads(await response.aread())
            if (lie := self.lie(request.url.path, told)) != told:
                response = httpx.Response(response.status_code, json=lie, request=request)
        if word == "lost_response":
            await response.aread()
            raise httpx.ReadError("cut", request=request)
        return response


class Pair:
    """A server and a daemon over one temporary directory; each can be stopped and started."""

    def __init__(self, folder: Path, rules: dict[str, Any] | None = None, **scanner: Any) -> None:
        self.folder = folder
        self.tree = folder / "tree"
        self.tree.mkdir(exist_ok=True)
        self.watched: Path | None = None  # instead of the tree
        self.policy = "mirror"
        (folder / "state").mkdir(exist_ok=True)
        self.weather = Weather()
        self.api_key = ""
        values = {"quiet_seconds": 0.0, "delete_grace_seconds": 0.05, "scan_interval": 3600.0} | scanner
        self.settings = Settings(
            state_dir=str(folder / "state"),
            scanner={"use_filesystem_events": False, **values},
            uploader={"chunk_size_mb": 1},
            rules=rules or {},
        )
        self.me = ME
        self.daemon: Daemon | None = None
        self._stacks: dict[str, AsyncExitStack] = {}
        self._stop = asyncio.Event()

    # -- the server

    async def start_server(self) -> None:
        app = create_app(ServerSettings(data_dir=self.folder / "server"))
        self._stacks["server"] = stack = AsyncExitStack()
        await stack.enter_async_context(app.router.lifespan_context(app))
        self.weather.inner = httpx.ASGITransport(app, raise_app_exceptions=False)
        if not self.api_key:
            self.api_key = await new_key(app)
        self.new_key = partial(new_key, app)

    async def stop_server(self) -> None:
        self.weather.inner = None
        if stack := self._stacks.pop("server", None):
            await stack.aclose()

    def client(self) -> httpx.AsyncClient:
        """A plain client of the same owner, with no weather."""
        assert self.weather.inner
        headers = {"Authorization": f"Bearer {self.api_key}"}
        return httpx.AsyncClient(transport=self.weather.inner, base_url="http://server", headers=headers)

    async def live(self) -> dict[bytes, str]:
        """Path → digest of every live file on the server."""
        return {name_of(file): file["sha256"] for file in await self.listing("file")}

    async def live_entries(self) -> dict[bytes, "Entry"]:
        """What every live path of the server is there, but for the contents."""
        return {
            name_of(each): (each["kind"], each["mode"], each["mtime_ns"], name_of(each, "link_target"))
            for each in await self.listing("any")
        }

    async def listing(self, kind: str) -> list[dict[str, Any]]:
        """Every live path of that kind on the server."""
        found: list[dict[str, Any]] = []
        params: dict[str, Any] = {"limit": 1000, "kind": kind}
        while True:
            answer = (await self.client().get("/api/files", params=params)).json()
            found += answer["files"]
            if answer["next"] is None:
                return found
            params["after"] = answer["next"]

    async def download(self, digest: str) -> bytes:
        return (await self.client().get(f"/api/files/{digest}/content")).content

    # -- the daemon

    async def start_daemon(self, distrusted: str | None = None) -> None:
        self._stacks["daemon"] = stack = AsyncExitStack()
        state = os.fsencode(self.settings.state_dir)
        context = build(
            self.settings, str(self.folder / "state" / "assist.db"), self.me, (state,), None, self._connect, distrusted
        )
        self.daemon = await stack.enter_async_context(context)
        if not await self.daemon.servers.all():
            await self.daemon.servers.add("main", "http://server", self.api_key, 0)
        if not await self.daemon.roots.all():
            path, identity = disk.resolve(os.fsencode(self.watched or self.tree))
            await self.daemon.roots.add(path, os.fsencode(self.watched or self.tree), True, identity, 0, self.policy)
        self._stop = asyncio.Event()
        self.supervisor = Supervisor(self.daemon.stages)
        running = asyncio.create_task(self.supervisor.run_until(self._stop))

        async def end() -> None:
            self._stop.set()
            await running

        stack.push_async_callback(end)

    def _connect(self, server: Server, settings: UploaderSettings, bandwidth: Bandwidth) -> Http:
        return Http(server.url, server.api_key, 5.0, 16, transport=self.weather, pace=bandwidth)

    async def stop_daemon(self) -> None:
        self.daemon = None
        if stack := self._stacks.pop("daemon", None):
            await stack.aclose()

    async def kill_daemon(self) -> None:
        """End it without its noting that it ended."""
        self.daemon = None
        if stack := self._stacks.pop("daemon", None):
            await stack.__aexit__(KeyboardInterrupt, KeyboardInterrupt(), None)

    async def begin_anew_when_damaged(self) -> None:
        """Do as `run` does once damage of the database has come to light."""
        assert self.daemon
        self.daemon.scanner.request_scan(force=True)
        async with asyncio.timeout(DEADLINE_S):
            await self.daemon.db.damaged.wait()
        damage = self.daemon.db.damage
        await self.kill_daemon()
        await self.start_daemon(damage)

    @property
    def state(self) -> Path:
        """The daemon's own folder."""
        return Path(self.settings.state_dir)

    def asked(self, path: str) -> int:
        """How often the server was asked for *path*, or something below it."""
        return sum(f"{asked}/".startswith(f"{path}/") for _, asked in self.weather.requests)

    async def counts(self) -> Counts:
        assert self.daemon
        return await Report(self.daemon.db).counts()

    async def server_in_state(self, state: str) -> Server:
        """Wait until the default server is shown so."""
        assert self.daemon
        async with asyncio.timeout(DEADLINE_S):
            while (server := await self.daemon.servers.default()) is None or server.state != state:
                await asyncio.sleep(0.01)
        return server

    async def scan(self, force: bool = False) -> None:
        assert self.daemon
        async with asyncio.timeout(DEADLINE_S):
            await self.daemon.scanner.request_scan(force=force).finished.wait()

    async def settle(self) -> Counts:
        """Scan, and wait until nothing is left to do."""
        await self.scan()
        while True:
            await self.until_compared()
            counts = await self.until(lambda counts: counts.queued(*Stage) == 0)
            if await self.to_compare() == 0:
                return counts

    async def entry(self) -> Entry:
        """Scan, count, and return what the ledger says of the tree."""
        assert self.daemon
        await self.scan()
        await self.daemon.scanner.ledger.count()
        (found,) = self.daemon.scanner.ledger.entries().values()
        return found

    async def assert_adds_up(self, **parts: int) -> None:
        """Each name on the disk is counted as something, of each of *parts* so many; and none is that is not there."""
        found = await self.entry()
        assert found.tally is not None
        assert (found.tally.difference, found.tally.unread_directories) == (0, 0)
        counted = found.counted
        assert {name: getattr(counted, name) for name in parts} == parts
        assert found.tally.on_disk == counted.accounted_for

    async def to_compare(self) -> int:
        assert self.daemon
        return await Report(self.daemon.db).roots_to_compare()

    async def until_compared(self) -> None:
        """Wait until no watched folder is still to be compared with the server."""
        async with asyncio.timeout(DEADLINE_S):
            while await self.to_compare():
                await asyncio.sleep(0.01)

    async def until(self, condition: Callable[[Counts], bool], deadline_s: float = DEADLINE_S) -> Counts:
        async with asyncio.timeout(deadline_s):
            while not condition(counts := await self.counts()):
                await asyncio.sleep(0.01)
        return counts

    async def until_value(self, sql: str, value: object) -> None:
        """Wait until the daemon's database says so."""
        assert self.daemon
        async with asyncio.timeout(DEADLINE_S):
            while await self.daemon.db.value(sql) != value:
                await asyncio.sleep(0.01)

    async def highest_gen(self) -> int:
        """The last generation the server knows of us."""
        return int((await self.client().get(f"/api/hosts/{ME.host_id}")).json()["highest_gen"])

    async def assert_equal(self) -> None:
        """The server's live files, directories and links are exactly the tree's, and the daemon says so."""
        counts = await self.settle()
        expected = {
            path: hashlib.sha256(Path(os.fsdecode(path)).read_bytes()).hexdigest() for path in files_in(self.tree)
        }
        live = await self.live()
        assert live == expected, (
            f"only on the server: {sorted(set(live) - set(expected))}; "
            f"only on disk: {sorted(set(expected) - set(live))}; "
            f"different: {[path for path in live if expected.get(path, live[path]) != live[path]]}"
        )
        listed = await self.live_entries()
        there = entries_in(self.tree)
        different = {
            path: (there[path], listed[path]) for path in there if listed.get(path, there[path]) != there[path]
        }
        assert listed == there, (
            f"only on the server: {sorted(set(listed) - set(there))}; "
            f"only on disk: {sorted(set(there) - set(listed))}; different (disk, server): {different}"
        )
        for path, digest in live.items():
            assert await self.download(digest) == Path(os.fsdecode(path)).read_bytes()
        stored = counts.files[FileState.COMPLETED] + counts.files[FileState.UNCHANGED]
        assert stored == len(expected) == sum(counts.files[state] for state in TRACKED)

    @property
    def bytes_sent(self) -> int:
        assert self.daemon
        return self.daemon.uploader.stats.bytes_sent


async def new_key(app: FastAPI, scopes: Sequence[Scope] = DEFAULT_SCOPES) -> str:
    _, api_key = await app.state.services.keys.create("tests", None, scopes, None)
    return str(api_key)


Entry = tuple[str, int, int, bytes]
"""Kind, mode, mtime and (of a link) target."""


def name_of(file: dict[str, Any], field_name: str = "filepath") -> bytes:
    """The bytes that a field of JSON stands for; empty where it is null."""
    from pp_server.wire.names import from_json

    plain = file[field_name]
    return b"" if plain is None else from_json(plain, file.get(f"{field_name}_b64"))


def entries_in(tree: Path) -> dict[bytes, Entry]:
    """What everything below *tree* is that a server can be given."""
    found: dict[bytes, Entry] = {}
    for folder, directories, names in os.walk(os.fsencode(tree)):
        for name in (*directories, *names):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            kind = posix.file_type(status.st_mode)
            if kind in STORABLE:
                target = os.readlink(path) if kind == "symlink" else b""
                found[path] = (kind, status.st_mode & 0o7777, disk.stat_of(status).mtime_ns, target)
    return found


def files_in(tree: Path) -> list[bytes]:
    """Every regular file below *tree*."""
    return [
        os.path.join(folder, name)
        for folder, _, names in os.walk(os.fsencode(tree))
        for name in names
        if os.path.isfile(os.path.join(folder, name)) and not os.path.islink(os.path.join(folder, name))
    ]


@asynccontextmanager
async def running_pair(folder: Path, **scanner: Any) -> AsyncIterator[Pair]:
    pair = Pair(folder, **scanner)
    try:
        await pair.start_server()
        await pair.start_daemon()
        yield pair
    finally:
        await pair.stop_daemon()
        await pair.stop_server()


def write(path: Path, data: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def noise(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)
