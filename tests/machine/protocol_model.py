"""The protocol between daemon and server as a model: no disk, no network, no code of ours; thousands of examples.

It says why the rules of docs/architecture.md are needed. `Protocol.without` leaves one out; then some example breaks
a promise. The real programs are driven by `machine`, with far more detail and far fewer examples.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

PARTS = 2
"""Of every content: it travels in so many pieces."""


class Lost(Exception):
    """No answer came. Whether the request arrived is not known."""


@dataclass(frozen=True)
class File:
    """What is on the disk. *stamp* is new with every change, whatever else is restored."""

    content: str
    stamp: int


@dataclass(frozen=True)
class Head:
    """The server's newest version of a path; without content it is a tombstone."""

    gen: int
    content: str | None


@dataclass
class Upload:
    """An upload under way."""

    gen: int
    content: str
    pieces: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Row:
    """What the daemon remembers of a path, and what is to do next with it."""

    gen: int
    todo: str | None
    """hash | upload | look | tell | None"""
    stamp: int | None = None
    content: str | None = None
    offered: int = 0
    """The last generation that a server may have heard of."""
    stored: int | None = None
    """The generation of the last receipt, and what it is for."""
    stored_content: str | None = None


@dataclass
class Memory:
    """All that survives the daemon."""

    rows: dict[str, Row] = field(default_factory=dict)
    gen: int = 0

    def next_gen(self) -> int:
        self.gen += 1
        return self.gen


class Protocol:
    """Disk, daemon, network and server. *without*: the rule that is left out."""

    def __init__(self, without: str = "") -> None:
        self.without = without
        self.disk: dict[str, File] = {}
        self.stamps = 0
        self.mounted = True
        self.memory = Memory()
        self.commits = [Memory()]
        self.compared = True
        self.weather: list[str] = []
        self.late: list[Callable[[], object]] = []
        self.heads: dict[str, Head] = {}
        self.contents: set[str] = set()
        self.uploads: dict[str, Upload] = {}
        self.pieces_sent = 0
        self.mistakes: list[str] = []

    # -- the server

    def offer(self, path: str, gen: int, content: str) -> set[int]:
        """Return which pieces are needed; those of an upload that was begun are not asked for again."""
        if content in self.contents:
            self.uploads[path] = Upload(gen, content, set(range(PARTS)))
        known = self.uploads.get(path)
        if known is None or (known.gen, known.content) != (gen, content):
            known = self.uploads[path] = Upload(gen, content)
        return set(range(PARTS)) - known.pieces

    def piece(self, path: str, gen: int, number: int) -> None:
        self.pieces_sent += 1
        if (upload := self.uploads.get(path)) and upload.gen == gen:
            upload.pieces.add(number)

    def complete(self, path: str, gen: int) -> str:
        upload, head = self.uploads.get(path), self.heads.get(path)
        if head is not None and head.gen == gen and head.content is not None:
            return "stored"
        if upload is None or upload.gen != gen or len(upload.pieces) < PARTS:
            return "missing"
        if head is not None and head.gen > gen and self.without != "generations":
            return "stale"
        self.contents.add(upload.content)
        self.heads[path] = Head(gen, upload.content)
        del self.uploads[path]
        return "stored"

    def delete(self, path: str, gen: int) -> str:
        head = self.heads.get(path)
        if head is not None and head.gen >= gen and self.without != "generations":
            return "stale" if head.gen > gen else "deleted"
        if (head is None or head.content is None) and path not in self.uploads:
            return "deleted"  # else what is under way must find itself outdated when it arrives
        self.heads[path] = Head(gen, None)
        return "deleted"

    def ask(self, request: Callable[[], object]) -> object:
        """Have a request answered, in whatever weather there is."""
        word = self.weather.pop(0) if self.weather else "ok"
        if word == "late":
            self.late.append(request)
        if word in ("late", "lost"):
            raise Lost
        if word == "twice":
            request()
        answer = request()
        if word == "no_answer":
            raise Lost
        return answer

    # -- the daemon; each method is one step between two commits

    def commit(self, path: str, row: Row | None) -> None:
        if row is None:
            self.memory.rows.pop(path, None)
        else:
            self.memory.rows[path] = row
        self.commits = [*self.commits[-5:], deepcopy(self.memory)]

    def sees(self) -> dict[str, File] | None:
        """Return what a look finds; None where the root is not the one it was."""
        if self.mounted:
            return self.disk
        return {} if self.without == "identity" else None

    def scan(self) -> None:
        if (found := self.sees()) is None:
            return
        for path, file in found.items():
            row = self.memory.rows.get(path)
            if row is None or row.todo in ("look", "tell"):
                gone = row or Row(0, None)
                stored = None if gone.todo == "tell" else gone.stored
                self.commit(path, replace(gone, gen=self.memory.next_gen(), todo="hash", stored=stored))
            elif row.todo != "hash" and (row.stamp != file.stamp or (row.todo is None and row.stored is None)):
                self.commit(path, replace(row, gen=self.memory.next_gen(), todo="hash"))
        for path, row in list(self.memory.rows.items()):
            if path not in found and row.todo not in ("look", "tell"):
                gone = replace(row, gen=self.memory.next_gen(), todo="look")
                self.commit(path, gone if row.offered else None)
        if not self.compared and self.without != "comparison":
            self.compare()

    def compare(self) -> None:
        """Follow the server where it remembers more. Until then no deletion is told."""
        try:
            highest = self.ask(lambda: max([head.gen for head in self.heads.values()], default=0))
            heads = self.ask(lambda: dict(self.heads))
        except Lost:
            return
        assert isinstance(highest, int)
        assert isinstance(heads, dict)
        self.memory.gen = max(self.memory.gen, highest)
        for path, row in list(self.memory.rows.items()):
            self.commit(path, replace(row, gen=self.memory.next_gen()))  # what was seen meanwhile is newer than that
        for path, head in heads.items():
            row = self.memory.rows.get(path)
            if head.content is None:
                continue
            if row is None:
                missing = path not in self.disk
                found = Row(self.memory.next_gen(), "look" if missing else "hash", offered=head.gen)
                self.commit(path, found)
            else:
                self.commit(path, replace(row, offered=max(row.offered, head.gen)))
        for path, row in list(self.memory.rows.items()):
            known = heads.get(path)
            if row.stored is not None and (known is None or known.content != row.stored_content):
                self.commit(path, replace(row, stored=None, todo=row.todo or "hash"))
        self.compared = True

    def work(self, path: str) -> None:
        """Take the next step with one path."""
        row = self.memory.rows.get(path)
        if row is not None and row.todo is not None:
            try:
                {"hash": self.hash, "upload": self.upload, "look": self.look, "tell": self.tell}[row.todo](path, row)
            except Lost:
                return

    def hash(self, path: str, row: Row) -> None:
        file = (self.sees() or {}).get(path)
        if file is None:
            return
        same = row.stored is not None and row.offered <= row.stored and row.stored_content == file.content
        hashed = replace(row, stamp=file.stamp, content=file.content, todo=None if same else "upload")
        self.commit(path, hashed)

    def upload(self, path: str, row: Row) -> None:
        file = (self.sees() or {}).get(path)
        if file is None or file.stamp != row.stamp:
            return  # the next scan sees to it
        assert row.content is not None
        content = row.content
        if row.offered < row.gen:
            self.commit(path, row := replace(row, offered=row.gen))  # before anybody can hear of it
        needed = self.ask(lambda: self.offer(path, row.gen, content))
        assert isinstance(needed, set)
        for number in sorted(needed):
            self.ask(lambda number=number: self.piece(path, row.gen, number))
        answer = self.ask(lambda: self.complete(path, row.gen))
        if answer == "stored":
            self.commit(path, replace(row, todo=None, stored=row.gen, stored_content=row.content))
        elif answer == "stale":
            self.memory.gen = max(self.memory.gen, self.heads[path].gen)
            self.commit(path, replace(row, gen=self.memory.next_gen()))

    def look(self, path: str, row: Row) -> None:
        if (found := self.sees()) is not None and path not in found:
            self.commit(path, replace(row, todo="tell"))

    def tell(self, path: str, row: Row) -> None:
        found = self.sees()
        if found is None or path in found or (not self.compared and self.without != "comparison"):
            return
        if path in self.disk:
            self.mistakes.append(f"{path} is told to be gone, and is there")
        answer = self.ask(lambda: self.delete(path, row.gen))
        if answer == "stale":
            self.memory.gen = max(self.memory.gen, self.heads[path].gen)
            self.commit(path, replace(row, gen=self.memory.next_gen(), todo="look"))
        else:
            self.commit(path, None)

    def restart(self, commits_lost: int) -> None:
        """The daemon ends without a word; a power cut takes its last commits along.

        Whoever has forgotten what is on its way, and has compared, will not look again: it arrives before.
        """
        if commits_lost:
            self.all_arrives()
            self.commits = self.commits[: max(1, len(self.commits) - commits_lost)]
        self.memory = deepcopy(self.commits[-1])
        self.compared = False

    def all_arrives(self) -> None:
        while self.late:
            self.late.pop(0)()

    def forget(self) -> None:
        self.all_arrives()
        self.commits = [Memory()]
        self.restart(0)


WITHOUT = ""
PATHS = st.sampled_from(["a", "b", "c"])


class Model(RuleBasedStateMachine):
    """Anything in any order; then peace, and everything agrees."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol = Protocol(WITHOUT)

    @rule(path=PATHS, content=st.sampled_from(["x", "y", "z", ""]))
    def change(self, path: str, content: str) -> None:
        """Write a file, or (without content) remove it."""
        self.protocol.stamps += 1
        if content:
            self.protocol.disk[path] = File(content, self.protocol.stamps)
        else:
            self.protocol.disk.pop(path, None)

    @rule(steps=st.lists(st.sampled_from(["scan", "scan", "a", "a", "b", "b", "c", "c"]), min_size=1, max_size=12))
    def go_on(self, steps: list[str]) -> None:
        for step in steps:
            if step == "scan":
                self.protocol.scan()
            else:
                self.protocol.work(step)

    @rule(
        words=st.lists(
            st.sampled_from(["ok", "ok", "ok", "lost", "no_answer", "twice", "late", "late"]), min_size=1, max_size=8
        )
    )
    def weather(self, words: list[str]) -> None:
        self.protocol.weather = words

    @rule(
        what=st.sampled_from(
            ["unmount", "mount", "mount", "kill", "power", "forget", "expire", "arrive", "arrive", "arrive"]
        )
    )
    def fault(self, what: str) -> None:
        """Let something go wrong; or mend it; or let a late request arrive."""
        protocol = self.protocol
        match what:
            case "unmount" | "mount":
                protocol.mounted = what == "mount"
            case "kill" | "power":
                protocol.restart(2 if what == "power" else 0)
            case "forget":
                protocol.forget()
            case "arrive" if protocol.late:
                protocol.late.pop(0)()
            case "expire":
                protocol.uploads.clear()

    def teardown(self) -> None:
        protocol = self.protocol
        protocol.mounted, protocol.weather = True, []
        protocol.all_arrives()
        self._settle()
        live = {path: head.content for path, head in protocol.heads.items() if head.content is not None}
        assert live == {path: file.content for path, file in protocol.disk.items()}
        assert all(row.stored for row in protocol.memory.rows.values())
        assert not protocol.mistakes, protocol.mistakes
        sent = protocol.pieces_sent
        protocol.restart(0)
        self._settle()
        assert protocol.pieces_sent == sent, "sent again after a restart"

    def _settle(self) -> None:
        for _ in range(3):
            self.protocol.scan()
            for _ in range(6):
                for path in ("a", "b", "c"):
                    self.protocol.work(path)
        assert not [path for path, row in self.protocol.memory.rows.items() if row.todo]


def walk(examples: int, number: int, without: str = "") -> None:
    """Try so many examples of the protocol, with all its rules or without one."""
    global WITHOUT
    WITHOUT = without
    chosen = settings(
        max_examples=examples,
        stateful_step_count=30,
        deadline=None,
        database=None,
        phases=(Phase.generate,) if without else (Phase.generate, Phase.shrink),
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(seed(number)(Model), settings=chosen)
    finally:
        WITHOUT = ""
