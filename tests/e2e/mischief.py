"""What happens to the tree, the programs and the network while files are on their way. Seeded: the same every time."""

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.e2e import faultproxy
from tests.e2e.faultproxy import NONE, Fault, FaultProxy
from tests.e2e.harness import Program, World, eventually

SIZES = [0, 1, 100, 4_000, 4_000, 20_000, 20_000, 100_000, 400_000]


class Tenant:
    """Somebody who works in the tree: writes, edits, deletes and renames files."""

    def __init__(self, made: World, seed: int, sizes: list[int] | None = None) -> None:
        self._made = made
        self._rng = random.Random(seed)
        self._sizes = sizes or SIZES
        self._files: list[bytes] = []
        self._made_so_far = 0

    def work(self, new: int) -> None:
        """Write *new* files; edit, delete and rename a few of the others."""
        for _ in range(new):
            self._write_new()
        for change in (self._edit, self._edit, self._delete, self._rename, self._replace):
            for _ in range(max(1, new // 20)):
                if self._files:
                    change(self._rng.randrange(len(self._files)))

    def _content(self) -> bytes:
        return self._rng.randbytes(self._rng.choice(self._sizes))

    def _new_name(self) -> bytes:
        self._made_so_far += 1
        return b"%d/%d" % (self._made_so_far % 17, self._made_so_far)

    def _write_new(self) -> None:
        self._files.append(self._made.write(self._new_name(), self._content()))

    def _edit(self, which: int) -> None:
        with open(self._files[which], "ab") as file:
            file.write(b" edited")

    def _delete(self, which: int) -> None:
        os.unlink(self._files.pop(which))

    def _rename(self, which: int) -> None:
        new = self._made.path(self._new_name())
        os.makedirs(os.path.dirname(new), exist_ok=True)
        os.rename(self._files[which], new)
        self._files[which] = new

    def _replace(self, which: int) -> None:
        other = os.fsencode(self._made.folder / "other")
        with open(other, "wb") as file:
            file.write(self._content())
        os.utime(other, ns=(10**18, 10**18))
        os.replace(other, self._files[which])


# -- kills


def victims(made: World, rng: random.Random) -> list[Program]:
    """Choose the daemon, the server, or both in either order."""
    both: list[Program] = [made.daemon, made.server]
    rng.shuffle(both)
    return both[: rng.choice([1, 1, 2])]


def kill(programs: list[Program]) -> str:
    """kill -9 all, start all; return their names."""
    for program in programs:
        program.kill()
    for program in programs:
        program.spawn()
    for program in programs:
        program.wait_until_ready()
    return " and ".join(program.name for program in programs)


def kill_while_working(made: World, tenant: Tenant, rng: random.Random, new: int, longest_s: float) -> str:
    """Let the tenant work, and kill somebody at a random moment while that is on its way."""
    tenant.work(new)
    time.sleep(rng.uniform(0, longest_s))
    return kill(victims(made, rng))


def wait_for_progress(made: World, bytes_sent: int, timeout_s: float = 60) -> bool:
    """Return once the daemon has sent so many more bytes; False if nothing is left to send."""
    goal = made.daemon.bytes_sent + bytes_sent
    eventually(lambda: made.daemon.bytes_sent >= goal or made.server.listing(), timeout_s, f"{bytes_sent} bytes sent")
    return not made.server.listing()


# -- weather

WEATHER: dict[str, Fault] = {
    "refused": Fault(refuse=True),
    "status 500": faultproxy.INTERNAL_ERROR,
    "captive portal": faultproxy.CAPTIVE_PORTAL,
    "truncated JSON": faultproxy.TRUNCATED_JSON,
    "status 401": faultproxy.UNAUTHORIZED,
    "lost replies": Fault(lose_reply=True),
    "lost receipts": Fault(lose_reply=True, only=b"/api/batch"),
    "lost completions": Fault(lose_reply=True, only=b"/complete"),
    "cut uploads": Fault(cut_up_after=100_000),
    "black hole": Fault(blackhole=True),
    "other JSON": faultproxy.OTHER_JSON,
    "short answers": faultproxy.TOO_SHORT,
    "no HTTP": faultproxy.NOT_HTTP,
    "redirected": faultproxy.MOVED,
    "503, later": faultproxy.unavailable(1),
    "cut downloads": Fault(cut_down_after=200),
}

STORED = ("lost receipts", "lost completions")
"""In this weather the work is done; only the word of it is missing."""


@dataclass
class Storm:
    """One kind of weather and how it ended."""

    name: str
    faults: int
    recovered_s: float


def storm(made: World, proxy: FaultProxy, name: str, work: Callable[[], None], faults: int = 3) -> Storm:
    """Let *work* be done while the weather is bad; then wait until the server equals the tree; say how long it took."""
    before = proxy.faults
    proxy.set(WEATHER[name])
    work()
    made.daemon.scan()
    eventually(lambda: proxy.faults >= before + faults, 60, f"{name} strikes {faults} times")
    assert made.daemon.stats()["queues"]["pending_upload"]["count"] or name in STORED, "nothing is believed"
    proxy.set(NONE)
    took = made.soon_equal(60)
    return Storm(name, proxy.faults - before, round(took, 1))
