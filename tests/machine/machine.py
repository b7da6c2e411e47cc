"""The state machine: whatever a person, a disk, a network and a power supply may do, in any order; then peace, and
everything must agree.

Hypothesis chooses the rules and their arguments. Each works on one world that all examples share (`use`), made anew
between them.
"""

import contextlib
import os
import random
import shutil
from pathlib import Path

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from world import LONG_AGO_NS, STORED, Broken, World

from pp_assist.disk import stat_of

FILES = st.sampled_from(["a", "b", "d/e", "d/f", "g/h/i"])
PATHS = st.sampled_from(["a", "b", "d/e", "d/f", "g/h/i", "d", "g", "g/h"])
SMALL, LARGE, OTHER_LARGE = 40, 262_200, 393_217
CONTENTS = {
    (size, number): random.Random(size + number).randbytes(size)
    for size in (0, SMALL, LARGE, OTHER_LARGE)
    for number in range(1 if size == 0 else 4)
}
CONTENT = st.sampled_from(sorted(CONTENTS))
WORDS = st.sampled_from(
    ["ok", "ok", "ok", "lost_request", "lost_response", "lost_response", "twice", "late", "late", "garbled", "garbled"]
    + ["500", "503", "429", "html", "401", "damaged", "slow"]
)
CHANGES = st.sampled_from(
    ["write", "write", "write", "replace", "older", "same_times", "remove", "remove", "move", "link"]
)
PACE = st.one_of(
    st.tuples(st.just("turns"), st.integers(1, 60).map(float)),
    st.tuples(st.just("wait"), st.sampled_from([0.2, 3.0, 3.0, 9.0, 9.0, 70.0])),
    st.tuples(st.just("scan"), st.sampled_from([0.0, 0.0, 0.0, 1.0])),
)
FAULTS = st.sampled_from(
    ["kill", "stop", "cut_power", "lose_memory", "crash_server", "crash_server", "kill_server", "stop_server"]
    + ["start_server", "start_server", "expire_uploads", "deny", "allow", "away", "away_and_empty", "away_and_empty"]
    + ["back", "back", "announce"]
)
REQUESTS = ["/complete", "/batch", "/chunk/", "/deletions"]
MOST_STEPS = 30
"""So many steps has a request at the server, about."""

STEPS = 30

_world: World | None = None


def use(world: World | None) -> None:
    """Let all examples from now on happen in *world*."""
    global _world
    _world = world


class Machine(RuleBasedStateMachine):
    """One example."""

    def __init__(self) -> None:
        super().__init__()
        assert _world is not None
        self.world = _world
        self.begun = False
        self.proven: set[str] = set()
        """Digests of contents that this life of the server gave back."""

    @initialize(number=st.integers(0, 2**16))
    def begin(self, number: int) -> None:
        self.world.begin(number)
        self.begun = True

    # Few rules, because Hypothesis takes each as often as any other: what goes wrong shares one.

    @rule(name=PATHS, onto=PATHS, content=CONTENT, how=CHANGES)
    def change(self, name: str, onto: str, content: tuple[int, int], how: str) -> None:
        """Do something to a file or a folder, as a person would."""
        with contextlib.suppress(OSError):
            if how == "remove":
                self._remove(self._path(name))
            elif how == "move":
                self._path(onto).parent.mkdir(parents=True, exist_ok=True)
                self._path(name).rename(self._path(onto))
            elif how == "link":
                self._path(name).parent.mkdir(parents=True, exist_ok=True)
                self._path(name).symlink_to(onto)
            else:
                self._write(self._path(name), CONTENTS[content], how)
        self.world.note_links()

    @rule(name=FILES, content=CONTENT, how=CHANGES, count=st.integers(1, 150))
    def change_at_work(self, name: str, content: tuple[int, int], how: str, count: int) -> None:
        """Change a file once the daemon has begun to do something about how it was."""
        self.world.begin_scan()
        self.world.turns(count)
        self.change(name, name, content, how)

    @rule(
        name=FILES,
        content=CONTENT,
        word=WORDS,
        times=st.integers(1, 3),
        seconds=st.sampled_from([0.2, 3.0, 9.0]),
        how=CHANGES,
        again=CONTENT,
        more_seconds=st.sampled_from([0.0, 9.0, 9.0]),
    )
    def misunderstand(
        self,
        name: str,
        content: tuple[int, int],
        word: str,
        times: int,
        seconds: float,
        how: str,
        again: tuple[int, int],
        more_seconds: float,
    ) -> None:
        """Change a file whose last change may have reached the server, or may not, or will; and have that found, and
        perhaps stored before what is late arrives.
        """
        self.change(name, name, content, "write")
        self.world.weather = [word] * times
        self.world.loop.run(self.world.scan())
        self.world.wait(seconds)
        self.change(name, name, again, how)
        self.world.loop.run(self.world.scan())
        self.world.wait(more_seconds)

    @rule(parts=st.lists(PACE, min_size=1, max_size=5))
    def go_on(self, parts: list[tuple[str, float]]) -> None:
        """Let everybody work: take some steps, wait for a time, scan."""
        for how, amount in parts:
            if how == "turns":
                self.world.turns(int(amount))
            elif how == "wait":
                self.world.wait(amount)
            else:
                self.world.loop.run(self.world.scan(force=bool(amount)))

    @rule()
    def work(self) -> None:
        """Let the daemon find everything, and do what it can in a while."""
        self.world.loop.run(self.world.scan())
        self.world.wait(9.0)

    @rule(words=st.lists(WORDS, min_size=1, max_size=8))
    def weather(self, words: list[str]) -> None:
        """Say what becomes of the next requests."""
        self.world.weather = list(words)

    @rule(what=FAULTS, name=PATHS, count=st.integers(0, 45))
    def fault(self, what: str, name: str, count: int) -> None:
        """Let something go wrong, in the middle of whatever is done at the moment; or mend it."""
        world, run = self.world, self.world.loop.run
        match what:
            case "kill" | "stop":
                world.turns(count)
                self._restart_daemon(what)
            case "cut_power":  # and with it the database's last commits
                world.turns(count)
                run(world.kill_daemon(commits_lost=1 + count % 5))
                run(world.nothing_on_its_way())
                run(world.start_daemon())
            case "lose_memory":
                run(world.kill_daemon())
                world.lose_database()
                run(world.nothing_on_its_way())  # who has forgotten it, and has compared, will not look again
                run(world.start_daemon())
            case "crash_server":  # at one of the next steps that make something durable
                world.durable.steps_left = 1 + count
            case "kill_server":
                world.turns(count)
                run(world.kill_server())
            case "stop_server":
                run(world.stop_server())
            case "start_server":
                run(world.start_server())
            case "expire_uploads":
                run(world.expire_uploads())
            case "deny":
                world.denied.add(name.encode())
            case "allow":
                world.denied.clear()
            case "away" | "away_and_empty" | "back":
                self._mount(what)
                world.turns(count)
            case "announce":  # true or not
                directory, _, leaf = name.rpartition("/")
                world.announce(directory.encode(), leaf.encode(), closed=bool(count % 2))

    @rule(count=st.integers(0, 180), how=st.sampled_from(["kill", "kill", "kill", "cut_power", *REQUESTS]))
    def interrupt(self, count: int, how: str) -> None:
        """Let something end while the daemon is at work: the daemon, or the server in such a request."""
        self.world.begin_scan()
        if how in REQUESTS:
            self.world.crash_in = (how, 1 + count % MOST_STEPS)
            self.world.wait(9.0)
            self.world.loop.run(self.world.start_server())
        else:
            self.fault(how, "a", count)

    # -- what is promised

    @invariant()
    def nothing_is_lost(self) -> None:
        """No deletion was told that did not happen; what the daemon calls stored can be had back."""
        if not self.begun:
            return
        self.world.rules += 1
        self._check_deletions()
        if self.world.stack is not None:
            self.proven |= self.world.loop.run(self.world.check_retrievable(self.world.confirmed() - self.proven))

    def _check_deletions(self) -> None:
        if self.world.broken:
            raise Broken("; ".join(self.world.broken))

    def teardown(self) -> None:
        """Peace: everything is mended, one scan is made, all work is done; then everything agrees."""
        if not self.begun:
            return
        try:
            self.world.loop.run(self._peace())
        finally:
            self.world.end()

    async def _peace(self) -> None:
        world = self.world
        self._mount("back")
        world.denied.clear()
        world.weather.clear()
        world.durable.steps_left = world.crash_in = None
        await world.start_server()
        await world.start_daemon()
        await world.nothing_on_its_way()
        await self._agree()
        before = world.confirmed()
        await world.kill_daemon()
        await world.start_daemon()
        await self._agree()
        assert world.life is not None
        again = world.life.daemon.uploader.stats.bytes_sent
        if again or before != world.confirmed():
            raise Broken(f"{again} bytes were sent again after a restart")

    async def _agree(self) -> None:
        world = self.world
        await world.scan()
        await world.drained()
        self._check_deletions()
        truth, live = world.truth(), await world.live()
        for path in live.keys() - truth.keys():
            if world.was_behind_a_link(path):  # what was in a folder when a link took its place stays on the server
                del live[path]
        if truth != live:
            both = truth.keys() & live.keys()
            only_there, only_here = live.keys() - truth.keys(), truth.keys() - live.keys()
            different = {path: (truth[path], live[path]) for path in both if truth[path] != live[path]}
            raise Broken(f"not the same: {only_there} are only there, {only_here} only here, {different} differ")
        digests = {entry.says.decode() for entry in truth.values() if entry.kind == "file"}
        if digests != world.confirmed() or world.rows(STORED) != [(len(truth),)]:
            raise Broken("the daemon does not say of everything that it is stored")
        if await world.check_retrievable(digests) != digests:
            raise Broken("the server ended by itself")

    # -- how it is done

    def _path(self, name: str) -> Path:
        return self.world.tree_home / name

    def _remove(self, path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

    def _write(self, path: Path, data: bytes, how: str) -> None:
        """Write a file: in place, by another in its place, an older one, or so that size and mtime stay."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            path.unlink()
        before = path.stat() if path.exists() else None
        if how == "same_times" and before is not None and before.st_size:
            old = path.read_bytes()
            data = bytes([old[0] ^ 1]) + old[1:]
        if how in ("replace", "older"):
            beside = self.world.folder / "beside"
            beside.write_bytes(data)
            beside.replace(path)
        else:
            path.write_bytes(data)
        if how == "older":
            os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
        elif how == "same_times" and before is not None:
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        while before is not None and stat_of(path.stat()) == stat_of(before):  # clocks of kernels tick every 4 ms
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def _mount(self, where: str) -> None:
        world = self.world
        mounted = not world.away.exists()
        if where == "back" and not mounted:
            if world.tree.exists():
                world.tree.rmdir()
            world.away.rename(world.tree)
        elif where != "back" and mounted:
            world.tree.rename(world.away)
            if where == "away_and_empty":
                world.tree.mkdir()

    def _restart_daemon(self, how: str) -> None:
        self.world.loop.run(self.world.stop_daemon() if how == "stop" else self.world.kill_daemon())
        self.world.loop.run(self.world.start_daemon())


def walk(examples: int, number: int, shrink: bool = True) -> None:
    """Try so many examples; the first that breaks a promise is made as short as can be, printed, and raised."""
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    chosen = settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=phases,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(number)(Machine), settings=chosen)
