"""The ledger adds up, whatever happens: files, folders, rules, the network and both programs change at random.

Every few seconds the daemon is asked to scan; what it then says of its ledger must be consistent in itself, and never
that it does not add up. Now and then all is left alone until nothing is left to do: then the ledger is held against a
count of the tree that knows nothing of the daemon.
"""

import contextlib
import os
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.daemon_kills import Living
from tests.e2e.faultproxy import NONE, FaultProxy
from tests.e2e.harness import World, settled
from tests.e2e.mischief import WEATHER

ENVIRONMENT = {
    "PP_ASSIST_SCANNER__QUIET_SECONDS": "0.3",
    "PP_ASSIST_SCANNER__DELETE_GRACE_SECONDS": "0.3",
    "PP_ASSIST_UPLOADER__TIMEOUT_SECONDS": "3",
}
ROUND_S = 20.0
QUIET_EVERY = 4
SIZES = [0, 1, 100, 4_000, 4_000, 20_000, 100_000, 3 << 20]
LEFT_OUT = b"*.out"
NO_FILE = b"pipe"


@dataclass
class Churned:
    """What was done, and how often the ledger was looked at."""

    scans: int = 0
    rounds: int = 0
    proven: int = 0
    """Times at which it was held against a count of our own."""
    open: int = 0
    """Scans after which it said that it cannot say."""
    names: int = 0
    """In the tree, at the end."""
    faults: dict[str, int] = field(default_factory=dict)

    def note(self, fault: str) -> None:
        """Count one."""
        self.faults[fault] = self.faults.get(fault, 0) + 1


class Churner(Living):
    """A tenant who, besides files, changes folders, links, pipes, and what is left out."""

    def step(self) -> None:
        """Do one thing."""
        odd = self._rng.random()
        if odd < 0.85:
            with contextlib.suppress(FileNotFoundError):  # a folder went with what it held
                super().step()
        else:
            self._rng.choice([self._folder, self._folder_gone, self._link, self._pipe, self._rules, self._left_out])()

    def _below(self, name: bytes) -> bytes:
        return self._made.path(b"odd/%d/" % self._rng.randrange(6) + name)

    def _folder(self) -> None:
        os.makedirs(self._below(b"%d/%d" % (self._rng.randrange(9), self._rng.randrange(9))), exist_ok=True)

    def _folder_gone(self) -> None:
        shutil.rmtree(self._below(b"%d" % self._rng.randrange(9)), ignore_errors=True)

    def _link(self) -> None:
        path = self._below(b"link%d" % self._rng.randrange(9))
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            os.symlink(b"../%d" % self._rng.randrange(99), path)

    def _pipe(self) -> None:
        path = self._below(NO_FILE + b"%d" % self._rng.randrange(9))
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            os.mkfifo(path)

    def _left_out(self) -> None:
        path = self._below(b"%d.out" % self._rng.randrange(20))
        with contextlib.suppress(FileNotFoundError), open(path, "wb") as file:
            file.write(b"%d" % self._rng.randrange(1000))

    def _rules(self) -> None:
        path = self._below(b".ppignore")
        with contextlib.suppress(FileNotFoundError):
            if self._rng.random() < 0.3:
                os.unlink(path)
            else:
                with open(path, "wb") as file:
                    file.write(LEFT_OUT + b"\n")


def churn(folder: Path, seed: int, seconds: float, say: Callable[[str], None] = print, at_least: int = 1) -> Churned:
    """Churn for about that long, *at_least* so many rounds, and look at the ledger all the time."""
    end, rng, found = time.monotonic() + seconds, random.Random(seed), Churned()
    with FaultProxy() as proxy:
        made = World(folder, **ENVIRONMENT)
        try:
            made.server.start()
            proxy.target = made.server.port
            made.begin(proxy.url)
            tenant = Churner(made, seed, SIZES)
            tenant.work(60)
            while (left := end - time.monotonic()) > 0 or found.rounds < at_least:
                found.rounds += 1
                with tenant.at_work():
                    _trouble(made, proxy, rng, found, time.monotonic() + (min(ROUND_S, left) if left > 0 else ROUND_S))
                proxy.set(NONE)
                if found.rounds % QUIET_EVERY == 0:
                    _prove(made, found)
                    say(f"{found.rounds} rounds, {found.scans} scans, {found.names} names: it adds up; {found.faults}")
            _prove(made, found)
            said = [line for line in made.daemon.log_lines() if "does not add up" in line or "Traceback" in line]
            assert not said, "\n".join(said[:10])
            return found
        except BaseException:
            print(made.logs())
            raise
        finally:
            made.close()


def _trouble(made: World, proxy: FaultProxy, rng: random.Random, found: Churned, until: float) -> None:
    """Kill, spoil the weather, and scan, until then."""
    while time.monotonic() < until:
        what = rng.random()
        if what < 0.15:
            program = rng.choice([made.daemon, made.server])
            found.note(f"{program.name} killed")
            program.kill()
            program.start()
        elif what < 0.5:
            weather = rng.choice(list(WEATHER))
            found.note(weather)
            proxy.set(WEATHER[weather])
        elif what < 0.6:
            proxy.set(NONE)
        made.daemon.scan(60)
        found.scans += 1
        found.open += not consistent(made.daemon.stats()["ledger"])
        time.sleep(rng.uniform(0, 2))


def consistent(ledger: list[dict[str, Any]]) -> bool:
    """Check what one answer says of itself; return whether it says that all adds up, rather than that it cannot say."""
    sure = True
    for entry in ledger:
        assert sum(entry["reasons"].values()) == entry["pending"], entry
        scan = entry["last_scan"]
        if scan is None:
            continue
        assert scan["difference"] in (0, None), entry
        assert scan["difference"] == 0 or scan["unread_directories"], entry
        sure = sure and scan["difference"] == 0
    return sure


def _prove(made: World, found: Churned) -> None:
    """Leave all alone until nothing is left to do, and count for ourselves."""
    made.daemon.scan(60)

    def problems() -> list[str]:
        for held in made.daemon.ask("GET", "/deletions")["held"]:
            made.daemon.ask("POST", f"/deletions/{held['id']}/approve", {"count": held["count"]})
        return [f"{name}: {count}" for name, count in made.daemon.pending().items()]

    settled(problems, 120)
    expected = counted(made.tree)

    def differs() -> list[str]:
        made.daemon.scan(60)
        if not (ledger := made.daemon.stats()["ledger"]):
            return ["not counted yet since the start"]
        (entry,) = ledger
        scan = entry["last_scan"]
        is_there = {name: entry[name] for name in expected} | {"on_disk": scan and scan["on_disk"]}
        should = expected | {"on_disk": sum(expected.values())}
        rest = {"pending": entry["pending"], "missing": entry["missing"]}
        return [f"{is_there} is not {should}"] * (is_there != should) + [str(rest)] * any(rest.values())

    settled(differs, 60)
    found.proven += 1
    found.names = sum(expected.values())


def counted(tree: bytes) -> dict[str, int]:
    """Return how many names in *tree* should be stored, excluded and unsupported."""
    stored = excluded = unsupported = 0
    for folder, folders, files in os.walk(tree):
        out = any(_leaves_out(above) for above in (folder, *Path(os.fsdecode(folder)).parents))
        for name in files:
            if out and name.endswith(LEFT_OUT[1:]):
                excluded += 1
            elif name.startswith(NO_FILE):
                unsupported += 1
            else:
                stored += 1
        stored += len(folders)
    return {"stored": stored, "excluded": excluded, "unsupported": unsupported}


def _leaves_out(folder: bytes | Path) -> bool:
    try:
        return LEFT_OUT in Path(os.fsdecode(folder), ".ppignore").read_bytes()
    except FileNotFoundError:
        return False
