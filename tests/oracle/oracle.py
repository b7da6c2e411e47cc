"""What was promised: an append-only record of everything customers asked for and everything the server acknowledged.

It is written before the question and after the answer, and never to the disk under test. From it follows what a
server may show after any crash: of each path the newest acknowledged version, or a newer one that was asked
for and whose answer never came; and every acknowledged content, for ever.
"""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

DELETED = ""
"""The digest of a tombstone."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One version of one path: the content that `contents` makes of seed and size, or a tombstone."""

    host: str
    path: str
    gen: int
    sha256: str
    size: int = 0
    seed: int = 0

    @property
    def is_tombstone(self) -> bool:
        """Say whether this version is a deletion."""
        return self.sha256 == DELETED


class State(Enum):
    """How far a version came."""

    BEGUN = "begun"  # the decisive request was not sent: the server cannot have it
    ASKED = "asked"  # no answer yet, or never: the server may have it
    ACKED = "acked"
    REFUSED = "refused"  # the server said that it does not have it


class Broken(AssertionError):
    """The server did not keep its promise, or does not speak as documented."""


@dataclass
class Oracle:
    """Reads and writes one file. Several processes may, one after the other: `catch_up` reads what others wrote."""

    file: Path
    gate: AbstractContextManager[object] = field(default_factory=nullcontext)
    """Entered while writing."""
    states: dict[Fact, State] = field(default_factory=dict)
    receipts: dict[Fact, dict[str, Any]] = field(default_factory=dict)
    _paths: dict[tuple[str, str], list[Fact]] = field(default_factory=dict)
    _newest: dict[str, dict[str, Fact]] = field(default_factory=dict)
    _asked_with: dict[Fact, tuple[Fact, ...]] = field(default_factory=dict)
    _sequences: dict[int, Fact] = field(default_factory=dict)
    _read: int = 0
    _fd: int = -1

    # writing

    def note(self, state: State, *facts: Fact, receipts: Iterable[dict[str, Any]] = ()) -> None:
        """Write down how far these versions are. What is asked together is applied together, or not at all."""
        given = list(receipts) or [None] * len(facts)
        entry = {"state": state.value, "facts": [asdict(fact) for fact in facts], "receipts": given}
        if self._fd < 0:
            self._fd = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with self.gate:
            self._read += os.write(self._fd, json.dumps(entry).encode() + b"\n")
        self._take_all(state, facts, given)

    def catch_up(self) -> None:
        """Read what another process has added."""
        if not self.file.exists():
            return
        with open(self.file, "rb") as file:
            file.seek(self._read)
            for line in file:
                entry = json.loads(line)
                facts = tuple(Fact(**fields) for fields in entry["facts"])
                self._take_all(State(entry["state"]), facts, entry["receipts"])
            self._read = file.tell()

    def _take_all(self, state: State, facts: tuple[Fact, ...], given: list[dict[str, Any] | None]) -> None:
        first_time = all(self.states.get(fact, State.BEGUN) is State.BEGUN for fact in facts)
        for fact, receipt in zip(facts, given, strict=True):
            self._take(state, fact, receipt)
            if state is State.ASKED:
                self._asked_with[fact] = facts if first_time else (fact,)

    def _take(self, state: State, fact: Fact, receipt: dict[str, Any] | None) -> None:
        if fact not in self.states:
            self._paths.setdefault((fact.host, fact.path), []).append(fact)
            newest = self._newest.setdefault(fact.host, {})
            newest[fact.path] = max(newest.get(fact.path, fact), fact, key=lambda each: each.gen)
        before = self.states.get(fact)
        if before is None or (before is not State.ACKED and state is not State.BEGUN):
            self.states[fact] = state  # what is begun anew was perhaps asked for before, and stays so
        if receipt is not None:
            self._check_receipt(fact, receipt)

    def _check_receipt(self, fact: Fact, receipt: dict[str, Any]) -> None:
        """A receipt names exactly what was sent, always the same, under a number that nobody else has."""
        named = (receipt["host_id"], receipt["filepath"], receipt["gen"], receipt.get("status", "active"))
        if named != (fact.host, fact.path, fact.gen, "deleted" if fact.is_tombstone else "active"):
            raise Broken(f"{fact} has a receipt for something else: {receipt}")
        if not fact.is_tombstone and (receipt["sha256"], receipt["size"]) != (fact.sha256, fact.size):
            raise Broken(f"{fact} has a receipt for other content: {receipt}")
        receipt = {key: value for key, value in receipt.items() if key != "proof"}  # it may be signed anew
        if self.receipts.setdefault(fact, receipt) != receipt:
            raise Broken(f"{fact} has two receipts: {self.receipts[fact]} and {receipt}")
        owner = self._sequences.setdefault(receipt["sequence"], fact)
        if owner != fact:
            raise Broken(f"sequence {receipt['sequence']} was given to {owner} and to {fact}")

    # asking

    def of_path(self, host: str, path: str) -> list[Fact]:
        """Return all versions of a path, oldest first."""
        return sorted(self._paths.get((host, path), []), key=lambda fact: fact.gen)

    def newest(self, host: str) -> dict[str, Fact]:
        """Return the newest version of each path of a host, whatever became of it."""
        return self._newest.get(host, {})

    def highest_gen(self, host: str) -> int:
        """Return the highest generation used on a host."""
        return max((fact.gen for fact in self.newest(host).values()), default=0)

    def hosts(self) -> set[str]:
        """Return all hosts."""
        return set(self._newest)

    def acked(self) -> Iterator[Fact]:
        """Yield what was acknowledged, in the order it was first asked for."""
        return (fact for fact, state in self.states.items() if state is State.ACKED)

    def unfinished(self, host: str) -> list[Fact]:
        """Return the versions without an answer that are not overtaken by a later one of their path."""
        waiting = (State.BEGUN, State.ASKED)
        return [fact for fact in self.newest(host).values() if self.states[fact] in waiting]

    def permitted(self, host: str, path: str) -> set[Fact | None]:
        """Return what the newest version of a path may be; None is: the server has never heard of it."""
        facts = self.of_path(host, path)
        sure = [fact for fact in facts if self.states[fact] is State.ACKED]
        newest = sure[-1] if sure else None
        perhaps = [fact for fact in facts if self.states[fact] is State.ASKED]
        return {newest, *(fact for fact in perhaps if newest is None or fact.gen > newest.gen)}

    def wrong_in_listing(self, host: str, listed: dict[str, tuple[int, str, int]]) -> list[str]:
        """Compare a host's listing (path to generation, digest, size) with what it may be; return what is wrong."""
        wrong = []
        for path in self.newest(host).keys() | listed.keys():
            permitted = self.permitted(host, path)
            shown = {None if f is None or f.is_tombstone else (f.gen, f.sha256, f.size) for f in permitted}
            if listed.get(path) not in shown:
                wrong.append(f"{host}:{path} is listed as {listed.get(path)}, permitted is {permitted}")
        return wrong + self._half_applied(host, listed)

    def _half_applied(self, host: str, listed: dict[str, tuple[int, str, int]]) -> list[str]:
        """Find requests without an answer that were applied in part."""
        wrong = []
        for together in {self._asked_with[fact] for fact in self.unfinished(host) if fact in self._asked_with}:
            if any(self._asked_with[fact] is not together or self.states[fact] is not State.ASKED for fact in together):
                continue  # asked for again since, one by one
            seen = {self._is_applied(fact, listed.get(fact.path)) for fact in together}
            if {True, False} <= seen:
                wrong.append(f"applied in part: {together}")
        return wrong

    def _is_applied(self, fact: Fact, shown: tuple[int, str, int] | None) -> bool | None:
        """Say whether the newest version of a path is this one; None where a listing cannot tell."""
        before = [each for each in self.of_path(fact.host, fact.path) if self.states[each] is State.ACKED]
        if fact.is_tombstone:
            return None if not before or before[-1].is_tombstone else shown is None
        return shown is not None and shown[0] == fact.gen

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
