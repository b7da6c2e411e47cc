"""The daemon of one round, as `pp_assist run` builds it, in a process that loses its disk; and the tree it watches.

Everything it sends passes by a `Ledger`, which writes down, not on that disk, what the server has acknowledged, and
finds out whether such bytes are ever sent again.
"""

import asyncio
import errno
import hashlib
import json
import os
import random
import stat
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from pp_assist import disk
from pp_assist.core.model import Stage, WorkState
from pp_assist.daemon import Daemon, build
from pp_assist.http import Http
from pp_assist.settings import Settings
from pp_assist.state import open_state
from pp_assist.store.held import CountChanged, HeldDeletions
from pp_assist.store.report import Report
from pp_assist.supervisor import Supervisor
from pp_assist.uploader.way import Host
from pp_server.wire.frames import ENCODING, Decoder
from pp_server.wire.names import from_json
from tests.oracle.oracle import Broken

CHUNK_MB = 1
PATIENCE_S = 60.0


def settings_of(state: Path) -> Settings:
    """Return settings for somebody in a hurry."""
    scanner = {"quiet_seconds": 0.05, "delete_grace_seconds": 0.05, "scan_interval": 2.0}
    return Settings(state_dir=str(state), scanner=scanner, uploader={"chunk_size_mb": CHUNK_MB})


class Ledger(httpx.AsyncBaseTransport):
    """What the daemon sends, and what is acknowledged. *step* is told of each request before it goes and after."""

    def __init__(self, file: Path, step: Callable[[str], None], gate: threading.Lock) -> None:
        self._inner = httpx.AsyncHTTPTransport()
        self._file = file
        self._step = step
        self._gate = gate
        """Held while an answer is written down: it was there before the cut, or never."""
        self._acked = set(file.read_text().split()) if file.exists() else set[str]()
        self._digests: dict[str, str] = {}
        """Of uploads by chunks, by their ids."""
        self.counts: Counter[str] = Counter()
        self.is_still = False
        """Nobody changes the tree at this moment."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = _plain(request, await request.aread())
        self._sent(request, body)
        self._step("request")
        response = await self._inner.handle_async_request(request)
        answer = await response.aread()
        if response.is_success:
            self._answered(request, body, answer)
        self._step("answer")
        return httpx.Response(response.status_code, headers=response.headers, content=answer, request=request)

    def _sent(self, request: httpx.Request, body: bytes) -> None:
        path = request.url.path
        self.counts["requests"] += 1
        if path == "/api/batch":
            for put in (each for each in _operations(body) if each["op"] == "put" and each.get("content") == "inline"):
                self._count(put["sha256"], put["file_size"])
        elif request.method == "PUT":
            self._count(self._digests[path.split("/")[3]], len(body))
        for gone in _deleted(path, body):
            self.counts["deletions"] += 1
            if self.is_still and os.path.lexists(gone):
                raise Broken(f"{gone!r} is told deleted, and is there")

    def _count(self, digest: str, size: int) -> None:
        self.counts["bytes_sent"] += size
        if digest in self._acked:
            self.counts["bytes_sent_again"] += size

    def _answered(self, request: httpx.Request, body: bytes, answer: bytes) -> None:
        path, acked = request.url.path, []
        if path == "/api/uploads/initiate":
            self._digests[json.loads(answer)["upload_id"]] = json.loads(body)["sha256"]
        elif path == "/api/batch":
            results = zip(_operations(body), json.loads(answer)["results"], strict=True)
            acked = [put.get("sha256") for put, result in results if result["status"] == "stored"]
        elif path.endswith("/complete"):
            acked = [json.loads(answer)["sha256"]]
        new = {str(digest) for digest in acked if digest} - self._acked
        if new:
            with self._gate, open(self._file, "a") as file:
                file.write("".join(f"{digest}\n" for digest in new))
            self._acked |= new
            self.counts["acknowledged"] += len(new)


def _plain(request: httpx.Request, body: bytes) -> bytes:
    """Return what was sent, as it was before it was compressed: what a cut leaves of a file is often zeros only."""
    if request.headers.get("Content-Encoding") != ENCODING:
        return body
    decoder, frames, rest = Decoder(), [], memoryview(body)
    while rest:
        some, left = decoder.feed(rest)
        frames += some
        rest = memoryview(left)
    return b"".join(frame.plain for frame in frames)


def _operations(body: bytes) -> list[dict[str, Any]]:
    return json.loads(body.partition(b"\n")[0])["operations"]  # type: ignore[no-any-return]


def _deleted(path: str, body: bytes) -> list[bytes]:
    gone: list[dict[str, Any]] = []
    if path == "/api/files/deletions":
        gone = json.loads(body)["files"]
    elif path == "/api/batch":
        gone = [each for each in _operations(body) if each["op"] == "delete"]
        moved = [each for each in _operations(body) if each["op"] in ("move", "move_tree")]
        return [from_json(each["filepath"], each.get("filepath_b64")) for each in gone] + [
            from_json(each["source"], each.get("source_b64")) for each in moved
        ]
    return [from_json(each["filepath"], each.get("filepath_b64")) for each in gone]


@asynccontextmanager
async def living(state: Path, tree: Path, url: str, key: str, ledger: Ledger) -> AsyncIterator[Daemon]:
    """Run a daemon for the block: on what is left of its state directory, or on a new one."""
    settings = settings_of(state)
    opened = open_state(settings.state_dir)
    host, own = Host(opened.host_id, "power"), (os.fsencode(opened.path),)

    def connected(server: Any, *_: Any) -> Http:
        return Http(server.url, server.api_key, 20.0, 16, transport=ledger)

    async with build(settings, opened.database, host, own, http=connected) as daemon:
        if not await daemon.servers.all():
            await daemon.servers.add("main", url, key, 0)
        if not await daemon.roots.all():
            path, identity = disk.resolve(os.fsencode(tree))
            await daemon.roots.add(path, path, True, identity, 0, "mirror")
        stop = asyncio.Event()
        running = asyncio.create_task(Supervisor(daemon.stages).run_until(stop))
        try:
            yield daemon
        finally:
            stop.set()
            await running


_OPEN_WORK = """
SELECT d.path, f.name, f.kind, f.state, w.stage, w.state, w.gen, w.attempts, w.reason, w.last_error
FROM work w JOIN files f ON f.id = w.file_id JOIN directories d ON d.id = f.directory_id LIMIT 20
"""


async def converged(daemon: Daemon, tree: Path, url: str, key: str) -> int:
    """Wait until the server has exactly what is in the tree, and say how many files. Nobody changes the tree.

    Deletions that are held for being many are approved, as a person would: the cut took these files.

    Raises:
        Broken: that did not happen.
    """
    wrong = "not even a scan"
    try:
        async with asyncio.timeout(PATIENCE_S), httpx.AsyncClient(base_url=url, headers=_bearer(key)) as http:
            while True:
                await daemon.scanner.request_scan().finished.wait()
                await _settled(daemon)
                there = _on_disk(tree)
                wrong = _differences(await _listing(http), there)
                files = sum(said.startswith("file") for said in there.values())
                if not wrong and (rest := await _not_stored(daemon, files)):
                    wrong = rest
                if not wrong:
                    return files
    except TimeoutError:
        rows = await daemon.db.rows(_OPEN_WORK)
        raise Broken(
            f"not equal within {PATIENCE_S:.0f} s: {wrong}; {[*map(tuple, rows)]}; {daemon.link.reason}"
        ) from None


async def _settled(daemon: Daemon) -> None:
    report, held = Report(daemon.db), HeldDeletions(daemon.db, daemon.queues.deletion)
    while True:
        counts = await report.counts()
        if counts.queued(*Stage) == 0 and await report.roots_to_compare() == 0:
            return
        if counts.queued(*Stage) == counts.in_state(WorkState.HELD, *Stage):
            for one in await held.all():
                with suppress(CountChanged):
                    await held.approve(one.id, one.count, daemon.clock.now_ms())
        await asyncio.sleep(0.02)


async def _not_stored(daemon: Daemon, files: int) -> str:
    counts = await Report(daemon.db).counts()
    stored = sum(number for state, number in counts.files.items() if state in ("completed", "unchanged"))
    return "" if stored == files else f"{stored} of {files} files are shown as stored"


def _on_disk(tree: Path) -> dict[bytes, str]:
    """Return what is there, path to words: kind and digest, mode or target."""
    found = {}
    for folder, folders, names in os.walk(os.fsencode(tree)):
        for name in folders + names:
            path = os.path.join(folder, name)
            if os.path.islink(path):
                found[path] = f"symlink {os.readlink(path)!r}"
            elif os.path.isdir(path):
                found[path] = f"dir {stat.S_IMODE(os.lstat(path).st_mode):o}"
            else:
                with open(path, "rb") as file:
                    found[path] = f"file {hashlib.sha256(file.read()).hexdigest()}"
    return found


async def _listing(http: httpx.AsyncClient) -> dict[bytes, str]:
    """Return what is live on the server, in the same words."""
    found: dict[bytes, str] = {}
    params: dict[str, Any] = {"limit": 1000, "kind": "any"}
    while True:
        page = (await http.get("/api/files", params=params)).json()
        for each in page["files"]:
            words = {"file": each["sha256"], "dir": f"{each['mode'] or 0:o}"}
            target = from_json(each["link_target"], each.get("link_target_b64")) if each["kind"] == "symlink" else b""
            path = from_json(each["filepath"], each.get("filepath_b64"))
            found[path] = f"{each['kind']} {words.get(each['kind'], repr(target))}"
        if page["next"] is None:
            return found
        params["after"] = page["next"]


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _differences(server: dict[bytes, str], there: dict[bytes, str]) -> str:
    told = {
        "only on the server": sorted(server.keys() - there.keys()),
        "only on disk": sorted(there.keys() - server.keys()),
        "different": sorted(path for path in server.keys() & there.keys() if server[path] != there[path]),
    }
    return "; ".join(f"{what}: {paths[:5]}" for what, paths in told.items() if paths)


MAKES_NO_SENSE = (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR, errno.EINVAL)
"""What the system says to a tenant that wants something impossible."""


class Tenant:
    """Whoever uses the tree: writes, changes, renames and removes; now and then something is synced."""

    def __init__(self, tree: Path, rng: random.Random) -> None:
        self._tree = tree
        self._rng = rng
        self.changes = 0

    def act(self) -> None:
        """Change something."""
        there = [path for path in self._tree.rglob("*") if not path.is_symlink()]
        files, folders = [path for path in there if path.is_file()], [path for path in there if path.is_dir()]
        common = ["change", "append", "replace", "rename", "copy", "remove", "link"]
        verb = self._rng.choice(["new"] * 6 + common * 2 + ["mode"])
        if len(files) > 150 or (folders and self._rng.random() < 0.04):
            verb = self._rng.choice(["move folder", "remove folder"])
        try:
            getattr(self, "_" + verb.replace(" ", "_"))(files, folders)
        except OSError as error:
            if error.errno in MAKES_NO_SENSE:
                return
            raise
        self.changes += 1

    def _content(self) -> bytes:
        size = self._rng.choices([0, 20, 3000, 60_000, 300_000, 2_500_000], [1, 6, 6, 4, 2, 1])[0]
        block = random.Random(self._rng.randrange(10**9)).randbytes(size)
        return block if self._rng.random() < 0.8 else (block[:99] * -(-size // 99))[:size]  # that can be compressed

    def _path(self) -> Path:
        return self._tree / self._rng.choice(["", "a", "b", "a/c", "d/e/f"]) / f"{self._rng.randrange(300)}"

    def _write(self, path: Path, content: bytes, mode: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, mode) as file:
            file.write(content)
            file.flush()
            if self._rng.random() < 0.4:
                os.fsync(file.fileno())
        if self._rng.random() < 0.2:
            _sync(path.parent)

    def _new(self, files: list[Path], folders: list[Path]) -> None:
        self._write(self._path(), self._content(), "wb")

    def _change(self, files: list[Path], folders: list[Path]) -> None:
        if files:
            path = self._rng.choice(files)
            self._write(path, random.Random(self._rng.random()).randbytes(path.stat().st_size), "r+b")

    def _append(self, files: list[Path], folders: list[Path]) -> None:
        if files:
            self._write(self._rng.choice(files), self._content(), "ab")

    def _replace(self, files: list[Path], folders: list[Path]) -> None:
        if files:
            path = self._rng.choice(files)
            draft = path.with_name(f"{path.name}.draft")
            self._write(draft, self._content(), "wb")
            draft.replace(path)

    def _rename(self, files: list[Path], folders: list[Path]) -> None:
        if files:
            to = self._path()
            to.parent.mkdir(parents=True, exist_ok=True)
            self._rng.choice(files).rename(to)

    def _copy(self, files: list[Path], folders: list[Path]) -> None:
        if files:
            self._write(self._path(), self._rng.choice(files).read_bytes(), "wb")

    def _remove(self, files: list[Path], folders: list[Path]) -> None:
        if files:
            self._rng.choice(files).unlink()

    def _link(self, files: list[Path], folders: list[Path]) -> None:
        path = self._path()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(f"{path.name}.link").symlink_to(self._rng.choice(["elsewhere", "..", "/nowhere"]))

    def _mode(self, files: list[Path], folders: list[Path]) -> None:
        if files and folders:
            self._rng.choice(files + folders).chmod(self._rng.choice([0o700, 0o750, 0o755]))

    def _move_folder(self, files: list[Path], folders: list[Path]) -> None:
        if folders:
            self._rng.choice(folders).rename(self._tree / f"moved {self._rng.randrange(5)}")

    def _remove_folder(self, files: list[Path], folders: list[Path]) -> None:
        if folders:
            folder = self._rng.choice(folders)
            for path in sorted(folder.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
            folder.rmdir()


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
