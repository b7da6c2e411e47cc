"""IndexedCP beside the daemon: a file is put into the buffer, then uploaded, to the same server."""

import hashlib
import json
import sys
import time
from pathlib import Path

from tests.bench.contender import Contender
from tests.bench.slowlink import SlowLink
from tests.bench.workloads import files_below
from tests.e2e.harness import Server, clean_environment, request
from tests.e2e.prove import revision

ARRIVES_S = 60.0


def _facts(tree: Path) -> list[tuple[str, int, str]]:
    found = []
    for entry in files_below(tree):
        with open(entry.path, "rb") as file:
            found.append((entry.name, entry.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()))
    return found


class IndexedCp(Contender):
    """`pp_assist indexedcp` with its defaults: chunks of 1 MiB, one after the other, each durable once answered."""

    name = "indexedcp"
    restores = False
    chunk_bytes = 1 << 20
    parallel = 1

    def __init__(self, folder: Path, link: SlowLink | None = None) -> None:
        super().__init__(folder, link)
        self.server = Server(folder)
        self._command = [sys.executable, "-m", "pp_assist", "indexedcp"]
        self._buffer = ["--buffer", str(folder / "buffer.db")]

    @classmethod
    def version(cls) -> str:
        return revision()

    def open(self, tree: Path) -> None:
        self.server.start()
        assert self.server.key

    def add(self, tree: Path) -> None:
        """Put everything into the buffer."""
        names = [entry.path for entry in files_below(tree)]
        options = [*self._buffer, "--chunk-size", str(self.chunk_bytes)]
        self.spent.run([*self._command, "add", *names, *options], clean_environment())

    def sync(self, tree: Path) -> None:
        """Upload the buffer."""
        url = f"http://127.0.0.1:{self.reach(self.server.port)}"
        options = [*self._buffer, "--parallel", str(self.parallel)]
        environment = clean_environment(INDEXEDCP_API_KEY=self.server.key)
        self.spent.run([*self._command, "upload", url, *options], environment)

    def faults(self, tree: Path) -> list[str]:
        """See `Contender`; what has arrived becomes a file a little later."""
        end, facts = time.monotonic() + ARRIVES_S, _facts(tree)
        while (found := self._missing(facts)) and time.monotonic() < end:
            time.sleep(0.2)
        return found

    def _missing(self, facts: list[tuple[str, int, str]]) -> list[str]:
        reply = request(self.server.port, "GET", "/api/files?limit=1000", self.server.key)
        there = {(file["sha256"], file["file_size"]) for file in json.loads(reply.body)["files"]}
        return [f"missing, or different: {name}" for name, size, digest in facts if (digest, size) not in there]

    def stored(self) -> list[Path]:
        return [self.server.data]

    def servers(self) -> list[int]:
        return [self.server.process.pid] if self.server.process else []

    def close(self) -> None:
        self.server.close()


class IndexedCpWide(IndexedCp):
    """The same with chunks of 4 MiB, two at a time."""

    name = "indexedcp-wide"
    chunk_bytes = 4 << 20
    parallel = 2
