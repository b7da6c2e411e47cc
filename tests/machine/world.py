"""A daemon and a server, both real, on real files, in virtual time; and everything that can befall them.

Real are: all stages of the daemon, its SQLite, its looks at the disk, its HTTP client; the server's application with
its SQLite, packs, staging and receipts log. Behind ports or hooks are: time, threads (see `virtual`), the way between
the two (`Road`), the server's durable operations (`Fragile`), and "no permission", which root would not notice.
"""

import asyncio
import contextlib
import errno
import gc
import hashlib
import logging
import os
import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

import httpx
from virtual import Connections, Crashed, Fragile, InlineWriter, VirtualClock, VirtualLoop

from pp_assist import daemon as daemon_module
from pp_assist import disk, posix
from pp_assist import run as run_module
from pp_assist.checksum import entries, hashing
from pp_assist.core.model import Server
from pp_assist.daemon import Daemon, build
from pp_assist.http import Http
from pp_assist.scanner.follow import follow
from pp_assist.settings import Settings
from pp_assist.store import db as db_module
from pp_assist.store.held import CountChanged, HeldDeletions
from pp_assist.supervisor import Supervisor
from pp_assist.uploader import copying, deletions
from pp_assist.uploader.deletions import Deletions
from pp_assist.uploader.settings import UploaderSettings
from pp_assist.uploader.way import Host
from pp_server import appended, auth, room, staging
from pp_server.app import create_app
from pp_server.core.model import DEFAULT_SCOPES
from pp_server.core.versions import Plan
from pp_server.metadata import engine
from pp_server.metadata import store as metadata_store
from pp_server.settings import Settings as ServerSettings
from pp_server.wire.names import from_json

ME = Host("host-1", "laptop")
CHUNK_BYTES = 128 << 10
LONG_AGO_NS = 1_000_000_000 * 1_000_000_000
DRAIN_S = 3600.0
QUEUES = "SELECT stage, state, reason, last_error, attempts FROM work"
CONFIRMED = """
SELECT DISTINCT stored_sha256 FROM files WHERE state IN ('completed', 'unchanged') AND stored_sha256 <> ''"""
STORED = "SELECT COUNT(*) FROM files WHERE state IN ('completed', 'unchanged')"


class Broken(AssertionError):
    """A promise was broken."""


class Entry(NamedTuple):
    """One path, there or here."""

    kind: str
    says: bytes
    """Digest of a file, target of a link."""
    mode: int
    mtime_ns: int


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


@dataclass
class Life:
    """One life of the daemon."""

    daemon: Daemon
    supervisor: Supervisor
    connections: Connections
    stop: asyncio.Event
    running: "asyncio.Task[None]"
    stack: AsyncExitStack
    ended: bool = False
    commits: list[int] = field(default_factory=list)
    """How long the database's log was after each commit."""
    aside: "set[asyncio.Task[Any]]" = field(default_factory=set)


class Road(httpx.AsyncBaseTransport):
    """The way from one life of the daemon to the server: a word per request says what happens on it."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.cut = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        world = self._world
        body = await request.aread()
        word = world.next_word(request)
        if self.cut or word == "lost_request" or world.stack is None:
            raise httpx.ConnectError("nobody there", request=request)
        if word.isdigit():
            headers = {"Retry-After": "7"} if word == "429" else {}
            answer = {"detail": "no", "code": "made_up"}
            return httpx.Response(int(word), json=answer, headers=headers, request=request)
        if word == "html":
            return httpx.Response(200, text="<html>Please log in to this WiFi</html>", request=request)
        if word == "damaged" and _has_content(request, body):
            body = body[:-1] + bytes([body[-1] ^ 1])
        if word == "slow":
            await asyncio.sleep(9.0)
        if word == "late":
            world.ahead(world.deliver_late(request, body, world.loop.dice.choice([0.01, 4.0, 70.0, 70.0])))
            raise httpx.ReadError("cut", request=request)
        if word == "twice":
            await world.served(request, body)
        if world.crash_in and world.crash_in[0] in request.url.path:
            world.durable.steps_left, world.crash_in = world.crash_in[1], None
        answered = await world.served(request, body)
        if word == "lost_response":
            raise httpx.ReadError("cut", request=request)
        if word == "garbled":
            return httpx.Response(200, json={"ok": True}, request=request)
        return answered


def _has_content(request: httpx.Request, body: bytes) -> bool:
    """Say whether a request ends with content of files: a chunk does, and a batch may."""
    is_batch = request.url.path == "/api/batch"
    return bool(body) and (request.method == "PUT" or (is_batch and not body.endswith(b"\n")))


class World:
    """One machine with a daemon, one with a server, and what lies between."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loop = VirtualLoop()
        self.clock = VirtualClock(self.loop)
        self.tree, self.away = folder / "tree", folder / "away"
        self.state, self.data = folder / "state", folder / "server"
        self.durable = Fragile(self._server_died)
        self.app = create_app(ServerSettings(data_dir=self.data), self.durable, self.clock.now_ms)
        self.settings = Settings(
            state_dir=str(self.state),
            scanner={"use_filesystem_events": False, "scan_interval": 3600.0},
            uploader={"chunk_size_mb": 1},
        )
        self.weather: list[str] = []
        self.crash_in: tuple[str, int] | None = None
        """The server crashes in the next request to a path with this in it, at that step."""
        self.denied: set[bytes] = set()
        """Relative paths that may not be read."""
        self.stack: AsyncExitStack | None = None
        """The server's life."""
        self.life: Life | None = None
        self.serving: set[asyncio.Task[Any]] = set()
        self._ending: list[asyncio.Task[Any]] = []
        self._late: list[asyncio.Future[None]] = []
        self.looked: dict[tuple[bytes, int], bool] = {}
        """(path, generation) of a deletion → whether the path was absent when the daemon looked last."""
        self.links: set[bytes] = set()
        """Where links have stood, as the server knows the paths."""
        self.broken: list[str] = []
        self.crashed_at = ""
        self.api_key = ""
        self.sent_bytes = 0
        self.examples = self.rules = 0
        """How many there were."""

    # -- an example

    def begin(self, seed: int) -> None:
        """Begin anew: an empty tree, an empty server that knows the daemon's key, a daemon that has just started."""
        self.examples += 1
        self.loop.begin(seed)
        random.seed(seed)
        for path in (self.tree, self.away, self.state, self.data):
            shutil.rmtree(path, ignore_errors=True)
        self.tree.mkdir()
        self.state.mkdir()
        self.weather, self.denied, self.looked, self.broken = [], set(), {}, []
        self.links = set()
        self.crash_in = None
        self.clock.set_ms = 0
        self.clock.base_ms = time.time_ns() // 1_000_000 + 600_000
        template = self.folder / "template"
        if not template.exists():
            self.loop.run(self._make_template(template))
        shutil.copytree(template, self.data)
        self.loop.run(self._begin())

    async def _make_template(self, template: Path) -> None:
        await self.start_server()
        _, self.api_key = await self.app.state.services.keys.create("tests", None, DEFAULT_SCOPES, None)
        await self.stop_server()
        shutil.copytree(self.data, template)
        shutil.rmtree(self.data)

    async def _begin(self) -> None:
        await self.start_server()
        await self.start_daemon()

    def end(self) -> None:
        """Stop everything."""
        self.loop.run(self._end())

    async def _end(self) -> None:
        self.weather.clear()
        await self.kill_daemon()
        await self.stop_server()
        for task in list(self.serving):
            task.cancel()
        await self._settled([*self.serving, *self._ending])

    async def _settled(self, tasks: list[asyncio.Task[Any]]) -> None:
        if tasks:
            await asyncio.wait(tasks)
            for task in tasks:
                if not task.cancelled():
                    task.exception()

    # -- the server

    async def start_server(self) -> None:
        """Start it, if it does not run."""
        if self.stack is not None:
            return
        await self._settled(self._ending)
        self._ending.clear()
        self.durable.dead, self.durable.steps_left = False, None
        stack = AsyncExitStack()
        await stack.enter_async_context(self.app.router.lifespan_context(self.app))
        self.stack = stack

    async def stop_server(self) -> None:
        """Stop it as SIGTERM does."""
        stack, self.stack = self.stack, None
        if stack is not None:
            await self._settled(list(self.serving))
            await self._bury(stack, [])

    def _server_died(self, step: str) -> None:
        """It crashed at *step*: whoever waits for an answer gets none."""
        self.crashed_at = step
        stack, self.stack = self.stack, None
        for task in list(self.serving):
            task.cancel()
        if stack is not None:
            self._ending.append(self.loop.create_task(self._bury(stack, list(self.serving))))

    async def _bury(self, stack: AsyncExitStack, serving: list[asyncio.Task[Any]]) -> None:
        await self._settled(serving)
        with contextlib.suppress(Exception, Crashed):
            await stack.aclose()
        self.durable.bury()

    async def kill_server(self) -> None:
        """End it as SIGKILL does."""
        if self.stack is not None:
            self.durable.dead = True
            self._server_died("killed")
            await self._settled(self._ending)

    async def expire_uploads(self) -> None:
        """Let all open uploads expire."""
        if self.stack is not None:
            await asyncio.wait([self.ahead(self._expire_uploads())])

    async def _expire_uploads(self) -> None:
        uploads = self.app.state.services.uploads
        for upload_id in await uploads._context.metadata.open_upload_ids():
            await uploads.expire(upload_id)

    def ahead(self, work: Any) -> "asyncio.Task[Any]":
        """Let the server do something, whatever becomes of those who asked for it."""
        task = self.loop.create_task(work)
        self.serving.add(task)
        task.add_done_callback(self._served)
        return task

    def _served(self, task: "asyncio.Task[Any]") -> None:
        self.serving.discard(task)
        if not task.cancelled():
            task.exception()

    async def served(self, request: httpx.Request, body: bytes) -> httpx.Response:
        """Return the server's answer. It goes on serving when the one who asked is gone."""
        task = self.ahead(self.deliver(request, body))
        await asyncio.wait([task])
        if task.cancelled() or isinstance(task.exception(), BaseException):
            raise httpx.ReadError("the server is gone", request=request)
        status, headers, content = task.result()
        return httpx.Response(status, headers=headers, content=content, request=request)

    async def deliver_late(self, request: httpx.Request, body: bytes, after_s: float) -> None:
        """Bring a request to the server when nobody waits for its answer any more."""
        due = self.loop.create_future()
        self._late.append(due)
        timer = self.loop.call_later(after_s, self._arrive, due)
        try:
            await due
        finally:
            timer.cancel()
            self._late.remove(due)
        await self.deliver(request, body)

    def _arrive(self, due: "asyncio.Future[None]") -> None:
        if not due.done():
            due.set_result(None)

    async def nothing_on_its_way(self) -> None:
        """Let whatever is late arrive now."""
        for due in self._late:
            self._arrive(due)
        await self._settled(list(self.serving))

    def next_word(self, request: httpx.Request) -> str:
        """Return what becomes of a request. What only matters where something is changed waits for such a request."""
        word = self.weather[0] if self.weather else "ok"
        only_asks = request.method == "GET" or request.url.path.endswith("/held")
        if only_asks and word in ("late", "twice", "damaged", "lost_response", "garbled"):
            return "ok"
        return self.weather.pop(0) if self.weather else "ok"

    async def deliver(self, request: httpx.Request, body: bytes) -> tuple[int, Any, bytes]:
        """Bring a request to the server."""
        if self.stack is None:
            raise httpx.ConnectError("nobody there")
        headers = {**request.headers, "Content-Length": str(len(body))}
        headers.pop("transfer-encoding", None)
        arrived = httpx.Request(request.method, request.url, headers=headers, content=body)
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        answer = await transport.handle_async_request(arrived)
        content = await answer.aread()
        if answer.status_code == 500 and b'"internal"' in content and not self.durable.dead:
            self.broken.append(f"{request.method} {request.url.path} is answered with an internal error")
        return answer.status_code, answer.headers, content

    async def ask(self, path: str, **params: Any) -> httpx.Response:
        """Ask the server in our own name."""
        headers = {"Authorization": f"Bearer {self.api_key}"}
        request = httpx.Request("GET", f"http://server{path}", params=params or None, headers=headers)
        return await self.served(request, b"")

    # -- the daemon

    async def start_daemon(self) -> None:
        """Start it as `daemon.run` does, without its API."""
        if self.life is not None:
            return
        life_commits: list[int] = []
        connections = Connections(self.loop, lambda: life_commits.append(_size(self.database_log)))
        road = Road(self)

        def connect(server: Server, settings: UploaderSettings, _: object) -> Http:
            return Http(server.url, server.api_key, 60.0, 16, transport=road)

        stack = AsyncExitStack()
        stack.enter_context(mock.patch.object(db_module, "aiosqlite", connections))
        own = (os.fsencode(self.state),)
        context = build(self.settings, str(self.database), ME, own, clock=self.clock, http=connect)
        daemon = await stack.enter_async_context(context)
        if not await daemon.servers.all():
            await daemon.servers.add("main", "http://server", self.api_key, 0)
        if not await daemon.roots.all():
            identity = disk.root_identity(os.fsencode(self.tree_home))
            shown = os.fsencode(self.tree)
            await daemon.roots.add(shown, shown, True, identity, 0)
        await run_module._put_in_order(daemon)
        stop = asyncio.Event()
        supervisor = Supervisor(daemon.stages)
        running = self.loop.create_task(supervisor.run_until(stop))
        self.life = Life(daemon, supervisor, connections, stop, running, stack, commits=life_commits)
        self.road = road

    async def stop_daemon(self) -> None:
        """Stop it as SIGTERM does."""
        life, self.life = self.life, None
        if life is None:
            return
        life.stop.set()
        await asyncio.wait([life.running, *life.aside])
        self.sent_bytes += life.daemon.uploader.stats.bytes_sent
        await life.stack.aclose()

    async def kill_daemon(self, commits_lost: int = 0) -> None:
        """End it as SIGKILL does: nothing it would still do happens. A power cut may take its last commits along."""
        life, self.life = self.life, None
        if life is None:
            return
        self.sent_bytes += life.daemon.uploader.stats.bytes_sent
        left = {path: path.read_bytes() for path in self.state.iterdir() if not path.name.endswith("-shm")}
        if commits_lost and len(life.commits) > commits_lost:
            left[self.database_log] = left[self.database_log][: life.commits[-1 - commits_lost]]
        life.connections.cut()
        self.road.cut = True
        life.stop.set()
        for task in life.aside:
            task.cancel()
        await self._settled([life.running, *life.aside])
        with contextlib.suppress(Exception):  # what it still wants to write down
            await life.stack.aclose()
        for path in self.state.iterdir():
            path.unlink()
        for path, content in left.items():
            path.write_bytes(content)

    def lose_database(self) -> None:
        """The daemon's memory is gone."""
        assert self.life is None
        for path in self.state.iterdir():
            path.unlink()

    @property
    def database(self) -> Path:
        return self.state / "assist.db"

    @property
    def database_log(self) -> Path:
        return self.state / "assist.db-wal"

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return what the daemon's database says, as of its last commit."""
        if self.life is not None:
            return self.life.connections.read(sql)
        if not self.database.exists():
            return []
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as conn:
            return conn.execute(sql).fetchall()

    def begin_scan(self) -> None:
        """Have a scan begun."""
        if self.life is not None:
            self.life.daemon.scanner.request_scan()

    async def scan(self, force: bool = False) -> None:
        """Have a scan done."""
        if self.life is not None:
            await self.life.daemon.scanner.request_scan(force=force).finished.wait()

    def announce(self, directory: bytes, name: bytes, closed: bool) -> None:
        """Have the daemon look where something is said to have happened."""
        if (life := self.life) is None:
            return

        async def looking() -> None:
            with contextlib.suppress(Exception):
                for root in await life.daemon.roots.all():
                    await follow(life.daemon.recorder, root, {directory: {name: closed}})

        task = self.loop.create_task(looking())
        life.aside.add(task)
        task.add_done_callback(life.aside.discard)

    # -- time

    def turns(self, count: int) -> None:
        """Let everybody take *count* steps, without any time passing."""

        async def stepping() -> None:
            for _ in range(count):
                await asyncio.sleep(0)

        self.loop.run(stepping())

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.loop.run(asyncio.sleep(seconds))

    # -- the disk

    @property
    def tree_home(self) -> Path:
        """Where the watched files really are: elsewhere, while they are unmounted."""
        return self.away if self.away.exists() else self.tree

    def truth(self) -> dict[bytes, Entry]:
        """Everything below the watched folder, under the path as the server knows it."""
        home = os.fsencode(self.tree_home)
        found: dict[bytes, Entry] = {}
        for folder, folders, names in os.walk(home):
            for name in (*folders, *names):
                path = os.path.join(folder, name)
                status = os.lstat(path)
                kind, says = posix.file_type(status.st_mode), b""
                if kind == "file":
                    says = _digest(Path(os.fsdecode(path)).read_bytes())
                elif kind == "symlink":
                    says = os.readlink(path)
                entry = Entry(kind, says, status.st_mode & 0o7777, disk.stat_of(status).mtime_ns)
                found[os.fsencode(self.tree) + path[len(home) :]] = entry
        return found

    def note_links(self) -> None:
        """Remember where links stand."""
        home = os.fsencode(self.tree_home)
        for folder, folders, names in os.walk(home):
            links = [path for name in (*folders, *names) if os.path.islink(path := os.path.join(folder, name))]
            self.links |= {os.fsencode(self.tree) + path[len(home) :] for path in links}

    def was_behind_a_link(self, shown: bytes) -> bool:
        """Say whether a link has ever stood above this path."""
        return any(shown.startswith(link + b"/") for link in self.links)

    def is_absent(self, shown: bytes) -> bool:
        """Say whether nothing has this path, wherever the tree is mounted at the moment."""
        path = os.fsencode(self.tree_home) + shown[len(os.fsencode(self.tree)) :]
        return not os.path.lexists(path)

    # -- what is promised

    async def live(self) -> dict[bytes, Entry]:
        """Everything that lives on the server, by path."""
        found: dict[bytes, Entry] = {}
        params: dict[str, Any] = {"limit": 1000, "kind": "any"}
        while True:
            answer = (await self.ask("/api/files", **params)).json()
            for each in answer["files"]:
                says = (each["sha256"] or "").encode()
                if each["link_target"] is not None:
                    says = from_json(each["link_target"], each.get("link_target_b64"))
                path = from_json(each["filepath"], each.get("filepath_b64"))
                found[path] = Entry(each["kind"], says, each["mode"], each["mtime_ns"])
            if answer["next"] is None:
                return found
            params["after"] = answer["next"]

    async def check_retrievable(self, digests: set[str]) -> set[str]:
        """Make sure that the server gives back what it has acknowledged; return those that it gave before it ended."""
        proven: set[str] = set()
        for digest in digests:
            try:
                answer = await self.ask(f"/api/files/{digest}/content")
            except httpx.ReadError:
                answer = None
            if self.stack is None:  # it crashed meanwhile, in something else
                break
            assert answer is not None
            if answer.status_code != 200:
                raise Broken(f"acknowledged content is gone: {digest[:8]} is answered with {answer.status_code}")
            if hashlib.sha256(answer.content).hexdigest() != digest:
                raise Broken(f"the content of {digest[:8]} is other content")
            proven.add(digest)
        return proven

    def confirmed(self) -> set[str]:
        """Return the digests of all contents for which the daemon has a receipt that counts."""
        return {row[0] for row in self.rows(CONFIRMED)}

    async def drained(self) -> None:
        """Wait until the daemon has nothing left to do, and nothing to compare with the server."""
        assert self.life is not None
        daemon = self.life.daemon
        deadline, pause_s = self.loop.time() + DRAIN_S, 0.05
        held = HeldDeletions(daemon.db, daemon.queues.deletion)
        while left := self.rows(QUEUES) or await daemon.reconciler._to_compare(await daemon.link.ready()):
            for each in await held.all():  # ten of a handful within an hour: a person would say that they are meant
                with contextlib.suppress(CountChanged):
                    await held.approve(each.id, each.count, self.clock.now_ms())
            if self.loop.time() > deadline:
                raise Broken(f"there is work left for ever: {left}")
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, 60.0)

    def noted_deletion(self, path: bytes, gen: int) -> None:
        """The server applies a deletion at this moment: the file must have been away when we looked last."""
        was_absent = self.looked.get((path, gen), False)
        if not was_absent and not self.is_absent(path):
            self.broken.append(f"false deletion of {path!r} (generation {gen})")

    def looked_last(self, path: bytes, gen: int, absent: bool) -> None:
        """The daemon has looked for the last time before it tells of a deletion."""
        self.looked[path, gen] = absent


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@contextmanager
def opened_world(folder: Path) -> Iterator[World]:
    """A world in *folder*, with its hooks in our code for the block."""
    asyncio.set_event_loop_policy(None)
    with contextlib.ExitStack() as patches:
        patches.enter_context(mock.patch.object(metadata_store, "Writer", InlineWriter))
        patches.enter_context(mock.patch.object(engine, "_engine", cache(engine._engine)))  # compiled statements stay
        patches.enter_context(mock.patch.object(daemon_module, "MIB", CHUNK_BYTES))
        logging.disable()
        patches.callback(logging.disable, logging.NOTSET)
        world = World(folder)
        patches.callback(world.loop.close)
        of_this_world = SimpleNamespace(time_ns=world.clock.time_ns, monotonic=world.loop.time)
        for module in (hashing, entries, copying, auth, room, staging):
            patches.enter_context(mock.patch.object(module, "time", of_this_world))
        patches.enter_context(mock.patch.object(posix, "open_beneath", _with_permission(world)))
        patches.enter_context(mock.patch.object(appended, "os", _OsOfTheLiving(world.durable)))
        looks = _WatchedLooks(world)
        patches.enter_context(mock.patch.object(deletions, "look_at_all", looks.look_at_all))
        patches.enter_context(
            mock.patch.object(Deletions, "_still_gone", lambda stage, *args: looks.still_gone(stage, *args))
        )
        patches.enter_context(mock.patch.object(Plan, "_add_tombstone", _watched_tombstones(world)))
        gc.freeze()  # what was imported need not be looked through again and again
        patches.callback(gc.unfreeze)
        world.begin(0)  # what is done once only is done by now: examples are the same again for the same decisions
        world.end()
        world.examples = 0
        yield world


def _with_permission(world: World) -> Callable[..., int]:
    """Opening refuses what is denied: files themselves, and everything below a folder."""
    really = posix.open_beneath

    def open_beneath(root_fd: int, parts: Any, flags: int) -> int:
        if world.denied and any(b"/".join(parts[:n]) in world.denied for n in range(1, len(parts) + 1)):
            raise PermissionError(errno.EACCES, "denied")
        return really(root_fd, parts, flags)

    return open_beneath


class _OsOfTheLiving:
    """The module os, for a server: once it has crashed, it repairs and removes nothing any more."""

    def __init__(self, durable: Fragile) -> None:
        self._durable = durable

    def __getattr__(self, name: str) -> Any:
        if self._durable.dead and name in ("ftruncate", "unlink"):
            return lambda *args: None
        return getattr(os, name)


class _WatchedLooks:
    """Notes what is there at the very moment of the daemon's last look: a step later it may be different."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._still_gone, self._look_at_all = Deletions._still_gone, deletions.look_at_all
        self._absent: dict[bytes, bool] = {}

    def look_at_all(self, locations: Any) -> Any:
        self._absent |= {each.filepath: self._world.is_absent(each.filepath) for each in locations}
        return self._look_at_all(locations)

    async def still_gone(self, stage: Deletions, *args: Any) -> Any:
        gone = await self._still_gone(stage, *args)
        for claim in gone:
            path = claim.location.filepath
            self._world.looked_last(path, claim.gen, self._absent[path])
        return gone


def _watched_tombstones(world: World) -> Any:
    really = Plan._add_tombstone

    def add_tombstone(self: Plan, known: Any, gen: int) -> Any:
        world.noted_deletion(known.path, gen)
        return really(self, known, gen)

    return add_tombstone
