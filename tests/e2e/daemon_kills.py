"""The daemon is killed by the hundred, over a tree that never stops changing: at random, and in the midst of hand-offs.

Hand-offs are system calls: strace (where there is one) kills the daemon as it enters the k-th sync or write of its
database, the k-th request, or the k-th answer. The others are killed by the clock, some before they are up.
"""

import contextlib
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.harness import MIB, Daemon, World, assert_server_equals_tree, settled
from tests.e2e.mischief import Tenant
from tests.power.stracing import why_not

HAND_OFFS = {
    "fdatasync": 12,  # commits
    "pwrite64": 200,  # of the database, within one
    "write,writev,sendto": 200,  # requests and answers
    "readv": 60,  # files being hashed
    "pread64": 200,  # and sent
    "getdents64": 40,
    "epoll_pwait": 500,  # turns of the event loop
}
"""Calls, and how many of them a thread makes in the first seconds."""

SIZES = [0, 1, 100, 4_000, 4_000, 20_000, 20_000, 100_000, 400_000, 3 * MIB]
CHUNK_BYTES = MIB
CONNECTIONS = 18
"""Sixteen for chunks and two for batches, with what the daemon is set to by default."""

CHECK_EVERY = 25
FEWEST = 50
ENVIRONMENT = {
    "PP_ASSIST_SCANNER__QUIET_SECONDS": "0.3",
    "PP_ASSIST_SCANNER__DELETE_GRACE_SECONDS": "0.3",
    "PP_ASSIST_UPLOADER__CHUNK_SIZE_MB": "1",
}


class Struck(Daemon):
    """`pp_assist run`, started under strace where somebody says at which call it is to be killed."""

    strike = ""

    def command(self, *more: str) -> list[str]:
        """Return the command line that runs it; strace is a child of it then, not its parent."""
        command = super().command(*more)
        if not self.strike or more[:1] != ("run",):
            return command
        calls, _, when = self.strike.partition(":")
        inject = f"inject={calls}:signal=SIGKILL:when={when}"
        log = str(self.log.with_name("strace.log"))
        # not with --seccomp-bpf, which forgets to inject
        return ["strace", "-D", "-f", "-qq", "-o", log, "-e", f"trace={calls}", "-e", inject, *command]


@dataclass
class Killed:
    """What was done, and what it cost."""

    kills: dict[str, int] = field(default_factory=dict)
    checked: int = 0
    files_live: int = 0
    wasted_bytes: int = 0
    sent_after_restart: int = 0


class Living(Tenant):
    """A tenant who works all the time, in a thread."""

    def step(self) -> None:
        """Do one thing."""
        what = self._rng.random()
        if what < 0.4 or len(self._files) < FEWEST:
            self._write_new()
        else:
            change = self._edit if what < 0.65 else self._rename if what < 0.85 else self._replace
            if what > 0.98:
                change = self._delete
            change(self._rng.randrange(len(self._files)))

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Work during the block."""
        stop, failed = threading.Event(), []

        def work() -> None:
            try:
                while not stop.wait(self._rng.uniform(0.01, 0.15)):
                    self.step()
            except Exception as error:
                failed.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        assert not failed, failed


def kill_again_and_again(
    folder: Path,
    seed: int,
    kills: int,
    seconds: float,
    say: Callable[[str], None] = print,
    files: int = 200,
) -> Killed:
    """Kill the daemon *kills* times; every so often, and at the end, all must be where it belongs."""
    end = time.monotonic() + seconds
    rng, found = random.Random(seed), Killed()
    made = World(folder, **ENVIRONMENT)
    made.daemon = daemon = Struck(folder, **ENVIRONMENT)
    try:
        made.begin()
        tenant = Living(made, seed, SIZES)
        tenant.work(files)
        while (done := sum(found.kills.values())) < kills and time.monotonic() < end:
            with tenant.at_work():
                for _ in range(min(CHECK_EVERY, kills - done)):
                    where = _kill_once(daemon, rng)
                    found.kills[where] = found.kills.get(where, 0) + 1
            _start(daemon)
            _finish(made, max(60.0, end - time.monotonic()))
            found.checked += 1
            say(f"{sum(found.kills.values())} kills: all is where it belongs; {found.kills}")
        found.files_live = assert_server_equals_tree(made.server, made.tree)
        stats = made.server.stats()
        found.wasted_bytes = stats["bytes_received"] + stats["bytes_duplicate"] - stats["bytes_stored"]
        daemon.restart()
        daemon.finish(made.tree, timeout_s=120)
        found.sent_after_restart = daemon.bytes_sent
        bad = [line for line in daemon.log_lines() if "Traceback" in line or " ERROR " in line]
        assert not bad, "\n".join(bad[:10])
        return found
    except BaseException:
        print(made.logs())
        raise
    finally:
        made.close()


def _kill_once(daemon: Struck, rng: random.Random) -> str:
    """Start it if it is not running, let it be killed, and say where."""
    if daemon.process is None:
        calls = rng.choice([*HAND_OFFS]) if rng.random() < 0.5 and not why_not() else ""
        daemon.strike = f"{calls}:{int(HAND_OFFS[calls] ** rng.uniform(0.3, 1.0))}" if calls else ""
        daemon.spawn()
    process = daemon.process
    assert process is not None
    deadline = time.monotonic() + (8.0 if daemon.strike else rng.uniform(0.0, 2.5))
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    struck = process.poll() == -signal.SIGKILL
    if process.poll() is None:
        daemon.kill()
    daemon.process = None
    return f"at {daemon.strike.partition(':')[0]}" if struck else "at random"


def _start(daemon: Struck) -> None:
    daemon.strike = ""
    daemon.start()


def _finish(made: World, timeout_s: float) -> None:
    """Wait until nothing is left to do; deletions that are held are real, and a person would say so."""
    daemon = made.daemon
    daemon.scan(timeout_s)

    def problems() -> list[str]:
        for held in daemon.ask("GET", "/deletions")["held"]:
            daemon.ask("POST", f"/deletions/{held['id']}/approve", {"count": held["count"]})
        return daemon.unfinished(made.tree)

    settled(problems, timeout_s)
    assert not (found := made.differences()), "\n".join(found[:20])
