"""The two programs as real processes, and what must be true of them together. Standard library only.

Nothing here knows how the programs work inside: processes, signals, HTTP, files.
"""

import base64
import contextlib
import hashlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

T = TypeVar("T")

START_S = 20.0
"""The programs promise to answer within this time."""

REQUEST_S = 30.0
POLL_S = 0.05
MIB = 1 << 20
BLOCK = MIB
JUNK = (b".DS_Store", b"Thumbs.db", b"lost+found")
"""What is left out by default."""


# -- waiting


def eventually(condition: Callable[[], T], timeout_s: float = 20.0, what: str = "") -> T:
    """Return the first true value of *condition*, asking again and again until *timeout_s* have passed."""
    end = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(f"not within {timeout_s} s: {what or condition}; last: {value!r}")
        time.sleep(POLL_S)


def settled(problems: Callable[[], list[Any]], timeout_s: float = 20.0) -> float:
    """Wait until there are no *problems* any more; return the seconds that took."""
    began = asked = time.monotonic()
    while found := problems():
        took_s = time.monotonic() - asked
        if time.monotonic() - began >= timeout_s:
            raise AssertionError(f"not within {timeout_s} s:\n" + "\n".join(map(str, found[:20])))
        time.sleep(max(POLL_S, 5 * took_s))  # looking is not to be what keeps the machine busy
        asked = time.monotonic()
    return time.monotonic() - began


# -- processes


class Program:
    """One of our programs: started, killed, started again; its output goes to a file."""

    def __init__(self, name: str, arguments: list[str], log: Path, cwd: Path, **environment: str) -> None:
        self.name = name
        self.arguments = arguments
        self.log = log
        self.cwd = cwd
        self.environment = environment
        self.port = 0
        self.starts = 0
        self.peak_rss_bytes = 0
        self.encryption: ssl.SSLContext | None = None
        self.code: Path | None = None
        """Where the program is taken from, if not from here."""
        self.process: subprocess.Popen[bytes] | None = None

    def command(self, *more: str) -> list[str]:
        """Return the command line that runs this program."""
        return [sys.executable, "-m", self.name, *more]

    def start(self) -> None:
        """Start, and return once it answers. On the port of the first start, whatever that was."""
        self.spawn()
        self.wait_until_ready()

    def spawn(self) -> None:
        """Start, without waiting for anything."""
        assert self.process is None, f"{self.name} is running already"
        self.port = self.port or free_port()
        self.starts += 1
        with open(self.log, "ab") as log:
            log.write(f"--- start {self.starts} at {time.strftime('%H:%M:%S')}\n".encode())
            log.flush()
            self.process = subprocess.Popen(
                self.command(*self.arguments, "--port", str(self.port)),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.cwd,
                env=clean_environment(**self.environment, **self._code()),
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Return once it answers on its port."""
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            assert self.process is not None
            code = self.process.poll()
            if code is not None:
                raise AssertionError(f"{self.name} ended with {code} instead of starting:\n{self.tail()}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                if request(self.port, "GET", "/health", timeout_s=2, encryption=self.encryption).status == 200:
                    return
            time.sleep(0.02)
        raise AssertionError(f"{self.name} does not answer within {START_S} s of its start:\n{self.tail()}")

    def kill(self) -> None:
        """kill -9."""
        self.end(signal.SIGKILL)

    def stop(self, timeout_s: float = 15.0) -> int:
        """SIGTERM; return the exit code."""
        return self.end(signal.SIGTERM, timeout_s)

    def end(self, number: signal.Signals, timeout_s: float = 15.0) -> int:
        """Send a signal and return the exit code."""
        process = self.process
        assert process is not None, f"{self.name} is not running"
        self.note_rss()
        process.send_signal(number)
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{self.name} still runs {timeout_s} s after {number.name}:\n{self.tail()}") from None
        finally:
            self.process = None
        return code

    def restart(self) -> None:
        """Stop in good order, and start again."""
        assert self.stop() == 0, self.tail()
        self.start()

    def note_rss(self) -> None:
        """Remember the highest resident memory of any of its processes."""
        with contextlib.suppress(OSError, StopIteration):
            assert self.process is not None
            lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
            peak = next(line for line in lines if line.startswith("VmHWM:"))
            self.peak_rss_bytes = max(self.peak_rss_bytes, int(peak.split()[1]) * 1024)

    def close(self) -> None:
        """Leave nothing running."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def run(self, *arguments: str, stdin: str = "", timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run one of its commands to the end."""
        return subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            cwd=self.cwd,
            env=clean_environment(**self._code()),
            check=False,
        )

    def _code(self) -> dict[str, str]:
        return {} if self.code is None else {"PYTHONPATH": str(self.code)}

    def tail(self, lines: int = 60) -> str:
        """Return the end of its output."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return f"===== {self.log.name}\n" + "\n".join(text.splitlines()[-lines:])

    def log_lines(self) -> list[str]:
        """Return all its output."""
        return self.log.read_text(errors="replace").splitlines()


def clean_environment(**more: str) -> dict[str, str]:
    """Return our environment without what would configure the programs, and with *more*."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(("PP_", "COVERAGE"))}
    return kept | more


def free_port() -> int:
    """Return a port below those the system hands out to clients: nobody takes it while its owner is down."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


# -- HTTP


@dataclass(frozen=True)
class Reply:
    """An answer, whole."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


def connection_to(port: int, timeout_s: float, encryption: ssl.SSLContext | None) -> http.client.HTTPConnection:
    """Return a connection to one of the programs, encrypted or not."""
    if encryption is None:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=timeout_s, context=encryption)


def request(
    port: int,
    method: str,
    path: str,
    token: str = "",
    body: Any = None,
    timeout_s: float = REQUEST_S,
    encryption: ssl.SSLContext | None = None,
) -> Reply:
    """Ask one of the programs something."""
    connection = connection_to(port, timeout_s, encryption)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    content = None
    if body is not None:
        content, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
    try:
        connection.request(method, path, content, headers)
        with connection.getresponse() as response:
            return Reply(response.status, response.read())
    finally:
        connection.close()


# -- the server


@dataclass(frozen=True)
class Version:
    """What can be said about one file, on either side."""

    size: int
    mtime_ns: int
    mode: int
    sha256: str = field(compare=True, default="")


@dataclass(frozen=True)
class Entry:
    """What can be said about one directory or symbolic link, on either side."""

    kind: str
    mtime_ns: int
    mode: int
    target: bytes = b""

    def without_time(self) -> "Entry":
        """Return all but the time of a directory, which changes with the names in it."""
        return self if self.kind == "symlink" else replace(self, mtime_ns=0)


class Server(Program):
    """`pp_server run`"""

    def __init__(self, folder: Path, **environment: str) -> None:
        super().__init__("pp_server", [], folder / "server.log", folder, **environment)
        self.use_data(folder / "server")
        self._key = ""

    def use_data(self, directory: Path) -> None:
        """Have its data lie there."""
        self.data = directory
        self.arguments = ["run", "--data-dir", str(directory)]

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{'http' if self.encryption is None else 'https'}://127.0.0.1:{self.port}"

    @property
    def key(self) -> str:
        """An API key, made when first asked for."""
        if not self._key:
            self._key = str(self.admin("key", "create", "--name", "tester")["api_key"])
        return self._key

    def forget_key(self) -> None:
        """Have another one made when it is next asked for."""
        self._key = ""

    def admin(self, *command: str) -> Any:
        """Run an administrative command and return its JSON."""
        done = self.run(*command, "--data-dir", str(self.data), "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def stats(self) -> dict[str, int]:
        """Return what `pp_server stats` counts."""
        counts: dict[str, int] = self.admin("stats")
        return counts

    def listing(self) -> dict[bytes, Version]:
        """Return all live files."""
        return {
            path: Version(file["file_size"], file["mtime_ns"], file["mode"], file["sha256"])
            for path, file in self._live("file").items()
        }

    def entries(self) -> dict[bytes, Entry]:
        """Return all live directories and links."""
        return {
            path: Entry(each["kind"], each["mtime_ns"], each["mode"], name_of(each, "link_target"))
            for kind in ("dir", "symlink")
            for path, each in self._live(kind).items()
        }

    def _live(self, kind: str) -> dict[bytes, Any]:
        """Return what is live, page by page."""
        found: dict[bytes, Any] = {}
        after, total = "", 0
        while True:
            page = self._page(kind, after)
            total = page["total"]
            for file in page["files"]:
                path = name_of(file)
                assert path not in found, f"listed twice: {path!r}"
                found[path] = file
            if page["next"] is None:
                break
            after = page["next"]
        assert len(found) == total, f"{len(found)} files listed, {total} announced"
        return found

    def _page(self, kind: str, after: str) -> Any:
        more = f"&after={quote(after)}" if after else ""
        reply = request(
            self.port, "GET", f"/api/files?limit=1000&kind={kind}{more}", self.key, encryption=self.encryption
        )
        assert reply.status == 200, reply.body[:500]
        return reply.json()

    @contextlib.contextmanager
    def downloads(self) -> Iterator[Callable[[str, bytes], bool]]:
        """Yield a function that says whether a digest's download equals a file, over one connection."""
        connection = connection_to(self.port, REQUEST_S, self.encryption)
        try:
            yield lambda sha256, path: _same_bytes(connection, self.key, sha256, path)
        finally:
            connection.close()


def _same_bytes(connection: http.client.HTTPConnection, key: str, sha256: str, path: bytes) -> bool:
    connection.request("GET", f"/api/files/{sha256}/content", headers={"Authorization": f"Bearer {key}"})
    with connection.getresponse() as response, open(path, "rb") as source:
        assert response.status == 200, f"download of {path!r}: {response.status}"
        while block := source.read(BLOCK):
            if response.read(len(block)) != block:
                connection.close()
                return False
        return response.read() == b""


def name_of(fields: dict[str, Any], field_name: str = "filepath") -> bytes:
    """Return the bytes that a name in JSON stands for; none for null."""
    encoded = fields.get(f"{field_name}_b64")
    return base64.b64decode(encoded) if encoded else (fields[field_name] or "").encode()


# -- the tree


def regular_files(root: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    """Yield every regular file at or below *root* that is not left out by default."""
    return ((path, result) for path, result in everything(root) if stat.S_ISREG(result.st_mode))


def entries_on_disk(root: bytes) -> dict[bytes, Entry]:
    """Return every directory and link below *root* as it is now."""
    found = {}
    for path, r in everything(root):
        if stat.S_ISDIR(r.st_mode):
            found[path] = Entry("dir", r.st_mtime_ns, stat.S_IMODE(r.st_mode))
        elif stat.S_ISLNK(r.st_mode):
            found[path] = Entry("symlink", r.st_mtime_ns, stat.S_IMODE(r.st_mode), os.readlink(path))
    return found


def everything(root: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    """Yield whatever is below *root* and is not left out by default."""
    device = os.lstat(root).st_dev
    pending = [root]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                result = entry.stat(follow_symlinks=False)
                if entry.name in JUNK:
                    continue
                if stat.S_ISDIR(result.st_mode):
                    if result.st_dev != device:
                        continue
                    pending.append(entry.path)
                yield entry.path, result


def sha256_of(path: bytes) -> str:
    """Return a file's digest."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def on_disk(root: bytes, digests: bool = True) -> dict[bytes, Version]:
    """Return every regular file of the tree as it is now."""
    return {
        path: Version(r.st_size, r.st_mtime_ns, stat.S_IMODE(r.st_mode), sha256_of(path) if digests else "")
        for path, r in regular_files(root)
    }


def differences(server: Server, *roots: bytes) -> list[str]:
    """Say in what the server's live files differ from the trees: names, sizes, times, modes, digests."""
    listed = server.listing()
    disk = {path: version for root in roots for path, version in on_disk(root).items()}
    found = [f"not on the server: {path!r}" for path in disk.keys() - listed.keys()]
    found += [f"live on the server, not on disk: {path!r}" for path in listed.keys() - disk.keys()]
    for path in disk.keys() & listed.keys():
        if disk[path] != listed[path]:
            found.append(f"{path!r}: on disk {disk[path]}, on the server {listed[path]}")
    return sorted(found)


def entry_differences(server: Server, root: bytes, times: bool) -> list[str]:
    """Say in what the server's live directories (with their *times*, or without) and links differ from the tree's."""
    listed, disk = server.entries(), entries_on_disk(root)
    found = [f"not on the server: {path!r}" for path in disk.keys() - listed.keys()]
    found += [f"live on the server, not on disk: {path!r}" for path in listed.keys() - disk.keys()]
    for path in disk.keys() & listed.keys():
        here, there = (each if times else each.without_time() for each in (disk[path], listed[path]))
        if here != there:
            found.append(f"{path!r}: on disk {here}, on the server {there}")
    return sorted(found)


def assert_server_equals_tree(server: Server, *roots: bytes) -> int:
    """Every regular file is live on the server with its facts and downloads bit by bit, and nothing else is live."""
    assert not (found := differences(server, *roots)), "\n".join(found[:20])
    listed = server.listing()
    with server.downloads() as same:
        for path, version in listed.items():
            assert same(version.sha256, path), f"the download of {path!r} is not what is on disk"
    return len(listed)


# -- the daemon


class Daemon(Program):
    """`pp_assist run`"""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.state = folder / "assist"
        arguments = ["run", "--state-dir", str(self.state)]
        super().__init__("pp_assist", arguments, folder / "assist.log", folder, **environment)

    @property
    def token(self) -> str:
        """The API token."""
        return (self.state / "api-token").read_text().strip()

    def ask(self, method: str, path: str, body: Any = None, timeout_s: float = REQUEST_S) -> Any:
        """Return the daemon's answer, which must be a success."""
        reply = request(self.port, method, path, self.token, body, timeout_s)
        assert reply.status == 200, f"{method} {path}: {reply.status} {reply.body[:500]!r}"
        return reply.json()

    def cli(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command of `pp_assist` on this daemon's state directory."""
        return self.run(*arguments, "--state-dir", str(self.state), stdin=stdin)

    def use(self, server: Server, url: str = "") -> None:
        """Make the daemon know the server."""
        self.ask("POST", "/servers", {"name": "test", "url": url or server.url, "api_key": server.key})

    def watch(self, root: bytes) -> int:
        """Have a folder watched."""
        fields = {"path": root.decode(errors="replace"), "path_b64": base64.b64encode(root).decode()}
        return int(self.ask("POST", "/paths", {**fields, "recursive": True})["id"])

    def stats(self) -> Any:
        """Return /stats."""
        return self.ask("GET", "/stats")

    @property
    def bytes_sent(self) -> int:
        """What this process has sent, in bytes of files."""
        return int(self.stats()["components"]["uploader"]["bytes_sent"])

    def scan(self, timeout_s: float = 120.0) -> None:
        """Scan everything, and return when that has ended."""
        self.ask("POST", "/scan/trigger", {"wait": True}, timeout_s)

    def pending(self) -> dict[str, int]:
        """Return the queues that are not empty."""
        return {name: queue["count"] for name, queue in self.stats()["queues"].items() if queue["count"]}

    def unfinished(self, *roots: bytes) -> list[str]:
        """Say what is still to do: queues, and files on disk without a receipt."""
        stats = self.stats()
        found = [f"{name}: {queue}" for name, queue in stats["queues"].items() if queue["count"]]
        files = stats["files"]
        stored, count = files["completed"] + files["unchanged"], sum(1 for root in roots for _ in regular_files(root))
        if (stored, files["total"]) != (count, count):
            found.append(f"{count} files on disk, {stored} of {files['total']} stored: {files}")
        return found

    def finish(self, *roots: bytes, timeout_s: float = 60.0) -> float:
        """Scan, and wait until nothing is left to do and every file has a receipt; return the seconds that took."""
        began = time.monotonic()
        self.scan(timeout_s)
        settled(lambda: self.unfinished(*roots), timeout_s)
        return time.monotonic() - began


# -- both together


class World:
    """A server, a daemon and a tree, in a folder of their own."""

    def __init__(self, folder: Path, server: dict[str, str] | None = None, **daemon: str) -> None:
        self.folder = folder
        self.tree = os.fsencode(folder / "tree")
        os.makedirs(self.tree)
        self.server = Server(folder, **(server or {}))
        self.daemon = Daemon(folder, **daemon)

    def begin(self, url: str = "") -> None:
        """Start both and have the tree watched."""
        if self.server.process is None:
            self.server.start()
        self.daemon.start()
        self.daemon.use(self.server, url)
        self.daemon.watch(self.tree)

    def path(self, name: str | bytes) -> bytes:
        """Return the path of *name* in the tree."""
        return os.path.join(self.tree, os.fsencode(name))

    def write(self, name: str | bytes, content: bytes) -> bytes:
        """Write a file into the tree; return its path."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def differences(self) -> list[str]:
        """Say in what the server differs from the tree."""
        found = differences(self.server, self.tree)
        return found + (entry_differences(self.server, self.tree, times=False) if self.takes_all_kinds else [])

    @property
    def takes_all_kinds(self) -> bool:
        """Whether both programs know directories and links."""
        return self.server.code is None and self.daemon.code is None

    def soon_equal(self, timeout_s: float = 15.0) -> float:
        """Wait until the server equals the tree, bit by bit; return the seconds that took."""
        took = settled(self.differences, timeout_s)
        assert_server_equals_tree(self.server, self.tree)
        return took

    def approve_deletions(self, count: int) -> None:
        """Wait until so many deletions are held, and let them go ahead, as a person would."""
        settled(lambda: [] if [each["count"] for each in self._held()] == [count] else [count], 15.0)
        (held,) = self._held()
        self.daemon.ask("POST", f"/deletions/{held['id']}/approve", {"count": count})

    def _held(self) -> list[Any]:
        found: list[Any] = self.daemon.ask("GET", "/deletions")["held"]
        return found

    def finish(self, timeout_s: float = 60.0) -> int:
        """Wait until all is done, and prove it; return the number of files."""
        self.daemon.finish(self.tree, timeout_s=timeout_s)
        if self.takes_all_kinds:
            assert not (found := entry_differences(self.server, self.tree, times=True)), "\n".join(found[:20])
        return assert_server_equals_tree(self.server, self.tree)

    def close(self) -> None:
        """Stop both, whatever state they are in."""
        for program in (self.daemon, self.server):
            program.close()

    def logs(self) -> str:
        """Return where the daemon says that files stand, if it does, and the end of both logs."""
        said = ""
        if self.daemon.process is not None:
            with contextlib.suppress(OSError, AssertionError, http.client.HTTPException):
                found = self.daemon.ask("GET", "/files?status=ready_for_upload&limit=5", timeout_s=5)
                said = json.dumps([self.daemon.stats(), self.daemon.ask("GET", "/status"), found], indent=1)
        return f"{said}\n{self.daemon.tail()}\n{self.server.tail()}"


@contextlib.contextmanager
def world(server: dict[str, str] | None = None, **daemon: str) -> Iterator[World]:
    """Yield a world in a temporary folder; stop and remove everything afterwards, and show the logs if it failed."""
    folder = Path(tempfile.mkdtemp(prefix="pp-e2e-"))
    made = World(folder, server, **daemon)
    try:
        yield made
    except BaseException:
        print(made.logs())
        raise
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)


def content(rng: random.Random, size: int) -> bytes:
    """Return random bytes."""
    return rng.randbytes(size)
