"""PDFs that arrive while the daemon, the SFTP server and the API are killed: each stored, each announced, none lost."""

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.harness import eventually
from tests.sftp.announced_api import SECRET
from tests.sftp.documents import pdf
from tests.sftp.dropped import Dropped
from tests.sftp.sftp_servers import free_port

MIB = 1 << 20


@dataclass
class ApiProcess:
    """The API as a process: what it has taken is in a file."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/process"

    @property
    def file(self) -> Path:
        return self.folder / "taken.jsonl"

    def start(self) -> None:
        program = str(Path(__file__).parent / "announced_api.py")
        path = str(Path(__file__).parents[2])
        self.process = subprocess.Popen(
            [sys.executable, program, str(self.port), str(self.file)], env={**os.environ, "PYTHONPATH": path}
        )

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def taken(self) -> tuple[int, dict[str, list[dict[str, Any]]]]:
        """How many calls were taken, and by id what they were about; each repetition says the same."""
        calls, files = 0, {}
        with contextlib.suppress(FileNotFoundError):
            for line in self.file.read_bytes().split(b"\n"):
                with contextlib.suppress(ValueError):  # killed while it was written: not answered either
                    message_id, body = json.loads(line)
                    calls += 1
                    assert files.setdefault(message_id, body["files"]) == body["files"]
        return calls, files


@contextlib.contextmanager
def api_process(folder: Path) -> Iterator[ApiProcess]:
    api = ApiProcess(folder)
    api.start()
    try:
        yield api
    finally:
        api.kill()


@dataclass
class Found:
    """What a proof found."""

    files: int = 0
    kills: dict[str, int] = field(default_factory=dict)
    calls_taken: int = 0
    announcements: int = 0
    seconds_until_done: float = 0.0


def arrive_and_kill(
    folder: Dropped, api: ApiProcess, seed: int, files: int, kills: int, budget_s: float, say: Callable[[str], None]
) -> Found:
    """Drop *files* PDFs while one of the three is killed *kills* times, then wait until all is right."""
    rng, began, killed = random.Random(seed), time.monotonic(), Counter[str]()
    announce = {"url": api.url, "secret": SECRET, "project_id": "proof"}
    folder.begin(after="move", in_progress="../done", patterns=["*.pdf"], announce=announce)
    digests: dict[str, str] = {}
    for number in range(kills):
        for _ in range(files // kills if number < kills - 1 else files - len(digests)):
            name = f"{len(digests):05}.pdf"
            digests[name] = folder.drop(name, pdf(len(digests), rng.randrange(200, 20_000)))
        time.sleep(rng.uniform(0.1, 3.0))
        victim = rng.choice(("daemon", "sftp", "api"))
        killed[victim] += 1
        if victim == "daemon":
            folder.world.daemon.kill()
            folder.world.daemon.start()
        elif victim == "sftp":
            folder.server.restart()
        else:
            api.kill()
            time.sleep(rng.uniform(0, 1.5))
            api.start()
        say(f"{time.monotonic() - began:6.1f} s  {len(digests)} dropped, {victim} killed")
    left = max(30.0, budget_s - (time.monotonic() - began))

    def is_done() -> bool:
        _, taken = api.taken()
        return sum(map(len, taken.values())) >= files

    eventually(is_done, left, "all announced")
    calls, taken = api.taken()
    told = [file for batch in taken.values() for file in batch]
    assert sorted(file["filename"] for file in told) == sorted(digests), "each in exactly one announcement"
    assert {file["filename"]: file["sha256"] for file in told} == digests
    assert len({file["id"] for file in told}) == files
    assert folder.stored() == digests
    assert os.listdir(folder.inbox) == []
    moved = {path.name: path for path in (folder.server.root / "done").rglob("*.pdf")}
    assert {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in moved.items()} == digests
    return Found(files, dict(killed), calls, len(taken), round(time.monotonic() - began, 1))


def fetch_large(folder: Dropped, mib: int, timeout_s: float = 120.0) -> dict[str, float]:
    """A file of that many MiB through the whole daemon, which is killed in the middle of fetching it."""
    folder.begin(after="move")
    large = folder.inbox / ".large.part"
    block = os.urandom(4 * MIB)
    digest = hashlib.sha256()
    with open(large, "wb") as file:
        for number in range(mib // 4):
            piece = block[number * 4096 :] + block[: number * 4096]
            file.write(piece)
            digest.update(piece)
    large.rename(folder.inbox / "large")
    began = time.monotonic()
    spool = folder.world.daemon.state / "spool"
    eventually(lambda: sum(_size(path) for path in spool.rglob("drafts/*")) > mib * MIB // 5, timeout_s)
    folder.world.daemon.kill()
    [draft] = spool.rglob("drafts/*")
    have = draft.stat().st_size
    assert have > mib * MIB // 5
    folder.world.daemon.start()
    folder.until(lambda facts: facts["settled"] == 1, timeout_s)
    assert folder.stored() == {"large": digest.hexdigest()}
    folder.world.daemon.note_rss()
    peak_mib = folder.world.daemon.peak_rss_bytes / MIB
    assert peak_mib < 250
    return {
        "mib": mib,
        "had_mib": have // MIB,
        "seconds": round(time.monotonic() - began, 1),
        "rss_mib": round(peak_mib),
    }


def _size(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_size
    return 0
