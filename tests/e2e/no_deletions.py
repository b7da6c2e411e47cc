"""A working daemon loses sight of its files again and again, in every way we know, and never takes it for a deletion.

One world as root, whose watched folder is mounted and unmounted; one as a user who may not read everything. Where there
is strace, reading folders fails in the middle, too. The server counts the deletions it is told of: those that were
real, and no other.
"""

import contextlib
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from pp_assist.posix import is_root_user
from tests.e2e.harness import Daemon, World, settled
from tests.power.stracing import Tracer, why_not

NOBODY = 65534
FOLDERS = 12
FILES = 240
CHECK_EVERY = 25
ERRORS = ("EIO", "ESTALE", "ENOTCONN")
QUICK = {
    "PP_ASSIST_SCANNER__QUIET_SECONDS": "0.2",
    "PP_ASSIST_SCANNER__DELETE_GRACE_SECONDS": "0.2",
    "PP_ASSIST_SCANNER__CANARY_SECONDS": "1",
}

Fault = Callable[[], AbstractContextManager[None]]


class Unprivileged(Daemon):
    """`pp_assist run` as a user who may not read everything."""

    def command(self, *more: str) -> list[str]:
        """Return the command line that runs it."""
        command = super().command(*more)
        if not is_root_user():
            return command
        return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command]


@dataclass
class Trials:
    """What was done, and what the server was told."""

    trials: dict[str, int] = field(default_factory=dict)
    restarts: int = 0
    really_deleted: int = 0
    deletions_told: int = 0


class Trial:
    """One world, its daemon at work, and what can happen to its files."""

    def __init__(self, made: World, seed: int) -> None:
        self.made = made
        self.found = Trials()
        self._rng = random.Random(seed)
        self._root = os.fsdecode(made.tree)
        self._written = 0
        self._faults: list[Fault] = [self._strange_listing] if not why_not() else []

    def prepare(self) -> None:
        """Fill the tree, and let the daemon store it."""
        for _ in range(FILES):
            self._write()
        self.made.begin()
        self.made.daemon.finish(self.made.tree, timeout_s=120)

    def _name(self, number: int) -> str:
        return f"{number % FOLDERS}/{number % 3}/{number}"

    def _write(self) -> None:
        self._written += 1
        self.made.write(self._name(self._written), b"%d" % self._written)

    def _edit(self) -> None:
        with open(self.made.path(self._name(self._rng.randint(1, self._written))), "ab") as file:
            file.write(b" edited")

    def run(self, trials: int, end: float, say: Callable[[str], None]) -> Trials:
        """Do so many trials, and look after some of them, and at the end, whether all is well."""
        for number in range(1, trials + 1):
            self._one()
            if number % CHECK_EVERY == 0 or number == trials:
                self._check(number)
                say(f"{number} trials: {self.found}")
            if time.monotonic() > end:
                say(f"out of time after {number} trials")
                break
        return self.found

    def _one(self) -> None:
        fault, daemon = self._rng.choice(self._faults), self.made.daemon
        self._write()
        self._edit()
        time.sleep(self._rng.uniform(0, 0.3))
        with fault():
            if self._rng.random() < 0.5:
                daemon.ask("POST", "/scan/trigger", {"wait": False})
            if self._rng.random() < 0.04:
                daemon.kill()
                daemon.spawn()
                self.found.restarts += 1
            time.sleep(self._rng.uniform(0.05, 0.8))
        daemon.wait_until_ready()
        time.sleep(self._rng.uniform(0, 0.2))
        what = getattr(fault, "__name__", "").strip("_")
        self.found.trials[what] = self.found.trials.get(what, 0) + 1

    def _check(self, number: int) -> None:
        """All is where it belongs, nothing but real deletions was told, and another real one is."""
        self._all_is_well(f"after trial {number}")
        real = self.made.write(f"really deleted {number}", b"for a while")
        self._all_is_well(f"with a new file after trial {number}")
        os.unlink(real)
        self.found.really_deleted += 1
        self._all_is_well(f"a real deletion after trial {number}")
        (path,) = self.made.daemon.ask("GET", "/paths")["paths"]
        assert path["status"] != "unhealthy", path

    def _all_is_well(self, when: str) -> None:
        daemon = self.made.daemon
        daemon.scan()
        settled(lambda: daemon.unfinished(self.made.tree), 60)
        assert not (found := self.made.differences()), "\n".join(found[:20])
        self.found.deletions_told = self.made.server.stats()["deletions"]
        assert self.found.deletions_told == self.found.really_deleted, when

    # -- what happens

    @contextlib.contextmanager
    def _strange_listing(self) -> Iterator[None]:
        """Reading folders fails now and then, with errors that disks and networks have."""
        process = self.made.daemon.process
        assert process is not None
        calls, when = self._rng.choice([("getdents64", 1), ("openat", 7)])
        fault = f"error={self._rng.choice(ERRORS)}:when={self._rng.randint(1, 9)}+{when + self._rng.randint(0, 4)}"
        tracer = Tracer(process.pid, calls, fault, self.made.folder / "strace.log")
        try:
            yield
        finally:
            tracer.detach()


class Unmounting(Trial):
    """The watched folder is a mount of its own."""

    def __init__(self, made: World, seed: int) -> None:
        super().__init__(made, seed)
        self._disk = str(made.folder / "disk")
        os.mkdir(self._disk)
        self._mount()
        self._faults += [self._unmounted, self._unmounted_with_remains, self._another_disk_in_its_place]

    def _mount(self) -> None:
        subprocess.run(["mount", "--bind", self._disk, self._root], check=True)

    def _unmount(self) -> None:
        subprocess.run(["umount", "--lazy", self._root], check=True)

    def close(self) -> None:
        """Unmount for good."""
        while subprocess.run(["umount", "--lazy", self._root], check=False, capture_output=True).returncode == 0:
            pass

    @contextlib.contextmanager
    def _unmounted(self) -> Iterator[None]:
        self._unmount()
        try:
            yield
        finally:
            self._mount()

    @contextlib.contextmanager
    def _unmounted_with_remains(self) -> Iterator[None]:
        """In the folder below the mount lies something of the same names."""
        with self._unmounted():
            os.makedirs(f"{self._root}/1/1", exist_ok=True)
            Path(f"{self._root}/1/1/1").write_text("remains")
            yield
            shutil.rmtree(f"{self._root}/1")

    @contextlib.contextmanager
    def _another_disk_in_its_place(self) -> Iterator[None]:
        self._unmount()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", self._root], check=True)
        try:
            yield
        finally:
            self._unmount()
            self._mount()


class Forbidden(Trial):
    """The watched folder belongs to somebody who may lock it, and move it."""

    def __init__(self, made: World, seed: int) -> None:
        super().__init__(made, seed)
        self._faults += [self._renamed, self._replaced_by_an_empty_folder, self._locked, self._locked, self._no_names]

    @contextlib.contextmanager
    def _renamed(self) -> Iterator[None]:
        away = self._root + ".away"
        os.rename(self._root, away)
        try:
            yield
        finally:
            os.rename(away, self._root)

    @contextlib.contextmanager
    def _replaced_by_an_empty_folder(self) -> Iterator[None]:
        with self._renamed():
            os.mkdir(self._root)
            yield
            os.rmdir(self._root)

    @contextlib.contextmanager
    def _locked(self, mode: int = 0o000) -> Iterator[None]:
        """Nothing below a folder can be reached, whether that is the root or one of those in it."""
        some = [self._root, *(f"{self._root}/{number}" for number in range(6)), f"{self._root}/7/1"]
        with ExitStack() as stack:
            for path in self._rng.sample(some, self._rng.randint(1, 3)):
                was = os.stat(path).st_mode & 0o7777
                stack.callback(os.chmod, path, was)
                os.chmod(path, mode)
            yield

    @contextlib.contextmanager
    def _no_names(self) -> Iterator[None]:
        """Names can be read, and nothing be said about them; or the other way round."""
        with self._locked(self._rng.choice([0o444, 0o333])):
            yield


def _own(folder: Path) -> None:
    """Give everything in *folder* to the unprivileged user."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


def try_again_and_again(
    folder: Path,
    seed: int,
    trials: int,
    seconds: float,
    say: Callable[[str], None] = print,
    kinds: Sequence[type[Trial]] = (),
) -> dict[str, Trials]:
    """Return what became of so many trials, half as root (where we are) and half not. Errors are AssertionErrors."""
    began, found = time.monotonic(), {}
    kinds = kinds or ([Unmounting, Forbidden] if is_root_user() else [Forbidden])
    for number, kind in enumerate(kinds, 1):
        where = folder / kind.__name__.lower()
        where.mkdir()
        made = World(where, **QUICK)
        if kind is Forbidden:
            made.daemon = Unprivileged(where, **QUICK)
        with ExitStack() as stack:
            stack.callback(made.close)
            trial = kind(made, seed)
            if isinstance(trial, Unmounting):
                stack.callback(trial.close)
            try:
                if kind is Forbidden and is_root_user():
                    _give_away(made)
                trial.prepare()
                share = began + seconds * number / len(kinds)
                found[kind.__name__] = trial.run(trials // len(kinds), share, say)
            except BaseException:
                print(made.logs())
                raise
    return found


def _give_away(made: World) -> None:
    """Let the unprivileged daemon use its folder."""
    os.makedirs(made.folder / "assist", exist_ok=True)
    _own(made.folder)
    for above in made.folder.parents:
        if os.stat(above).st_uid == os.geteuid() and not os.stat(above).st_mode & 0o001:
            os.chmod(above, os.stat(above).st_mode | 0o001)
