"""Our pair as it comes: real processes, default settings, empty state."""

import hashlib
import json
import math
import os
import random
import ssl
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

from tests.bench.contender import Contender
from tests.bench.slowlink import SlowLink
from tests.bench.workloads import files_below
from tests.e2e.harness import Daemon, Program, Server, clean_environment, differences, request, settled
from tests.e2e.prove import revision

HERE = Path(__file__).parents[2]
POLL_S = 0.025
POLL_REST = 50
"""A daemon is asked how far it is after so many seconds, or so many times as long as it took to answer, unless the end
is near: answers are counted from all rows, and asking all the time took a tenth of the daemon's CPU."""

DONE_S = 3600.0
DOWNLOADED = 200
"""How many files are downloaded and compared; of all others, the digests are."""


class Counting(Program):
    """A program whose SQL is counted while it runs."""

    counted: Path

    def command(self, *more: str) -> list[str]:
        if more[:1] != ("run",):
            return super().command(*more)
        output = str(self.counted / f"{self.name}.sql")
        return [sys.executable, "-m", "tests.bench.counting", output, self.name, *more]


class CountedServer(Counting, Server):
    """`pp_server run`, counted."""

    def __init__(self, folder: Path, counted: Path, **environment: str) -> None:
        super().__init__(folder, **environment)
        self.counted = counted
        self.environment["PYTHONPATH"] = str(HERE)


class CountedDaemon(Counting, Daemon):
    """`pp_assist run`, counted."""

    def __init__(self, folder: Path, counted: Path, **environment: str) -> None:
        super().__init__(folder, **environment)
        self.counted = counted
        self.environment["PYTHONPATH"] = str(HERE)


class Ours(Contender):
    """pp_assist → pp_server, over plain HTTP."""

    name = "ours"
    watches = True
    encrypted = False
    settings: ClassVar[dict[str, str]] = {}
    """Of the daemon, from the environment."""

    def __init__(
        self, folder: Path, link: SlowLink | None = None, daemons: int = 1, counted: Path | None = None
    ) -> None:
        super().__init__(folder, link)
        self.server = Server(folder) if counted is None else CountedServer(folder, counted)
        self._options: list[str] = []
        self._trust: dict[str, str] = {}
        self.daemons: list[Daemon] = []
        self._roots: list[Path] = []
        self._watching = False
        self._count = daemons
        self._counted = counted

    @classmethod
    def version(cls) -> str:
        return revision()

    def open(self, tree: Path) -> None:
        if self.encrypted:
            self._encrypt()
        self.server.start()
        assert self.server.key
        self._url = f"{self.server.url.rpartition(':')[0]}:{self.reach(self.server.port)}"
        self._roots = [tree] if self._count == 1 else sorted(path for path in tree.iterdir() if path.is_dir())
        assert len(self._roots) == self._count, f"{self._count} daemons need as many folders in {tree}"

    def _encrypt(self) -> None:
        where = self.folder / "tls"
        done = self.server.run("tls", "self-signed", "--out", str(where), "--name", "127.0.0.1", "--json")
        made = json.loads(done.stdout)
        self.server.arguments += ["--tls-cert", made["cert"], "--tls-key", made["key"]]
        self.server.encryption = ssl.create_default_context(cafile=made["cert"])
        self._trust = {"ca_file": made["cert"]}
        self._options = ["--ca-file", made["cert"]]

    def sync(self, tree: Path) -> None:
        if self._watching:
            for daemon in self.daemons:
                daemon.scan(DONE_S)
        elif self.daemons:
            self.watch()
        else:
            self.begin()
        expected = [sum(1 for _ in files_below(root)) for root in self._roots]
        began = time.monotonic()
        end = began + DONE_S
        for daemon, files in zip(self.daemons, expected, strict=True):
            wait_until_stored(daemon, files, began, end)

    def rescan(self) -> None:
        """Have everything scanned; return when that has ended (W4)."""
        for daemon in self.daemons:
            daemon.scan(DONE_S)

    def begin(self, spawned: Callable[[int], None] = lambda pid: None) -> None:
        """Start the daemons, and tell them of the server and of their trees."""
        self.launch(spawned)
        self.watch()

    def launch(self, spawned: Callable[[int], None] = lambda pid: None) -> None:
        """Start the daemons, and tell them of the server."""
        for number in range(self._count):
            folder = self.folder / f"daemon{number}"
            folder.mkdir()
            new = Daemon if self._counted is None else partial(CountedDaemon, counted=self._counted)
            daemon = new(folder, PP_ASSIST_HOSTNAME=f"bench{number}", **self.settings)
            self.daemons.append(daemon)
            daemon.spawn()
            assert daemon.process is not None
            spawned(daemon.process.pid)
        for daemon in self.daemons:
            daemon.wait_until_ready()
            server = {"name": "bench", "url": self._url, "api_key": self.server.key, **self._trust}
            daemon.ask("POST", "/servers", server)

    def watch(self) -> None:
        """Tell the daemons of their trees."""
        self._watching = True
        for daemon, root in zip(self.daemons, self._roots, strict=True):
            daemon.watch(os.fsencode(root))

    def restore(self, tree: Path, to: Path) -> None:
        command = [sys.executable, "-m", "pp_assist.client", "get", str(tree), "--to", str(to), "--server", self._url]
        environment = clean_environment(PP_CLIENT_API_KEY=self.server.key)
        self.spent.run([*command, *self._options], environment, cwd=str(self.folder))

    def faults(self, tree: Path) -> list[str]:
        for daemon in self.daemons:
            for held in daemon.ask("GET", "/deletions")["held"]:  # a person would say so
                daemon.ask("POST", f"/deletions/{held['id']}/approve", {"count": held["count"]})
        for daemon in self.daemons:
            settled(lambda daemon=daemon: list(daemon.pending().items()), 120)  # type: ignore[misc]
        root = os.fsencode(tree)
        found = [str(difference) for difference in differences(self.server, root)]
        return found or self._wrong_downloads()

    def _wrong_downloads(self) -> list[str]:
        listed = sorted(self.server.listing().items())
        chosen = random.Random(len(listed)).sample(listed, min(DOWNLOADED, len(listed)))
        with self.server.downloads() as same:
            return [f"wrong bytes: {path!r}" for path, version in chosen if not same(version.sha256, path)]

    def has(self, path: Path) -> bool:
        where = f"/api/files?limit=1&path_prefix={quote(os.fsencode(path))}"
        reply = request(self.server.port, "GET", where, self.server.key, encryption=self.server.encryption)
        wanted = hashlib.sha256(path.read_bytes()).hexdigest()
        return any(file["sha256"] == wanted for file in json.loads(reply.body)["files"])

    def facts(self) -> dict[str, int]:
        return {
            "server_fsyncs": self.server.stats()["fsyncs"],
            "bytes_sent": sum(each.bytes_sent for each in self.daemons),
        }

    def stored(self) -> list[Path]:
        return [self.server.data]

    def clients(self) -> list[int]:
        return [daemon.process.pid for daemon in self.daemons if daemon.process]

    def servers(self) -> list[int]:
        return [self.server.process.pid] if self.server.process else []

    def close(self) -> None:
        for program in (*self.daemons, self.server):
            program.close()


class OursEncrypted(Ours):
    """pp_assist → pp_server, over TLS: the one to hold against ssh and syncthing."""

    name = "ours-tls"
    encrypted = True


class OursNarrow(Ours):
    """The daemon with chunks of 1 MiB, one after the other: what IndexedCP does by default."""

    name = "ours-narrow"
    settings: ClassVar = {"PP_ASSIST_UPLOADER__CHUNK_SIZE_MB": "1", "PP_ASSIST_UPLOADER__PARALLEL_CHUNKS": "1"}


def wait_until_stored(daemon: Daemon, files: int, began: float, end: float) -> None:
    """Return when `stored`. *began* and *end* are of the monotonic clock, in seconds.

    Raises:
        AssertionError: it is not, at *end*.
    """
    while True:
        asked = time.monotonic()
        if stored(stats := daemon.stats(), files):
            return
        now = time.monotonic()
        if now > end:
            raise AssertionError(f"not stored within {DONE_S} s: {stats}")
        done = receipts(stats) / max(1, files)
        left_s = (now - began) * (1 / done - 1) if done else math.inf
        time.sleep(max(POLL_S, min(left_s / 4, POLL_REST * (now - asked))))


def receipts(stats: dict[str, Any]) -> int:
    """Return how many files have one."""
    return int(stats["files"]["completed"] + stats["files"]["unchanged"])


def stored(stats: dict[str, Any], files: int) -> bool:
    """Say whether so many files have a receipt, and nothing waits to be hashed or sent."""
    waiting = stats["queues"]["pending_checksum"]["count"] + stats["queues"]["pending_upload"]["count"]
    return waiting == 0 and receipts(stats) == files == stats["files"]["total"]
