"""A real server under strace: killed at its k-th fsync, or told that its k-th write failed, for every k.

One thread does all the server's blocking work here, so that "the k-th" means something: strace counts per
thread. It is attached for one round and taken away again; what it did is repaired by asking again.
"""

import asyncio
import errno
import random
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.e2e.harness import Server, eventually
from tests.oracle.customer import Customer, Lost, Taste, verify
from tests.oracle.oracle import Fact, Oracle

KILLED_AT = ["fsync", "fdatasync", "/^link", "pwrite64", "/^rename", "/^unlink", "/^mkdir", "ftruncate"]
FAILING = ["fsync", "fdatasync", "/^link", "pwrite64", "/^mkdir"]
ERRORS = [errno.EIO, errno.ENOSPC, errno.EDQUOT]
ONE_WORKER = "import pp_server.opened as opened; opened.WORKERS = 1; from pp_server.cli import main; main()"
CHUNK = 150 * 1024
LARGE = 2 * CHUNK + 100
MOST = 300


@dataclass
class Straced:
    """What was done to the server, and how it answered while it was done."""

    kills: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    acknowledged: int = 0
    contents_read_at_the_end: int = 0


class SlowServer(Server):
    """`pp_server` with one worker thread."""

    def command(self, *more: str) -> list[str]:
        """Return the command line that runs it."""
        python, _, _, *rest = super().command(*more)
        return [python, "-c", ONE_WORKER, *rest]


def why_not() -> str:
    """Say why this machine cannot do it; empty where it can."""
    return "" if shutil.which("strace") else "strace is not installed"


class Tracer:
    """strace on a running process, with one injection."""

    def __init__(self, pid: int, calls: str, fault: str, log: Path) -> None:
        self._log = log
        what = ["-e", f"trace={calls}", "-e", f"inject={calls}:{fault}"]
        command = ["strace", "-f", "-qq", "-o", str(log), *what, "-p", str(pid)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        eventually(lambda: _is_traced(pid) or self._process.poll() is not None, 20, "strace is attached")
        assert self._process.poll() is None, "strace did not attach"

    def detach(self) -> bool:
        """Take it away; say whether it struck."""
        self._process.terminate()
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:  # it can get stuck when what it traced died in the same moment
            self._process.kill()
            self._process.wait()
        text = self._log.read_text(errors="replace")
        return "(INJECTED)" in text or "killed by SIGKILL" in text


def _is_traced(pid: int) -> bool:
    """Say whether all its threads are traced."""
    tasks = Path(f"/proc/{pid}/task")
    try:
        return all("TracerPid:\t0\n" not in (task / "status").read_text() for task in tasks.iterdir())
    except OSError:
        return False


def strike_everywhere(folder: Path, seed: int, seconds: float, say: Callable[[str], None] = print) -> Straced:
    """Strike at every call of each kind. Raises Broken where something acknowledged is missing afterwards."""
    server = SlowServer(folder)
    end = time.monotonic() + seconds
    with closing(server), closing(Oracle(folder / "oracle.jsonl")) as oracle:
        server.start()
        rounds = _Rounds(server, oracle, folder / "strace.log", random.Random(seed))
        for calls in KILLED_AT:
            rounds.found.kills[calls] = rounds.all_of(calls, "signal=SIGKILL:when=%d", end)
            say(f"{calls}: killed at {rounds.found.kills[calls]} places")
        for calls in FAILING:
            for error in ERRORS:
                for lasting in ("", "+"):
                    name = f"{calls} {errno.errorcode[error]}{' from then on' if lasting else ''}"
                    fault = f"error={errno.errorcode[error]}:when=%d{lasting}"
                    rounds.found.failures[name] = rounds.all_of(calls, fault, end)
            places = [n for name, n in rounds.found.failures.items() if name.startswith(calls)]
            say(f"{calls}: failed at {places} places")
        rounds.found.contents_read_at_the_end = asyncio.run(rounds.verify(None))
        rounds.found.acknowledged = sum(1 for _ in oracle.acked())
        assert server.stop() == 0, server.tail()
        assert "500" not in rounds.found.answers, rounds.found.answers
        return rounds.found


class _Rounds:
    def __init__(self, server: Server, oracle: Oracle, log: Path, rng: random.Random) -> None:
        self._server = server
        self._oracle = oracle
        self._log = log
        self._rng = rng
        self.found = Straced()

    def all_of(self, calls: str, fault: str, end: float) -> int:
        """Strike at the first, the second ... such call, until there is none any more; return how many there were."""
        for k in range(1, MOST):
            assert time.monotonic() < end, f"out of time at {calls} {k}"
            if not self._strike(calls, fault % k):
                return k - 1
        raise AssertionError(f"{calls}: no end after {MOST}")

    def _strike(self, calls: str, fault: str) -> bool:
        process = self._server.process
        assert process is not None
        tracer = Tracer(process.pid, calls, fault, self._log)
        try:
            undisturbed = asyncio.run(self._one_of_each())
        finally:
            process.poll()  # a dead one is taken notice of first: strace may wait for that
            reported = tracer.detach()
        struck = reported or not undisturbed
        if struck and "SIGKILL" in fault:
            process.wait(10)
        if process.poll() is not None:
            self._server.process = None
            self._server.start()
        asyncio.run(self._finish())
        return struck

    async def _one_of_each(self) -> bool:
        """Upload something in chunks, do several things at once, and delete something; say whether all went well."""
        async with self._speaking() as http:
            customer = self._customer(http, excused=True)
            try:
                await customer.upload(customer.made_up("/large", LARGE))
                await customer.batch(customer.some_operations(4))
                await customer.delete([customer.gone("/large")])
            except Lost as lost:
                said = str(lost).rpartition(" ")[2] or "no answer"
                self.found.answers[said] = self.found.answers.get(said, 0) + 1
                return False
        return True

    async def _finish(self) -> None:
        async with self._speaking() as http:
            await self._customer(http, excused=False).finish()
        await self.verify(list(self._oracle.acked())[-3:])

    async def verify(self, facts: list[Fact] | None) -> int:
        """Compare the server with the oracle."""
        async with self._speaking() as http:
            return await verify(http, self._oracle, facts)

    def _customer(self, http: httpx.AsyncClient, excused: bool) -> Customer:
        taste = Taste(geometry={"chunk_size": CHUNK}, in_flight=1)
        return Customer(http, self._oracle, "host", self._rng, lambda: excused, taste)

    def _speaking(self) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self._server.key}"}
        return httpx.AsyncClient(base_url=self._server.url, headers=headers, timeout=30, trust_env=False)
